"""Values for the texts of open alerts, as far as they are known.

A condition that is over may still be visible: then the state may be that of a later run.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.rules import OPERATORS, Rule, measured
from afterrun_exporter.core.run_limits import run_limit, silence_limit
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.units import rounded

#: The largest exit code with a text; others are unknown.
LAST_EXIT_CODE: Final = 999


class Broken(NamedTuple):
    """A violated bound of a rule."""

    #: NaN if the run did not report the metric.
    value: float
    op: str
    threshold: float


class Slow(NamedTuple):
    """An unusually long run, in seconds."""

    took: float
    usual: float
    limit: float


def broken(rule: Rule, state: JobState) -> Broken | None:
    """Return the bound of *rule* that the last judged run violated.

    Its numbers are rounded for people. None for a rule on text, and if a later run has
    resolved the violation.
    """
    value = measured(state.metrics, state.last_duration).get(rule.metric, math.nan)
    before = state.previous.get(rule.metric)
    thresholds = [(bound, bound.threshold(before)) for bound in rule.bounds]
    for bound, threshold in thresholds:
        if (
            not math.isnan(value)
            and not math.isnan(threshold)
            and not OPERATORS[bound.op](value, threshold)
        ):
            limit = rounded(threshold, rule.unit) if bound.of_previous else threshold
            return Broken(rounded(value, rule.unit, limit), bound.op, limit)
    if not thresholds or rule.name not in state.violated:
        return None
    bound, threshold = thresholds[0]
    return Broken(math.nan, bound.op, threshold)


def exit_code(state: JobState) -> int | None:
    """Return the exit code of the last judged run, if it was bad and reported one."""
    code = state.bad_run.exit_code if state.bad_run else None
    return code if code is not None and 0 <= code <= LAST_EXIT_CODE else None


def overlapping(state: JobState) -> int | None:
    """Return the number of open runs; None for one, as the others have finished since."""
    running = len(state.open_runs)
    return running if running > 1 else None


def is_silent(job: Job, state: JobState) -> bool:
    """Return True if a run is overrunning because it sends no sign of life."""
    run = min(state.open_runs, key=lambda run: run_limit(job, run), default=None)
    if run is None or run_limit(job, run) < silence_limit(job, run):
        return False
    limit = run_limit(job, run)
    return all(hung.deadline > limit for hung in state.hung)


def slow(job: Job, state: JobState) -> Slow | None:
    """Return the duration of the last run, the usual one and its limit, if it was slow.

    The last duration may be that of a later run, which failed early or was fast again.
    """
    took, limit = state.last_duration, state.slow_threshold
    if not (job.slower_than and took and limit and took > limit):
        return None
    return Slow(took, round(limit / job.slower_than.factor, 3), limit)


def success_ratio(state: JobState) -> float | None:
    """Return the ratio of ok runs, if there are runs."""
    ratio = state.success_ratio
    return None if ratio is None or math.isnan(ratio.value) else ratio.value
