"""Conditions over several runs: the usual duration and the success ratio."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Final

from tests.simulation.settings import Job, Ratio

KEPT_RUNS: Final = 1000
#: By which share of the usual gap between runs a window may be shorter or longer.
EDGE: Final = 0.25


@dataclass(frozen=True)
class Past:
    """A run, as windows remember it."""

    number: int
    ended: float
    duration: float | None
    ok: bool


class Windows:
    """The last runs of a job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        #: The number of the last run.
        self.number = 0
        self.past: list[Past] = []
        self.stored: deque[Past] = deque(maxlen=KEPT_RUNS)
        over = job.ratio.over * (1 + EDGE) if job.ratio is not None else 0.0
        self.reach = max(over, job.slower.over if job.slower is not None else 0.0)
        #: When a run leaves the window of the success ratio next.
        self.until = math.inf
        #: Whether the ratio is low over each of the windows, from when until then.
        self.low: list[bool] | None = None
        self.low_since = 0.0
        self.low_number = 0

    def is_slow(self, ended: float, duration: float) -> bool:
        slower = self.job.slower
        if slower is None:
            return False
        usual = [
            run.duration
            for run in self._runs()
            if run.ok and run.duration is not None and run.ended + slower.over > ended
        ]
        if len(usual) < max(1, slower.min_runs):
            return False
        average = median(usual) if slower.than == "median" else fmean(usual)
        return duration > slower.factor * average

    def is_ratio_low(self, now: float, *, goes_on: bool) -> bool:
        """Return True if too few runs were ok; none at the edge of the window decides."""
        if self.job.ratio is None:
            return False
        is_known = self.low_since <= now < self.until
        if self.low is None or not is_known or self.number != self.low_number:
            self.low = self._low(self.job.ratio, now)
            self.low_since, self.low_number = now, self.number
        return any(self.low) if goes_on else all(self.low)

    def _low(self, wanted: Ratio, now: float) -> list[bool]:
        """Return whether the ratio is low over the window, a shorter and a longer one."""
        self.until = math.inf
        longest = wanted.over * (1 + EDGE)
        runs = [run for run in self._runs() if run.ended + longest > now]
        ends = sorted(run.ended for run in runs)
        gap = wanted.over
        if len(ends) > 1:
            gap = min(gap, (ends[-1] - ends[0]) / (len(ends) - 1))
        if ends:
            # The usual gap is another one from then on.
            self.until = min(self.until, ends[0] + longest)
        low = []
        for over in (wanted.over, wanted.over - EDGE * gap, wanted.over + EDGE * gap):
            inside = [run for run in runs if run.ended + over > now]
            good = sum(run.ok for run in inside)
            enough = len(inside) >= max(1, wanted.min_runs)
            low.append(enough and good < wanted.below * len(inside))
            leaves = min((run.ended for run in inside), default=math.inf) + over
            self.until = min(self.until, leaves)
        return low

    def _runs(self) -> Iterator[Past]:
        first = self.number - KEPT_RUNS
        return (run for run in self.past if run.number > first)

    def remember(
        self, ended: float, duration: float | None, now: float, *, ok: bool
    ) -> None:
        """Remember a run, and no others than windows can see."""
        if not self.reach:
            return
        self.low = None
        run = Past(self.number, ended, duration, ok)
        self.stored.append(run)
        if self.past and self.past[0].ended + self.reach <= now:
            self.past = [one for one in self.past if one.ended + self.reach > now]
        self.past.append(run)

    def recall(self, now: float) -> None:
        """Know the stored runs again, also those that a leap of the clock hid."""
        first = self.number - KEPT_RUNS
        runs = placed([run for run in self.stored if run.number > first], now)
        self.past = [run for run in runs if run.ended + self.reach > now]
        self.low = None

    def put_back(self, now: float) -> None:
        """Have no run that ended later than now."""
        self.past = placed(self.past, now)
        self.low = None


def placed(runs: list[Past], now: float) -> list[Past]:
    """Return *runs*, those that a clock recorded that was ahead at a likely time.

    The last ones in a row ended when the run after them did, or just now, and those
    before them as much earlier as was recorded; none before a run that arrived first.
    """
    found: list[Past] = []
    for place, run in enumerate(runs):
        if run.ended <= now:
            found.append(run)
            continue
        begin = end = place
        while begin > 0 and runs[begin - 1].ended > now:
            begin -= 1
        while end < len(runs) and runs[end].ended > now:
            end += 1
        last = now if end == len(runs) else runs[end].ended
        ended = last - (max(one.ended for one in runs[begin:end]) - run.ended)
        for one in runs[:place]:
            if one.ended <= now:
                ended = max(ended, one.ended)
        found.append(replace(run, ended=min(now, ended)))
    return found
