"""Figures of a job by UTC day: the source of reports, kept longer than runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from afterrun_exporter.core.durations import count_marks, mark_of
from afterrun_exporter.core.model import (
    NEUTRAL,
    Condition,
    Outcome,
    is_to_be_retried,
)
from afterrun_exporter.core.state import AlertResolved, Transition

#: Seconds of a day.
DAY: Final = 86_400.0

#: Outcomes in the order of their counts.
OUTCOMES: Final = tuple(Outcome)
_PLACES: Final = {outcome.value: place for place, outcome in enumerate(OUTCOMES)}

#: The most characters of a day; beyond that, each stands for several runs.
MOST_DURATIONS: Final = 2000


def day_of(instant: float) -> int:
    """Return the number of the UTC day of *instant* since 1970."""
    return math.floor(instant / DAY)


class FinishedRun(NamedTuple):
    """The facts of a finished run that are counted."""

    outcome: str
    finished_at: float
    duration: float | None


class DayFigures(NamedTuple):
    """Figures of one job on one day, or on several ones."""

    #: Runs by outcome, in the order of `OUTCOMES`.
    runs: tuple[int, ...] = (0,) * len(OUTCOMES)
    #: Slots for which no run ended in time.
    missed: int = 0
    #: Runs that ended after the deadline of their slot.
    late: int = 0
    #: A character for each judged run with a duration (`mark_of`), which stands for
    #: *weight* runs.
    durations: str = ""
    weight: int = 1

    def plus(self, other: DayFigures) -> DayFigures:
        """Return the sum; *other* has the weight 1."""
        durations, weight = self.durations, self.weight
        # Of many runs, every one whose number is a multiple of the weight.
        durations += other.durations[-sum(self.runs) % weight :: weight]
        while len(durations) > MOST_DURATIONS:
            durations, weight = "".join(sorted(durations)[1::2]), weight * 2
        runs = tuple(map(sum, zip(self.runs, other.runs, strict=True)))
        missed, late = self.missed + other.missed, self.late + other.late
        return DayFigures(runs, missed, late, durations, weight)


def is_counted(attempt: int, max_attempts: int | None, outcome: str) -> bool:
    """Return True unless the run is an attempt that another one follows."""
    return not is_to_be_retried(attempt, max_attempts, outcome)


def figures_of(runs: Iterable[FinishedRun]) -> DayFigures:
    """Return the figures of *runs*."""
    counts, durations = [0] * len(OUTCOMES), []
    for run in runs:
        counts[_PLACES[run.outcome]] += 1
        if run.duration is not None and run.outcome not in NEUTRAL:
            durations.append(mark_of(run.duration))
    return DayFigures(tuple(counts), durations="".join(durations))


def unpunctual(
    transition: Transition, missed_before: int
) -> Iterator[tuple[int, DayFigures]]:
    """Yield the days with missed slots and late runs of *transition*, and their number.

    *missed_before* is `missed_total` of the state before.
    """
    state = transition.state
    if (missed := state.missed_total - missed_before) > 0:
        at = state.missed_through or state.missed_deadline or state.last_ping_at
        yield day_of(at), DayFigures(missed=missed)
    for event in transition.alerts:
        is_late = (
            isinstance(event, AlertResolved) and event.key.condition is Condition.MISSED
        )
        if is_late and transition.runs:
            yield day_of(transition.runs[-1].finished_at), DayFigures(late=1)


class JobFigures(NamedTuple):
    """Figures of one job in a period."""

    job: str
    runs: tuple[int, ...]
    missed: int
    late: int
    #: Characters of durations, and others together with their weight.
    durations: str
    weighted: tuple[tuple[int, str], ...] = ()

    def histogram(self) -> dict[int, int]:
        """Return the number of runs for the code point of each mark of durations."""
        return self.sample(0, 1)

    def sample(self, first: int, stride: int) -> dict[int, int]:
        """Return the numbers of `histogram` of every run of so many, from *first* on."""
        counts = count_marks(self.durations[first::stride])
        for weight, marks in self.weighted:
            for code, number in count_marks(marks[first::stride]).items():
                counts[code] = counts.get(code, 0) + weight * number
        return counts


class DayTotals(NamedTuple):
    """Runs of all jobs on one day by outcome, and missed slots."""

    day: int
    runs: tuple[int, ...]
    missed: int


class BrokenSpan(NamedTuple):
    """A time in which a condition of a job was open; *until* is None if it still is."""

    since: float
    until: float | None


class PeriodFigures(NamedTuple):
    """Figures of all jobs in a period of whole days."""

    #: By job, in no particular order; jobs without runs and misses are omitted.
    jobs: list[JobFigures]
    #: By day, without days on which nothing happened.
    days: list[DayTotals]
    #: Conditions of the jobs themselves that were open in it, the earliest first.
    broken: dict[str, list[BrokenSpan]]
