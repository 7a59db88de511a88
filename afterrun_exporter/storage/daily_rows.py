"""Rows of the table `days`, which have the same columns in every database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from afterrun_exporter.core.daily_figures import (
    OUTCOMES,
    DayFigures,
    DayTotals,
    FinishedRun,
    day_of,
    figures_of,
    is_counted,
)

#: The id that stands for all jobs together.
EVERY_JOB: Final = 0
#: Runs to add in one step, so that commits do not wait long.
STEP: Final = 500
#: Rows to check in one step of pruning.
ROWS: Final = 2000
#: Jobs to read in one step.
JOBS: Final = 256
#: Finished runs to read in one step.
RUNS: Final = 2000

#: Columns that are counted, and all of them, in order.
COUNTS: Final = (*(one.value for one in OUTCOMES), "missed", "late")
COLUMNS: Final = ("job_id", "day", *COUNTS, "durations", "weight")

#: A job and a day.
Key = tuple[int, int]


def figures_of_rows(rows: Iterable[Iterable[Any]]) -> Mapping[Key, DayFigures]:
    """Return the figures of finished runs by job and day.

    A row has id, job, outcome, attempt and the most attempts, end and duration.
    """
    runs: defaultdict[Key, list[FinishedRun]] = defaultdict(list)
    for _, job_id, outcome, attempt, max_attempts, finished_at, duration in rows:
        if is_counted(attempt, max_attempts, outcome):
            run = FinishedRun(outcome, finished_at, duration)
            runs[job_id, day_of(finished_at)].append(run)
    return {key: figures_of(some) for key, some in runs.items()}


def with_totals(
    figures: Iterable[tuple[Key, DayFigures]],
) -> list[tuple[Key, DayFigures]]:
    """Return *figures*, and the totals of each day, which have no durations."""
    result = list(figures)
    totals: dict[int, DayFigures] = {}
    for (_, day), more in result:
        counts = more._replace(durations="")
        totals[day] = totals[day].plus(counts) if day in totals else counts
    return [*result, *(((EVERY_JOB, day), more) for day, more in totals.items())]


def day_of_row(row: Iterable[Any]) -> DayFigures:
    """Return the figures in a row of `COLUMNS`, without job and day."""
    *counts, missed, late, durations, weight = row
    return DayFigures(tuple(counts), missed, late, durations, weight)


def row_of_day(key: Key, figures: DayFigures) -> tuple[Any, ...]:
    """Return the row of `COLUMNS`."""
    counts = (*figures.runs, figures.missed, figures.late)
    return (*key, *counts, figures.durations, figures.weight)


def totals_of_row(row: Iterable[Any]) -> DayTotals:
    """Return the totals in a row of `COUNTS` after the day."""
    day, *counts = row
    return DayTotals(day, tuple(counts[:-2]), counts[-2])
