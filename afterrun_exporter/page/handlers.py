"""The overview and the page of a job, gathered from what is known and rendered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.alerts import status
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.targets import shown
from afterrun_exporter.page import overview as shapes
from afterrun_exporter.page import query
from afterrun_exporter.page.backtest import LONGEST, attempt
from afterrun_exporter.page.context import Context, Reading
from afterrun_exporter.page.descriptions import InWords, expectations, rule_in_words
from afterrun_exporter.page.forms import FLAGS, PAUSES
from afterrun_exporter.page.graphs import charts
from afterrun_exporter.page.howto import examples
from afterrun_exporter.page.index import BROKEN, UNOBSERVED, Entry, held_back
from afterrun_exporter.page.job import (
    alert_rows,
    lost_slots,
    open_rows,
    retry_rows,
    run_rows,
    slot_rows,
)
from afterrun_exporter.page.messages import DONE
from afterrun_exporter.page.reasons import reasons
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.strips import LENGTH
from afterrun_exporter.page.times import happened, moment, zone_of
from afterrun_exporter.storage.store import AlertFilter, Ended

#: Runs in the charts and the list of a job.
RUNS: Final = 60
#: Alerts in the history of a job.
ALERTS: Final = 25
#: Charts that are shown at once; a job may report many metrics.
CHARTS: Final = 8
#: Runs among which the one is that a condition is about.
RECENT: Final = 3


def overview(context: Context) -> Handler:
    """Return the handler for the page at ``/``."""

    async def handle(request: web.Request) -> web.Response:
        asked = query.read(request.query)
        index, now, reading = context.index, context.clock.now(), Reading()
        await index.refresh()
        urgent, wrong = await index.most_urgent(shapes.MOST)
        pages, found = await _found(context, asked)
        told = [] if asked.narrows or asked.page > 1 else urgent
        names = {one.job.name for one in (*found, *told)}
        endings = await reading.or_else(context.store.endings(names, LENGTH), {})
        count, jobs = index.counts[BROKEN], len(index.entries)
        groups = shapes.groups_of(wrong)
        unobserved = index.counts[UNOBSERVED]
        return await page(
            "overview.html",
            **context.site.common(request, now),
            asked=asked,
            pages=pages,
            rows=await _rows(context, found, now, endings),
            broken=await _broken(context, told, now, endings, reading),
            broken_count=count,
            groups=groups,
            jobs=jobs,
            headline=shapes.headline(count, jobs),
            announcement=shapes.announcement(count, jobs, groups, unobserved),
            unobserved=unobserved,
            states=shapes.states_of(index.counts, asked),
            labels=shapes.choices_of(index.choices, "label", asked.label),
            projects=shapes.choices_of(index.choices, "project", asked.project),
            tags=shapes.choices_of(index.choices, "tag", asked.tag),
            done=DONE.get(request.query.get("done", ""), ""),
            unreadable=reading.failed,
            url=context.site.url(request),
        )

    return handle


async def _found(
    context: Context, asked: query.JobQuery
) -> tuple[shapes.Pages, list[Entry]]:
    """Return the jobs that are asked for, of the last page where there are fewer."""
    start = (asked.page - 1) * query.PER_PAGE
    found = await context.index.find(asked.holds, start, query.PER_PAGE)
    pages = shapes.Pages(asked, found.total)
    if pages.start != start:
        found = await context.index.find(asked.holds, pages.start, query.PER_PAGE)
    return pages, found.entries


async def _rows(
    context: Context,
    entries: Sequence[Entry],
    now: float,
    endings: Mapping[str, Sequence[Ended]],
) -> list[shapes.Row]:
    rows, settings = [], context.service.settings
    async for entry in cooperatively(entries):
        # One that left meanwhile is not shown.
        if (known := context.service.known(entry.job.name)) is not None:
            past = endings.get(entry.job.name, ())
            state = status(*known).value
            rows.append(shapes.row_of(*known, now, past, state, settings))
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
    told = {one.job.name: answer for one, answer in zip(entries, answers, strict=True)}
    return [
        shapes.Broken(row=row, reasons=why)
        for row in rows
        if (state := context.service.state(row.job.name)) is not None
        and (why := reasons(row.job, state, now, *told[row.job.name]))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A form that was sent and could not be done, with what was typed."""

    error: str
    code: int
    #: Which form it was: "receiver" or another one.
    form: str
    typed: Mapping[str, str]


def job(context: Context) -> Handler:
    """Return the handler for the page of a job."""

    async def handle(request: web.Request) -> web.Response:
        return await job_page(context, request)

    return handle


async def job_page(
    context: Context, request: web.Request, refused: Refused | None = None
) -> web.Response:
    """Return the page of the job that *request* names, and what was *refused*."""
    name, now = request.match_info["job"], context.clock.now()
    if (known := context.service.known(name)) is None:
        return await unknown_job(context, request, name)
    reading, store = Reading(), context.store
    runs = await reading.or_else(store.runs(name, RUNS), [])
    asked = AlertFilter(job=name, limit=ALERTS)
    alerts = await reading.or_else(store.alerts(asked), [])
    recorded = await reading.or_else(store.alerts(replace(asked, open=True)), [])
    told = await reading.or_else(context.receivers.of(name), [])
    facts = _facts(context, *known, now)
    tried = await attempt(context, reading, known[0], request.query, runs, now)
    drawn = [
        (chart, chart.svg()) async for chart in cooperatively(charts(*known, runs, now))
    ]
    return await page(
        "job.html",
        code=refused.code if refused else 400 if tried.problems else 200,
        **context.site.common(request, now),
        **facts,
        reasons=reasons(*known, now, runs, recorded),
        charts=drawn[:CHARTS],
        more_charts=drawn[CHARTS:],
        first=runs and happened(runs[-1].finished_at, now, zone_of(known[0])),
        last=runs and happened(runs[0].finished_at, now, zone_of(known[0])),
        runs=run_rows(known[0], runs, now),
        alerts=alert_rows(known[0], alerts, now),
        receivers=[_receiver(one) for one in told],
        examples=examples(*known, context.site.url(request)),
        done=DONE.get(request.query.get("done", ""), ""),
        refused=refused,
        attempt=tried,
        longest=LONGEST,
        unreadable=reading.failed,
    )


def _facts(context: Context, job: Job, state: JobState, now: float) -> dict[str, Any]:
    settings, zone = context.service.settings, zone_of(job)
    return {
        "job": job,
        "state": state,
        "status": status(job, state).value,
        "paused": bool(state.paused_at),
        "paused_since": moment(state.paused_at, now, zone),
        "paused_until": moment(state.paused_until or 0.0, now, zone),
        "held_back": list(state.upstream) if held_back(state) else [],
        "lost": lost_slots(job, state, now),
        "row": shapes.row_of(job, state, now, (), status(job, state).value, settings),
        "created": moment(state.created_at, now, zone),
        "last_failure": moment(state.last_failure_at, now, zone),
        "open_runs": open_rows(job, state, now, settings),
        "retries": retry_rows(job, state, now),
        "slots": slot_rows(job, state, now, settings),
        "rules": [InWords(rule, rule_in_words(rule)) for rule in job.rules],
        "expectations": list(expectations(job)),
        "requires": [_required(context, one.job) for one in job.depends_on],
        "pauses": PAUSES,
        "flags": FLAGS,
        "types": [one.value for one in ReceiverType],
        "every": isinstance(job.schedule, Every),
    }


def _required(context: Context, name: str) -> tuple[str, str]:
    known = context.service.known(name)
    return name, "unknown" if known is None else status(*known).value


def _receiver(receiver: JobReceiver) -> dict[str, Any]:
    told = [words for flag, words in FLAGS.items() if getattr(receiver, flag)]
    return {
        "id": receiver.id,
        "type": receiver.type.value,
        "target": shown(receiver.type, receiver.target),
        "told": ", ".join(told),
    }


async def unknown_job(
    context: Context, request: web.Request, name: str
) -> web.Response:
    """Return the page that says that nobody knows the job, and what is called alike."""
    await context.index.refresh()
    return await page(
        "error.html",
        code=404,
        **context.site.common(request, context.clock.now()),
        title=f"No job is called {name[:128]!r}",
        detail="It has not reported yet, or it was removed. A job appears with its "
        "first ping, or when afterrun.yml names it.",
        near=context.near(name[:128]),
    )
