"""The page of the newest runs of all jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.did_you_mean import unknown_value
from afterrun_exporter.core.exit_codes import with_meaning
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.job_rows import duration_text
from afterrun_exporter.page.parameters import id_of, values_of
from afterrun_exporter.page.reasons import host_of
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.similar_messages import in_brief
from afterrun_exporter.page.times import Moment, happened, zone_of
from afterrun_exporter.page.violations import broken_by, in_words
from afterrun_exporter.storage.store import RunFilter, RunRecord

#: Runs on a page.
PER_PAGE: Final = 50
#: The most characters of their texts to read; a page with more is shorter.
SIZE: Final = 2_000_000
#: Runs of all jobs are listed that were recorded within this time, in seconds.
PERIOD: Final = 7 * 86_400.0
#: The longest message in the list.
LONGEST_MESSAGE: Final = 200

PARAMETERS: Final = ("outcome", "job", "before")
OUTCOMES: Final = tuple(one.value for one in Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """The filters in the address; a run must match all of them."""

    outcome: str = ""
    job: str = ""
    #: Only runs before the one with this id, or number in its job; 0 for the first page.
    before: int = 0

    @property
    def is_first(self) -> bool:
        """True without filters, on the first page."""
        return self == RunQuery()

    def address(self, before: int) -> str:
        """Return the relative address of the runs before *before*."""
        following = replace(self, before=before)
        values = {name: getattr(following, name) for name in PARAMETERS}
        return f"?{urlencode({name: one for name, one in values.items() if one})}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A run in the list."""

    name: str
    #: None for a job that was removed.
    job: Job | None
    outcome: str
    ending: Moment | None
    host: str
    duration: str
    #: The exit code with its meaning; "" for none.
    exit_code: str
    #: The violations, or the message.
    text: str


async def runs_page(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/runs``."""
    query, now, reading = read(request.query), context.clock.now(), Reading()
    runs = await reading.or_else(_records(context, query, now), [])
    page_runs = runs[:PER_PAGE]
    has_more = len(runs) > PER_PAGE or sum(one.run.size for one in runs) > SIZE
    return await page(
        "runs.html",
        **context.site.common(request, now),
        query=query,
        outcomes=OUTCOMES,
        rows=[_row(context, one, now) async for one in cooperatively(page_runs)],
        more=query.address(page_runs[-1].id) if has_more else "",
        unreadable=reading.failed,
    )


def read(parameters: MultiMapping[str]) -> RunQuery:
    """Return the query for the parameters of an address; raise RequestError."""
    values = values_of(parameters, PARAMETERS)
    before = id_of(values.pop("before", ""), "a run")
    query = RunQuery(**values, before=before)
    if query.outcome and query.outcome not in OUTCOMES:
        raise RequestError(unknown_value("outcome", query.outcome, OUTCOMES))
    return query


async def _records(
    context: Context, query: RunQuery, now: float
) -> Sequence[RunRecord]:
    """Return the runs of a page and the following one; those of a job have its numbers."""
    outcomes = frozenset({Outcome(query.outcome)} if query.outcome else ())
    before, limit = query.before or None, PER_PAGE + 1
    if query.job:
        runs = await context.store.runs(query.job, limit, before, outcomes, SIZE)
        return [RunRecord(job=query.job, run=run, id=run.number) for run in runs]
    return await context.store.recorded_runs(
        RunFilter(
            outcomes=outcomes,
            since=now - PERIOD,
            before=before,
            limit=limit,
            size=SIZE,
        )
    )


def _row(context: Context, record: RunRecord, now: float) -> Row:
    job_and_state = context.service.job_and_state(record.job)
    job = None if job_and_state is None else job_and_state[0]
    times = {} if job is None else {"zone": zone_of(job)}
    run = record.run
    rules = () if job is None else job.rules
    broken = [in_words(broken_by(rules, one)) for one in run.violations]
    text = "; ".join(broken) or in_brief(run.message, LONGEST_MESSAGE)
    if run.is_retried:
        attempt = (
            f"attempt {run.attempt} of {run.max_attempts} ended with {run.outcome}"
        )
        text = f"{attempt}: {text}" if text else attempt
    is_cut = len(text) > LONGEST_MESSAGE
    return Row(
        name=record.job,
        job=job,
        outcome="retrying" if run.is_retried else run.outcome.value,
        ending=happened(run.finished_at, now, **times),
        host=host_of(run),
        duration=duration_text(run.duration),
        exit_code="" if run.exit_code is None else with_meaning(run.exit_code),
        text=f"{text[:LONGEST_MESSAGE]}…" if is_cut else text,
    )
