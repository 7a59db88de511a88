"""Handlers of the overview and the page of a job."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.alerts import status
from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.job_query import BROKEN, UNOBSERVED, JobQuery
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.targets import displayed
from afterrun_exporter.page import overview as shapes
from afterrun_exporter.page import query
from afterrun_exporter.page.backtest import LONGEST, attempt
from afterrun_exporter.page.context import Context, Reading
from afterrun_exporter.page.descriptions import expectations, rule_in_words
from afterrun_exporter.page.forms import FLAGS, PAUSES
from afterrun_exporter.page.graphs import charts
from afterrun_exporter.page.howto import examples
from afterrun_exporter.page.index import Entry, held_back
from afterrun_exporter.page.job import duration_text, open_rows, run_row, slot_rows
from afterrun_exporter.page.numbers import readable
from afterrun_exporter.page.reasons import TITLES, reasons
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.strips import LENGTH
from afterrun_exporter.page.times import happened, moment, span, zone_of
from afterrun_exporter.storage.store import AlertFilter, Ended

DONE: Final = {
    "paused": "The job is paused and its alerts are resolved.",
    "resumed": "The job is monitored again.",
    "retired": "The job is removed. Its next ping registers it again as a new job.",
    "receiver-stored": "The receiver is added. AfterRun does not manage alertmanager.yml here: "
    "run afterrun generate alertmanager to activate it.",
    "receiver-written": "The receiver is added to alertmanager.yml; "
    "Alertmanager uses it after its next reload.",
    "receiver-reloading": "The receiver is added to alertmanager.yml; "
    "Alertmanager loads it in a moment.",
    "receiver-reloaded": "The receiver is added and active in Alertmanager.",
    "receiver-removed": "The receiver is removed.",
}


#: The number of runs in the charts and the list of a job.
RUNS: Final = 60
#: The number of alerts in the history of a job.
ALERTS: Final = 25
#: The number of charts that are not collapsed.
CHARTS: Final = 8
#: The number of last runs that are searched for the reason of a condition.
RECENT: Final = 3


async def overview(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/``."""
    job_query, number = query.read(request.query)
    index, now, reading = context.index, context.clock.now(), Reading()
    await index.refresh()
    urgent, wrong = await index.most_urgent(shapes.MOST)
    pages, entries = await _entries(context, job_query, number)
    featured = [] if job_query.narrows or number > 1 else urgent
    names = {one.job.name for one in (*entries, *featured)}
    endings = await reading.or_else(context.store.endings(names, LENGTH), {})
    count, jobs = index.counts[BROKEN], len(index.entries)
    groups = shapes.groups_of(wrong)
    unobserved = index.counts[UNOBSERVED]
    return await page(
        "overview.html",
        **context.site.common(request, now),
        query=job_query,
        pages=pages,
        rows=await _rows(context, entries, now, endings),
        broken=await _broken(context, featured, now, endings, reading),
        broken_count=count,
        groups=groups,
        jobs=jobs,
        headline=shapes.headline(count, jobs),
        announcement=shapes.announcement(count, jobs, groups, unobserved),
        unobserved=unobserved,
        states=shapes.states_of(index.counts, job_query),
        choices={
            name: (values, shapes.choices_of(index.choices, name, values))
            for name, values in (
                ("label", job_query.label),
                ("project", (job_query.project,)),
                ("tag", job_query.tag),
            )
        },
        done=DONE.get(request.query.get("done", ""), ""),
        unreadable=reading.failed,
        url=context.site.url(request),
    )


async def _entries(
    context: Context, job_query: JobQuery, number: int
) -> tuple[shapes.Pages, list[Entry]]:
    """Return the matching jobs of the page, or of the last page if there are fewer."""
    start, predicate = (number - 1) * query.PER_PAGE, job_query.predicate
    result = await context.index.find(predicate, start, query.PER_PAGE)
    pages = shapes.Pages(job_query, number, result.total)
    if pages.start != start:
        result = await context.index.find(predicate, pages.start, query.PER_PAGE)
    return pages, result.entries


async def _rows(
    context: Context,
    entries: Sequence[Entry],
    now: float,
    endings: Mapping[str, Sequence[Ended]],
) -> list[shapes.Row]:
    rows, settings = [], context.service.settings
    async for entry in cooperatively(entries):
        # Jobs that were removed meanwhile are left out.
        if (job_and_state := context.service.job_and_state(entry.job.name)) is not None:
            past = endings.get(entry.job.name, ())
            rows.append(shapes.row_of(*job_and_state, now, past, settings))
    return rows


async def _broken(
    context: Context,
    entries: Sequence[Entry],
    now: float,
    endings: Mapping[str, Sequence[Ended]],
    reading: Reading,
) -> list[shapes.Broken]:
    store = context.store
    questions = [
        asyncio.gather(
            store.runs(one.job.name, RECENT),
            store.alerts(AlertFilter(job=one.job.name, open=True)),
        )
        for one in entries
    ]
    answers = [await reading.or_else(one, ([], [])) for one in questions]
    rows = await _rows(context, entries, now, endings)
    by_name = {
        one.job.name: answer for one, answer in zip(entries, answers, strict=True)
    }
    return [
        shapes.Broken(row=row, reasons=why)
        for row in rows
        if (state := context.service.state(row.job.name)) is not None
        and (why := reasons(row.job, state, now, *by_name[row.job.name]))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A rejected form with its input."""

    error: str
    code: int
    #: The name of the form, such as "receiver".
    form: str
    typed: Mapping[str, str]


async def job_page(
    context: Context, request: web.Request, refused: Refused | None = None
) -> web.Response:
    """Return the page of the requested job, with the *refused* form if there is one."""
    name, now = request.match_info["job"], context.clock.now()
    if (job_and_state := context.service.job_and_state(name)) is None:
        return await unknown_job(context, request, name)
    reading, store = Reading(), context.store
    runs = await reading.or_else(store.runs(name, RUNS), [])
    alert_filter = AlertFilter(job=name, limit=ALERTS)
    alerts = await reading.or_else(store.alerts(alert_filter), [])
    recorded = await reading.or_else(store.alerts(replace(alert_filter, open=True)), [])
    receivers = await reading.or_else(context.receivers.of(name), [])
    facts = _facts(context, *job_and_state, now)
    backtest = await attempt(
        context, reading, job_and_state[0], request.query, runs, now
    )
    drawings = [
        (chart, chart.svg())
        async for chart in cooperatively(charts(*job_and_state, runs, now))
    ]
    return await page(
        "job.html",
        code=refused.code if refused else 400 if backtest.problems else 200,
        **context.site.common(request, now),
        **facts,
        reasons=reasons(*job_and_state, now, runs, recorded),
        charts=drawings[:CHARTS],
        more_charts=drawings[CHARTS:],
        first=runs and happened(runs[-1].finished_at, now, zone_of(job_and_state[0])),
        last=runs and happened(runs[0].finished_at, now, zone_of(job_and_state[0])),
        runs=[run_row(job_and_state[0], run) for run in runs],
        alerts=alerts,
        receivers=[_receiver(one) for one in receivers],
        examples=examples(*job_and_state, context.site.url(request)),
        done=DONE.get(request.query.get("done", ""), ""),
        refused=refused,
        attempt=backtest,
        longest=LONGEST,
        unreadable=reading.failed,
    )


def _facts(context: Context, job: Job, state: JobState, now: float) -> dict[str, Any]:
    settings, zone = context.service.settings, zone_of(job)
    return {
        "job": job,
        "state": state,
        "status": status(job, state).value,
        "now": now,
        "at": partial(moment, now=now, zone=zone),
        "happened": partial(happened, now=now, zone=zone),
        "span": span,
        "duration_text": duration_text,
        "readable": readable,
        "titles": TITLES,
        "held_back": list(state.upstream) if held_back(state) else [],
        "next_due": moment(next_slot(job, state, settings), now, zone),
        "open_runs": open_rows(job, state, now, settings),
        "slots": slot_rows(job, state, now, settings),
        "rules": [(rule, rule_in_words(rule)) for rule in job.rules],
        "expectations": list(expectations(job)),
        "requires": [_required(context, one.job) for one in job.depends_on],
        "pauses": PAUSES,
        "flags": FLAGS,
        "types": [one.value for one in ReceiverType],
        "every": isinstance(job.schedule, Every),
    }


def _required(context: Context, name: str) -> tuple[str, str]:
    job_and_state = context.service.job_and_state(name)
    return name, "unknown" if job_and_state is None else status(*job_and_state).value


def _receiver(receiver: JobReceiver) -> dict[str, Any]:
    events = [words for flag, words in FLAGS.items() if getattr(receiver, flag)]
    return {
        "id": receiver.id,
        "type": receiver.type.value,
        "target": displayed(receiver.type, receiver.target),
        "events": ", ".join(events),
    }


async def unknown_job(
    context: Context, request: web.Request, name: str
) -> web.Response:
    """Return the page for an unknown job, with similar names."""
    await context.index.refresh()
    return await page(
        "error.html",
        code=404,
        **context.site.common(request, context.clock.now()),
        title=f"Unknown job {name[:128]!r}",
        detail="It has not reported yet, or it was removed. A job appears with its "
        "first ping, or when it is added to afterrun.yml.",
        near=context.near(name[:128]),
    )
