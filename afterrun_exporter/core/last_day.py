"""Figures of the runs of a job in the last 24 hours."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from afterrun_exporter.core.model import NEUTRAL, Outcome, Run

#: The period of the figures, in seconds.
PERIOD: Final = 86_400.0
#: The maximum number of runs that are counted: one a minute.
MOST: Final = 1440


class LastDay(NamedTuple):
    """The runs within a day, and durations of the last ok ones."""

    #: At most `MOST`: there may be more.
    runs: int
    ok: int
    #: Runs that were neither canceled nor skipped.
    judged: int
    #: The median and the longest duration; None if unknown.
    median: float | None
    longest: float | None


def last_day(
    endings: Iterable[tuple[int, Outcome, float]], runs: Sequence[Run], now: float
) -> LastDay:
    """Return the figures of *endings* within a day, and the durations of *runs*.

    An ending is the number, the outcome and the end of a run.
    """
    recent = [outcome for _, outcome, end in endings if end > now - PERIOD]
    judged = [outcome for outcome in recent if outcome not in NEUTRAL]
    durations = [
        run.duration
        for run in runs
        if run.duration is not None and run.outcome is Outcome.OK
    ]
    return LastDay(
        runs=len(recent),
        ok=judged.count(Outcome.OK),
        judged=len(judged),
        median=statistics.median(durations) if durations else None,
        longest=max(durations, default=None),
    )
