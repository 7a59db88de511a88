"""Figures of all jobs in the last 24 hours, counted in slices of five minutes."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from afterrun_exporter.core.daily_figures import DAY, FinishedRun
from afterrun_exporter.core.durations import mark_of, percentiles
from afterrun_exporter.core.model import NEUTRAL, Outcome
from afterrun_exporter.core.period_report_texts import duration, percent
from afterrun_exporter.core.plurals import plural

#: Seconds of a slice: the figures are of the last 24 hours and at most one more slice.
SLICE: Final = 300.0
_SHARES: Final = (0.5, 0.95, 0.99)


class RecentFigures(NamedTuple):
    """Figures of the runs of all jobs that ended within the last 24 hours."""

    #: Without canceled and skipped ones.
    runs: int
    ok: int
    #: Percentiles of durations in seconds, exact to three percent.
    p50: float | None
    p95: float | None
    p99: float | None

    @property
    def ok_ratio(self) -> float | None:
        """The share of ok runs; None without runs."""
        return round(self.ok / self.runs, 6) if self.runs else None

    def __str__(self) -> str:
        """Return the figures in a sentence."""
        parts = [f"{plural(self.runs, 'run')} in the last 24 hours"]
        parts.append(f"{percent(self.ok_ratio)} ok")
        if self.p50 is not None:
            values = zip(("p50", "p95", "p99"), self[2:], strict=True)
            parts += [f"{name} {duration(seconds)}" for name, seconds in values]
        return f"{', '.join(parts)}."


class _Slice:
    """Runs that ended within a few minutes."""

    __slots__ = ("durations", "ok", "runs")

    def __init__(self) -> None:
        self.runs = self.ok = 0
        #: The number of runs by code point of durations.
        self.durations: dict[int, int] = {}

    def add(self, run: FinishedRun) -> None:
        self.runs += 1
        self.ok += run.outcome == Outcome.OK
        if run.duration is not None:
            code = ord(mark_of(run.duration))
            self.durations[code] = self.durations.get(code, 0) + 1


class RecentRuns:
    """Counts runs by the time of their end, and forgets those of more than a day ago."""

    def __init__(self) -> None:
        self._slices: dict[int, _Slice] = {}

    def add(self, run: FinishedRun, now: float) -> None:
        """Count *run*, unless it is canceled, skipped or older than a day."""
        slot = math.floor(run.finished_at / SLICE)
        if run.outcome in NEUTRAL or slot < _first(now):
            return
        if (one := self._slices.get(slot)) is None:
            one = self._slices[slot] = _Slice()
        one.add(run)

    def figures(self, now: float) -> RecentFigures:
        """Return the figures of the 24 hours before *now*."""
        first = _first(now)
        for slot in [slot for slot in self._slices if slot < first]:
            del self._slices[slot]
        runs = ok = 0
        durations: dict[int, int] = {}
        for one in self._slices.values():
            runs, ok = runs + one.runs, ok + one.ok
            for code, number in one.durations.items():
                durations[code] = durations.get(code, 0) + number
        return RecentFigures(runs, ok, *percentiles(durations, _SHARES))


def _first(now: float) -> int:
    """Return the number of the first slice within a day before *now*."""
    return math.floor((now - DAY) / SLICE)
