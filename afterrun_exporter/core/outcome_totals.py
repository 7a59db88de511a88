"""Totals of runs by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from afterrun_exporter.core.model import FAILURES, Outcome
from afterrun_exporter.core.state import JobState

#: Outcomes with totals of their own, in the order of `JobState.other_totals`. Those of
#: the others follow from `runs_total`, `failures_total` and `violating_total`.
OTHERS: Final = (
    Outcome.PARTIAL,
    Outcome.TIMEOUT,
    Outcome.INVALID,
    Outcome.CANCELED,
    Outcome.SKIPPED,
)
_PLACES: Final = {outcome: place for place, outcome in enumerate(OTHERS)}
_NONE: Final = (0,) * len(OTHERS)


def with_outcome(totals: tuple[int, ...], outcome: Outcome) -> tuple[int, ...]:
    """Return the totals of `OTHERS` after a run with *outcome*."""
    if (place := _PLACES.get(outcome)) is None:
        return totals
    totals = totals or _NONE
    return (*totals[:place], totals[place] + 1, *totals[place + 1 :])


def runs_by_outcome(state: JobState) -> Mapping[Outcome, int]:
    """Return the number of runs with each outcome that has occurred.

    Runs from before these totals were kept count as ok or fail.
    """
    others = dict(zip(OTHERS, state.other_totals or _NONE, strict=True))
    failures = sum(n for outcome, n in others.items() if outcome in FAILURES)
    neutral = sum(others.values()) - failures
    totals = {
        Outcome.OK: state.runs_total
        - state.failures_total
        - state.violating_total
        - neutral,
        Outcome.FAIL: state.failures_total - failures,
        Outcome.VIOLATED: state.violating_total,
        **others,
    }
    return {outcome: n for outcome, n in totals.items() if n > 0}
