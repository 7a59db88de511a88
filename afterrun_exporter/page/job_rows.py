"""Rows of the page of a job."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from afterrun_exporter.core.state import JobState, OpenRun
from afterrun_exporter.core.text_fields import reported_host
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.page.number_format import in_unit, readable
from afterrun_exporter.page.times import Moment, moment, span, zone_of
from afterrun_exporter.page.violations import broken_by, in_words

#: The maximum length of metadata that is shown, to keep the page fast.
MAX_METADATA: Final = 16_384
#: The number of next slots.
SLOTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A finished run with its details."""

    run: Run
    outcome: str
    #: Descriptions of its violations.
    violations: tuple[str, ...]
    #: Names, values, and True if the value violates a rule.
    metrics: tuple[tuple[str, str, bool], ...]
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRow:
    """An open run."""

    run: OpenRun
    due: Moment | None
    late: bool
    metadata: tuple[tuple[str, str], ...]
    #: True if it was due to finish in a downtime, so that its report may be lost.
    unobserved: bool
    #: True if a sign of life is due before its end.
    silent: bool
    #: The host that it reported; "" if it did not.
    host: str
    #: The longest duration of a run; "" without a limit.
    limit: str


def run_row(job: Job, run: Run) -> RunRow:
    """Return the row of *run*."""
    broken = {one.metric for one in run.violations if one.value is not None}
    return RunRow(
        run=run,
        outcome="retrying" if run.is_retried else run.outcome.value,
        violations=tuple(in_words(broken_by(job.rules, one)) for one in run.violations),
        metrics=tuple(
            (name, _metric(job, name, value), name in broken)
            for name, value in run.metrics.items()
        ),
        metadata=tuple(_metadata(run.metadata)),
    )


def _metric(job: Job, name: str, value: float) -> str:
    bounds = (
        bound for rule in job.rules if rule.metric == name for bound in rule.bounds
    )
    unit = next((bound.unit for bound in bounds if bound.unit), "")
    text, exact = in_unit(value, name, unit), readable(value)
    return text if text == exact else f"{text} ({exact})"


def _metadata(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > MAX_METADATA:
        yield "metadata", f"{len(text)} characters, available in the API"
        return
    metadata: Any = json.loads(text) if text else {}
    for name, value in metadata.items():
        yield name, value if isinstance(value, str) else json.dumps(value)


def duration_text(seconds: float | None) -> str:
    """Return the duration of a run as text; "" if unknown."""
    return "" if seconds is None else span(seconds)


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
                run=run,
                due=moment(late if due < late < math.inf else due, now, zone),
                late=late < now,
                unobserved=is_unobserved(job, run, settings) and late == math.inf,
                metadata=tuple(_metadata(run.metadata)),
                silent=due < time_limit(job, run),
                host=reported_host(run.metadata),
                limit=_limit(job, run),
            )
        )
    return rows


def _limit(job: Job, run: OpenRun) -> str:
    longest = min(job.max_runtime or math.inf, run.max_runtime or math.inf)
    return format_duration(longest) if math.isfinite(longest) else ""


def metrics_of(job: Job, state: JobState, runs: Sequence[Run]) -> list[str]:
    """Return the metrics for charts, those with rules first."""
    ruled = [
        rule.metric
        for rule in job.rules
        if rule.assertion is None and rule.metric != DURATION
    ]
    reported = [name for run in runs for name in run.metrics]
    return list(dict.fromkeys([*ruled, *state.metrics, *reported]))
