"""Values for the texts of open alerts, as far as they are known.

A condition that is over may still be visible: then the state may be that of a later run.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from afterrun_exporter.core.rules import OPERATORS, Rule, measured
from afterrun_exporter.core.state import JobState

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
    limit: float


def broken(rule: Rule, state: JobState) -> Broken | None:
    """Return the bound of *rule* that the last judged run violated.

    None for a rule on text, and if a later run has resolved the violation.
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
            return Broken(value, bound.op, threshold)
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


def slow(state: JobState) -> Slow | None:
    """Return the duration of the last run and its limit, if it was slow.

    The last duration may be that of a later run, which failed early or was fast again.
    """
    took, limit = state.last_duration, state.slow_threshold
    return Slow(took, limit) if took and limit and took > limit else None


def success_ratio(state: JobState) -> float | None:
    """Return the ratio of ok runs, if there are runs."""
    ratio = state.success_ratio
    return None if ratio is None or math.isnan(ratio.value) else ratio.value
