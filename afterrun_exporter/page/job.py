"""Rows of the page of a job."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from afterrun_exporter.core.deadlines import next_due, slot_after
from afterrun_exporter.core.model import Job, Run, Settings
from afterrun_exporter.core.rules import DURATION
from afterrun_exporter.core.run_limits import (
    is_unobserved,
    overrunning_from,
    run_limit,
    time_limit,
)
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.page.numbers import readable
from afterrun_exporter.page.reasons import expected_of, value_of
from afterrun_exporter.page.times import Moment, happened, moment, zone_of

#: The maximum length of metadata that is shown, to keep the page fast.
MAX_METADATA: Final = 16_384
#: The number of next slots.
SLOTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A finished run with its details."""

    run: Run
    outcome: str
    finished_at: Moment | None
    started_at: Moment | None
    duration: str
    #: Descriptions of its violations.
    violations: tuple[str, ...]
    #: Names, values, and True if the value violates a rule.
    metrics: tuple[tuple[str, str, bool], ...]
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRow:
    """An open run."""

    run_id: str
    attempt: int
    started_at: Moment | None
    due: Moment | None
    late: bool
    metrics: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    #: The last sign of life; None if it has sent none.
    alive: Moment | None
    #: True if it was due to finish in a downtime, so that its report may be lost.
    unobserved: bool
    #: True if a sign of life is due before its end.
    silent: bool


def run_rows(job: Job, runs: Iterable[Run], now: float) -> list[RunRow]:
    """Return the rows of *runs*."""
    zone = zone_of(job)
    return [_run_row(job, run, now, zone) for run in runs]


def _run_row(job: Job, run: Run, now: float, zone: tzinfo) -> RunRow:
    broken = {one.metric for one in run.violations if one.value is not None}
    return RunRow(
        run=run,
        outcome="retrying" if run.is_retried else run.outcome.value,
        finished_at=happened(run.finished_at, now, zone),
        started_at=None
        if run.started_at is None
        else happened(run.started_at, now, zone),
        duration=duration_text(run.duration),
        violations=tuple(
            f"{one.metric} {value_of(one)}, expected {expected_of(job.rules, one)}"
            for one in run.violations
        ),
        metrics=tuple(
            (name, readable(value), name in broken)
            for name, value in run.metrics.items()
        ),
        metadata=tuple(_metadata(run.metadata)),
    )


def _metadata(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > MAX_METADATA:
        yield "metadata", f"{len(text)} characters, available in the API"
        return
    metadata: Any = json.loads(text) if text else {}
    for name, value in metadata.items():
        yield name, value if isinstance(value, str) else json.dumps(value)


def duration_text(seconds: float | None) -> str:
    """Return the duration of a run as text; "" if unknown."""
    return "" if seconds is None else format_duration(round(seconds, 3))


def slot_rows(
    job: Job, state: JobState, now: float, settings: Settings
) -> list[tuple[Moment, Moment]]:
    """Return the next slots with their deadlines."""
    zone = zone_of(job)
    rows: list[tuple[Moment, Moment]] = []
    due = next_due(job, state, settings)
    slot = due.slot
    while len(rows) < SLOTS and math.isfinite(slot):
        late = slot + job.grace if rows else due.deadline
        slot_moment, deadline = moment(slot, now, zone), moment(late, now, zone)
        if slot_moment is None or deadline is None:
            break
        rows.append((slot_moment, deadline))
        slot = slot_after(job, slot)
    return rows


def open_rows(
    job: Job, state: JobState, now: float, settings: Settings
) -> list[OpenRow]:
    """Return the open runs, the oldest first."""
    zone = zone_of(job)
    rows: list[OpenRow] = []
    for run in sorted(state.open_runs, key=lambda run: run.started_at):
        due, late = run_limit(job, run), overrunning_from(job, run, settings)
        rows.append(
            OpenRow(
                run_id=run.run_id or "",
                attempt=run.attempt,
                started_at=moment(run.started_at, now, zone),
                due=moment(late if due < late < math.inf else due, now, zone),
                late=late < now,
                unobserved=is_unobserved(job, run, settings) and late == math.inf,
                metrics=tuple((n, readable(v)) for n, v in run.metrics.items()),
                metadata=tuple(_metadata(run.metadata)),
                alive=moment(run.alive_at, now, zone) if run.alive_at else None,
                silent=due < time_limit(job, run),
            )
        )
    return rows


def metrics_of(job: Job, state: JobState, runs: Sequence[Run]) -> list[str]:
    """Return the metrics for charts, those with rules first."""
    ruled = [
        rule.metric
        for rule in job.rules
        if rule.assertion is None and rule.metric != DURATION
    ]
    reported = [name for run in runs for name in run.metrics]
    return list(dict.fromkeys([*ruled, *state.metrics, *reported]))
