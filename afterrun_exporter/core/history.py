"""The last runs of a job, as far back as its windows reach: 25 bytes per run.

Kept for jobs with a success ratio or a usual duration only, and in memory only: after a
restart it is rebuilt from the stored runs.

The cost of a ping must not grow with the number of runs. So the first run of a window
is found by bisection, and columns are copied and counted as a whole, not run by run.
Only runs that did not end in the order of their arrival are checked one by one.
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
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.windows import NO_HISTORY, History, Ratio

#: Number, end, duration (NaN if unknown), True if ok.
_RECORD: Final = struct.Struct("<Qdd?")

#: Two more windows are shorter and longer than that of a success ratio, by this share
#: of the usual gap between runs.
EDGE: Final = 0.25

#: Bytes of a number, an end or a duration.
_WIDTH: Final = 8


@dataclass(frozen=True, slots=True)
class Past:
    """The facts about a finished run that windows use."""

    number: int
    finished_at: float
    #: NaN if unknown.
    duration: float
    ok: bool


def reach(job: Job) -> float:
    """Return the reach of the windows of *job* in seconds; 0 without any."""
    ratio, slower = job.success_ratio, job.slower_than
    return max(ratio.over if ratio else 0.0, slower.over if slower else 0.0)


def kept_for(job: Job) -> float:
    """Return the time in seconds to keep runs of *job* for its windows; 0 without any.

    A success ratio also uses a longer window.
    """
    ratio = job.success_ratio
    return max(reach(job), ratio.over * (1 + EDGE) if ratio else 0.0)


def pack(runs: Iterable[Past]) -> bytes:
    """Return *runs* in the format of a store: by number, each once."""
    by_number = {run.number: run for run in runs}
    return b"".join(
        _RECORD.pack(run.number, run.finished_at, run.duration, run.ok)
        for _, run in sorted(by_number.items())
    )


def unpack(packed: bytes) -> Iterator[Past]:
    """Yield the runs in *packed*, in order of arrival."""
    for record in _RECORD.iter_unpack(packed):
        yield Past(*record)


def history_of(runs: Iterable[Past]) -> History:
    """Return a history of *runs*, which are in order of arrival."""
    all_runs = [*runs]
    ends = [run.finished_at for run in all_runs]
    return History(
        numbers=array("Q", (run.number for run in all_runs)).tobytes(),
        ends=array("d", ends).tobytes(),
        durations=array("d", (run.duration for run in all_runs)).tobytes(),
        oks=bytes(run.ok for run in all_runs),
        ordered=all(map(le, ends, ends[1:])),
    )


def pasts(history: History) -> Iterator[Past]:
    """Yield the runs of *history* in order of arrival."""
    columns = _numbers(history), _ends(history), _durations(history), history.oks
    for number, end, duration, ok in zip(*columns, strict=True):
        yield Past(number, end, duration, bool(ok))


def past(run: Run) -> Past | None:
    """Return the facts to keep of *run*; None if it counts in no window."""
    if run.outcome in NEUTRAL or run.is_retried:
        return None
    duration = math.nan if run.duration is None else run.duration
    return Past(run.number, run.finished_at, duration, run.outcome is Outcome.OK)


def with_run(
    job: Job, history: History, run: Run, now: float, settings: Settings
) -> History:
    """Return *history* with *run*, without runs that no window reaches any more.

    It has no more runs than the store keeps of a job: a restart must not change the
    result of a window.
    """
    if not (over := kept_for(job)):
        return NO_HISTORY
    history, first = _reached(history, run.number, over, now, settings)
    return _appended(history, first, past(run))


def with_runs(
    job: Job, state: JobState, runs: Sequence[Run], now: float, settings: Settings
) -> JobState:
    """Return *state* with *runs*, which have just finished, in its history."""
    has_windows = job.success_ratio is not None or job.slower_than is not None
    if not (has_windows or len(state.history)):
        return state
    for run in runs:
        extended = with_run(job, state.history, run, now, settings)
        state = replace(state, history=extended)
    return state


def joined(
    job: Job, packed: bytes, state: JobState, now: float, settings: Settings
) -> History:
    """Return the history of a job from *packed*, and from the runs since then."""
    by_number = {run.number: run for run in pasts(state.history)}
    # The times of those in memory may have been corrected by a wrong clock.
    by_number |= {run.number: run for run in unpack(packed)}
    over, last = kept_for(job), state.recorded - settings.runs_per_job
    runs = [run for number, run in sorted(by_number.items()) if number > last]
    ends = put_back([run.finished_at for run in runs], now)
    return history_of(
        Past(run.number, end, run.duration, run.ok)
        for run, end in zip(runs, ends, strict=True)
        if end + over > now
    )


def adopted(
    job: Job,
    state: JobState,
    before: History,
    runs: bytes,
    now: float,
    settings: Settings,
) -> JobState:
    """Return *state*, read from a store, with the history for the windows of *job*.

    That is the one *before*, extended by the packed *runs*, with its ratios.
    """
    if not (over := kept_for(job)):
        return state
    later = _numbers(before)[-1] if len(before) else 0
    more = history_of(one for one in unpack(runs) if one.number > later)
    both = _reached(_joined(before, more), state.recorded, over, now, settings)
    state = replace(state, history=_appended(*both, None))
    return state if job.success_ratio is None else with_ratio(job, state, now)


def _joined(before: History, more: History) -> History:
    if not len(more):
        return before
    return History(
        numbers=before.numbers + more.numbers,
        ends=before.ends + more.ends,
        durations=before.durations + more.durations,
        oks=before.oks + more.oks,
        ordered=before.ordered
        and more.ordered
        and (not len(before) or _ends(before)[-1] <= _ends(more)[0]),
    )


def _reached(
    history: History, newest: int, over: float, now: float, settings: Settings
) -> tuple[History, int]:
    """Return *history*, and the index of its first run that a window reaches.

    *newest* is the number of the last run.
    """
    if not history.ordered:
        history = _only(history, _inside(history, over, now))
    first = bisect_right(_numbers(history), newest - settings.runs_per_job)
    if history.ordered:
        first = max(first, _first(history, over, now))
    return history, first


def put_back(ends: Sequence[float], now: float) -> Sequence[float]:
    """Return *ends* of runs, in order of arrival, with none later than *now*.

    Runs recorded by a clock that was ahead ended before those that arrived later, and
    after those that arrived before. Their distances are kept: otherwise the runs of a
    month would all be in the window of a day.
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


def with_ratio(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* with the success ratio at *now*."""
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


def is_ratio_low(
    limit: SuccessRatio, ratio: Ratio, state: JobState, goes_on: bool
) -> bool:
    """Return True if too few of the last runs were ok: *ratio* of them.

    *goes_on* is true while such an alert is open. If the window is a multiple of the
    period, a new run comes seconds before or after the oldest one leaves: neither may
    open or resolve an alert. So it opens if the ratio is low in the window and in two
    others, a quarter of the usual gap between runs shorter and longer, and stays open
    while it is low in one of them.
    """
    ratios = (ratio, *(state.ratio_edges or ()))
    low = (
        one.runs >= max(1, limit.min_runs) and one.value < limit.below for one in ratios
    )
    return any(low) if goes_on else all(low)


def slow_threshold(slower: SlowerThan, history: History, now: float) -> float | None:
    """Return the duration from which on a run that ends at *now* is slow.

    A factor of the median or mean of the ok runs before it; None with too few runs.
    """
    if history.ordered:
        first = _first(history, slower.over, now)
    else:
        history, first = _only(history, _inside(history, slower.over, now)), 0
    ok_durations = compress(_durations(history)[first:], history.oks[first:])
    durations = [*filterfalse(math.isnan, ok_durations)]
    if len(durations) < max(1, slower.min_runs):
        return None
    average = statistics.median if slower.than is Average.MEDIAN else statistics.fmean
    return slower.factor * average(durations)


def _ratio(history: History, over: float, now: float) -> tuple[Ratio, float]:
    """Return the ratio of the runs that ended less than *over* seconds before *now*.

    Also the time at which the next of them leaves; +inf for never.
    """
    if history.ordered:
        first, runs = _first(history, over, now), len(history)
        until = _ends(history)[first] + over if first < runs else math.inf
        return Ratio(history.oks.count(1, first), runs - first), until
    inside = _inside(history, over, now)
    until = min(compress(_ends(history), inside), default=math.inf) + over
    return Ratio(sum(compress(history.oks, inside)), sum(inside)), until


def _usual_gap(history: History, over: float, now: float) -> tuple[float, float]:
    """Return the average time from one run to the next: at most *over*.

    It counts runs that ended little more than *over* seconds before *now*. Also the
    time at which the next of them leaves; +inf for never.
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
    """Return the index of the first run that ended less than *over* before *now*.

    The history must be in order.
    """
    return bisect_right(_ends(history), now, key=lambda end: end + over)


def _inside(history: History, over: float, now: float) -> list[bool]:
    """Return True for each run that ended less than *over* before *now*."""
    return [end + over > now for end in _ends(history)]


def _only(history: History, selection: Sequence[bool]) -> History:
    """Return *history* with the runs in *selection* only."""
    if all(selection):
        return history
    ends = array("d", compress(_ends(history), selection))
    return History(
        numbers=array("Q", compress(_numbers(history), selection)).tobytes(),
        ends=ends.tobytes(),
        durations=array("d", compress(_durations(history), selection)).tobytes(),
        oks=bytes(compress(history.oks, selection)),
        ordered=all(map(le, ends, ends[1:])),
    )


def _appended(history: History, first: int, run: Past | None) -> History:
    """Return *history* from the index *first* on, followed by *run*."""
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
    # One copy instead of one per part.
    return b"".join((memoryview(column)[start:], more))


def _numbers(history: History) -> Sequence[int]:
    return memoryview(history.numbers).cast("Q")


def _ends(history: History) -> Sequence[float]:
    return memoryview(history.ends).cast("d")


def _durations(history: History) -> Sequence[float]:
    return memoryview(history.durations).cast("d")
