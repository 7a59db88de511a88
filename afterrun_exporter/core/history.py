"""The last runs of a job, as far back as its windows reach: 25 bytes each.

Kept for jobs with a success ratio or a usual duration only, and in memory only:
after a restart it is made anew of the runs that are stored.

A ping must not cost more the more runs there are. So a window begins where bisection
finds its first run, and columns are copied and counted as a whole, not run by run.
Runs that did not end in the order in which they arrived are looked at one by one.
"""

from __future__ import annotations

import math
import statistics
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, filterfalse, groupby
from operator import le
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.model import (
    NEUTRAL,
    Average,
    Job,
    Outcome,
    Run,
    Settings,
    SuccessRatio,
)
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.windows import NO_HISTORY, History, Ratio

#: Number, end, duration (NaN when unknown), whether it was ok.
_RECORD: Final = struct.Struct("<Qdd?")

#: By which share of the usual gap between runs two more windows are shorter and longer
#: than that of a success ratio.
EDGE: Final = 0.25

#: Bytes of a number, an end or a duration.
_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class Past:
    """What windows look at of a run that has finished."""

    number: int
    finished_at: float
    #: NaN when unknown.
    duration: float
    ok: bool


def reach(job: Job) -> float:
    """Return how many seconds back the windows of *job* look; 0 without any."""
    ratio, slower = job.success_ratio, job.slower_than
    return max(ratio.over if ratio else 0.0, slower.over if slower else 0.0)


def kept_for(job: Job) -> float:
    """Return how many seconds runs of *job* are remembered for its windows; 0 without.

    A success ratio looks at a longer window, too.
    """
    ratio = job.success_ratio
    return max(reach(job), ratio.over * (1 + EDGE) if ratio else 0.0)


def pack(runs: Iterable[Past]) -> bytes:
    """Return *runs* as a store hands them over: by number, each once."""
    by_number = {run.number: run for run in runs}
    return b"".join(
        _RECORD.pack(run.number, run.finished_at, run.duration, run.ok)
        for _, run in sorted(by_number.items())
    )


def unpack(stored: bytes) -> Iterator[Past]:
    """Yield the runs that *stored* was packed of, in order of arrival."""
    for record in _RECORD.iter_unpack(stored):
        yield Past(*record)


def history_of(runs: Iterable[Past]) -> History:
    """Return *runs*, which are in order of arrival, as a history."""
    known = [*runs]
    ends = [run.finished_at for run in known]
    return History(
        numbers=array("Q", (run.number for run in known)).tobytes(),
        ends=array("d", ends).tobytes(),
        durations=array("d", (run.duration for run in known)).tobytes(),
        oks=bytes(run.ok for run in known),
        ordered=all(map(le, ends, ends[1:])),
    )


def pasts(history: History) -> Iterator[Past]:
    """Yield the runs of *history* in order of arrival."""
    columns = _numbers(history), _ends(history), _durations(history), history.oks
    for number, end, duration, ok in zip(*columns, strict=True):
        yield Past(number, end, duration, bool(ok))


def past(run: Run) -> Past | None:
    """Return what to remember of *run*; None for one that judges nothing."""
    if run.outcome in NEUTRAL or run.is_retried:
        return None
    duration = math.nan if run.duration is None else run.duration
    return Past(run.number, run.finished_at, duration, run.outcome is Outcome.OK)


def extended(
    job: Job, history: History, run: Run, now: float, settings: Settings
) -> History:
    """Return *history* with *run*, and without what no window sees any more.

    Nor has it more runs than the store keeps of a job: a restart must not
    change what a window comes to.
    """
    if not (over := kept_for(job)):
        return NO_HISTORY
    if not history.ordered:
        history = _only(history, _inside(history, over, now))
    first = bisect_right(_numbers(history), run.number - settings.runs_per_job)
    if history.ordered:
        first = max(first, _first(history, over, now))
    return _appended(history, first, past(run))


def with_runs(
    job: Job, state: JobState, runs: Sequence[Run], now: float, settings: Settings
) -> JobState:
    """Return *state* with *runs*, which have just finished, in its history."""
    looked_at = job.success_ratio is not None or job.slower_than is not None
    if not (looked_at or len(state.history)):
        return state
    for run in runs:
        known = extended(job, state.history, run, now, settings)
        state = replace(state, history=known)
    return state


def joined(
    job: Job, stored: bytes, state: JobState, now: float, settings: Settings
) -> History:
    """Return the history of a job from what is *stored*, and what came since."""
    known = {run.number: run for run in pasts(state.history)}
    # Those in memory may have been put back by a clock that was wrong itself.
    known |= {run.number: run for run in unpack(stored)}
    over, last = kept_for(job), state.recorded - settings.runs_per_job
    runs = [run for number, run in sorted(known.items()) if number > last]
    ends = put_back([run.finished_at for run in runs], now)
    return history_of(
        Past(run.number, end, run.duration, run.ok)
        for run, end in zip(runs, ends, strict=True)
        if end + over > now
    )


def put_back(ends: Sequence[float], now: float) -> Sequence[float]:
    """Return *ends* of runs, in order of arrival, so that none is later than *now*.

    Runs that were recorded by a clock that was ahead ended before those that arrived
    later, and after those that had arrived. They keep their distances: all at one
    moment, those of a month would be in the window of a day.
    """
    if max(ends, default=now) <= now:
        return ends
    right: list[float] = []
    earliest = -math.inf
    for is_ahead, row in groupby(ends, key=now.__lt__):
        some = [*row]
        if is_ahead:
            place = len(right) + len(some)
            latest = ends[place] if place < len(ends) else now
            newest = max(some)
            some = [min(now, max(latest - (newest - end), earliest)) for end in some]
        else:
            earliest = max(earliest, *some)
        right += some
    return right


def slid(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* with the success ratio as it is at *now*."""
    if job.success_ratio is None:
        return replace(
            state, success_ratio=None, ratio_edges=None, ratio_until=math.inf
        )
    over = job.success_ratio.over
    ratio, until = _ratio(state.history, over, now)
    gap, changed = _usual_gap(state.history, over, now)
    slack = EDGE * gap
    shorter, sooner = _ratio(state.history, over - slack, now)
    longer, later = _ratio(state.history, over + slack, now)
    until, edges = min(until, sooner, later, changed), (shorter, longer)
    if (ratio, edges, until) == (
        state.success_ratio,
        state.ratio_edges,
        state.ratio_until,
    ):
        return state
    return replace(state, success_ratio=ratio, ratio_edges=edges, ratio_until=until)


def is_ratio_low(wanted: SuccessRatio, state: JobState, *, goes_on: bool) -> bool:
    """Return True if too few of the last runs were ok.

    *goes_on* is true while an alert says so. Where the window is a multiple of the
    period, the new run comes seconds before or after the first one leaves it: neither
    may begin or end an alert. So it begins where the ratio is low over windows that are
    a quarter of the usual gap between runs shorter and longer, too, and goes on while
    it is over one of them.
    """
    if state.success_ratio is None:
        return False
    ratios = (state.success_ratio, *(state.ratio_edges or ()))
    low = (
        ratio.runs >= max(1, wanted.min_runs) and ratio.value < wanted.below
        for ratio in ratios
    )
    return any(low) if goes_on else all(low)


def slow_threshold(job: Job, history: History, now: float) -> float | None:
    """Return from which duration on a run that ends at *now* is slow.

    That is a factor of the median or mean of the ok runs before it; None where
    nothing is configured or too few of them are known.
    """
    if (slower := job.slower_than) is None:
        return None
    if history.ordered:
        first = _first(history, slower.over, now)
    else:
        history, first = _only(history, _inside(history, slower.over, now)), 0
    told = compress(_durations(history)[first:], history.oks[first:])
    durations = [*filterfalse(math.isnan, told)]
    if len(durations) < max(1, slower.min_runs):
        return None
    average = statistics.median if slower.than is Average.MEDIAN else statistics.fmean
    return slower.factor * average(durations)


def _ratio(history: History, over: float, now: float) -> tuple[Ratio, float]:
    """Return how the runs that ended less than *over* seconds before *now* did.

    And when the next of them will have ended longer ago; +inf for never.
    """
    if history.ordered:
        first, runs = _first(history, over, now), len(history)
        until = _ends(history)[first] + over if first < runs else math.inf
        return Ratio(history.oks.count(1, first), runs - first), until
    inside = _inside(history, over, now)
    until = min(compress(_ends(history), inside), default=math.inf) + over
    return Ratio(sum(compress(history.oks, inside)), sum(inside)), until


def _usual_gap(history: History, over: float, now: float) -> tuple[float, float]:
    """Return how long after one run the next one ends on average: at most *over*.

    Of those that ended not much more than *over* seconds before *now*; and when the next
    of them will have ended longer ago, +inf for never.
    """
    reached = over * (1 + EDGE)
    if history.ordered:
        ends = _ends(history)[_first(history, reached, now) :]
    else:
        ends = sorted(end for end in _ends(history) if end + reached > now)
    until = ends[0] + reached if ends else math.inf
    if len(ends) < 2:
        return over, until
    return min(over, (ends[-1] - ends[0]) / (len(ends) - 1)), until


def _first(history: History, over: float, now: float) -> int:
    """Return the place of the first run that ended less than *over* before *now*.

    Of a history that is in order.
    """
    return bisect_right(_ends(history), now, key=lambda end: end + over)


def _inside(history: History, over: float, now: float) -> list[bool]:
    """Return of each run whether it ended less than *over* before *now*."""
    return [end + over > now for end in _ends(history)]


def _only(history: History, chosen: Sequence[bool]) -> History:
    """Return *history* with the runs alone that are *chosen*."""
    if all(chosen):
        return history
    ends = array("d", compress(_ends(history), chosen))
    return History(
        numbers=array("Q", compress(_numbers(history), chosen)).tobytes(),
        ends=ends.tobytes(),
        durations=array("d", compress(_durations(history), chosen)).tobytes(),
        oks=bytes(compress(history.oks, chosen)),
        ordered=all(map(le, ends, ends[1:])),
    )


def _appended(history: History, first: int, run: Past | None) -> History:
    """Return *history* from its place *first* on, and then *run*."""
    if run is None and not first:
        return history
    more = NO_HISTORY if run is None else history_of([run])
    start = first * _WIDTH
    last = _ends(history)[-1] if first < len(history) else -math.inf
    return History(
        numbers=_cut(history.numbers, start, more.numbers),
        ends=_cut(history.ends, start, more.ends),
        durations=_cut(history.durations, start, more.durations),
        oks=_cut(history.oks, first, more.oks),
        ordered=history.ordered and (run is None or last <= run.finished_at),
    )


def _cut(column: bytes, start: int, more: bytes) -> bytes:
    # One copy, and not one for each.
    return b"".join((memoryview(column)[start:], more))


def _numbers(history: History) -> Sequence[int]:
    return memoryview(history.numbers).cast("Q")


def _ends(history: History) -> Sequence[float]:
    return memoryview(history.ends).cast("d")


def _durations(history: History) -> Sequence[float]:
    return memoryview(history.durations).cast("d")
