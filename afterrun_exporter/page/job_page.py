"""The page of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from aiohttp import web

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.commits import short_commit
from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.exit_codes import with_meaning
from afterrun_exporter.core.last_day import MOST
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.receiver_targets import displayed
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import status
from afterrun_exporter.page import run_figures
from afterrun_exporter.page.alert_settings import alert_settings
from afterrun_exporter.page.backtest import LONGEST, attempt
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.descriptions import expectations, rule_in_words
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.forms import DONE, FLAGS, PAUSES
from afterrun_exporter.page.howto import examples
from afterrun_exporter.page.job_charts import charts, lacks_durations
from afterrun_exporter.page.job_index import held_back, rank
from afterrun_exporter.page.job_rows import duration_text, open_rows, run_row, slot_rows
from afterrun_exporter.page.number_format import readable
from afterrun_exporter.page.reasons import TITLES, host_of, judged, reasons
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.times import happened, moment, span, zone_of
from afterrun_exporter.page.violations import summary_in_words
from afterrun_exporter.storage.store import AlertFilter

#: The number of runs in the charts and the list of a job.
RUNS: Final = 60
#: The most characters of their texts to read; runs beyond it are not shown.
SIZE: Final = 16_000_000
#: The number of alerts in the history of a job.
ALERTS: Final = 25
#: The number of charts that are not collapsed.
CHARTS: Final = 8


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
    runs = await reading.or_else(store.runs(name, RUNS, size=SIZE), [])
    endings = await reading.or_else(store.endings([name], MOST), {})
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
    why = reasons(*job_and_state, now, runs, recorded)
    routes = context.receivers.recipients
    return await page(
        "job.html",
        code=refused.code if refused else 400 if backtest.problems else 200,
        **context.site.common(request, now),
        **facts,
        reasons=why,
        worst=min((one.severity for one in why), key=rank, default=""),
        figures=run_figures.figures_of_job(
            *job_and_state, endings.get(name, ()), runs, now
        ),
        last_run=judged(runs),
        lacks_durations=lacks_durations(runs),
        settings=alert_settings(job_and_state[0], routes, receivers),
        has_receivers=routes.has_receivers or bool(receivers),
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
        "short_commit": short_commit,
        "readable": readable,
        "with_meaning": with_meaning,
        "host_of": host_of,
        "summary_in_words": summary_in_words,
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
        is_outdated=False,
    )
