"""The last runs of a job, as far back as its windows reach: 25 bytes each.

Kept for jobs with a success ratio or a usual duration only, and in memory only:
after a restart it is made anew of the runs that are stored.
"""

from __future__ import annotations

import math
import statistics
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from afterrun_exporter.core.model import Average, Job, Outcome, Run, Settings
from afterrun_exporter.core.state import JobState, Ratio

#: Number, end, duration (NaN when unknown), whether it was ok.
_RECORD = struct.Struct("<Qdd?")


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


def pack(runs: Iterable[Past]) -> bytes:
    """Return *runs* as a history: by number, each once."""
    by_number = {run.number: run for run in runs}
    return b"".join(
        _RECORD.pack(run.number, run.finished_at, run.duration, run.ok)
        for _, run in sorted(by_number.items())
    )


def unpack(history: bytes) -> Iterator[Past]:
    """Yield the runs of *history* in order of arrival."""
    for record in _RECORD.iter_unpack(history):
        yield Past(*record)


def past(run: Run) -> Past | None:
    """Return what to remember of *run*; None for a canceled one."""
    if run.outcome is Outcome.CANCELED:
        return None
    duration = math.nan if run.duration is None else run.duration
    return Past(run.number, run.finished_at, duration, run.outcome is Outcome.OK)


def extended(
    job: Job, history: bytes, run: Run, now: float, settings: Settings
) -> bytes:
    """Return *history* with *run*, and without what no window sees any more.

    Nor has it more runs than the store keeps of a job: a restart must not
    change what a window comes to.
    """
    if not reach(job):
        return b""
    kept = _seen(job, history, run.number, now, settings)
    if (new := past(run)) is not None:
        kept.append((new.number, new.finished_at, new.duration, new.ok))
    return b"".join(_RECORD.pack(*record) for record in kept)


def joined(
    job: Job, stored: bytes, state: JobState, now: float, settings: Settings
) -> bytes:
    """Return the history of a job from what is *stored*, and what came since."""
    newer = {run.number: run for run in unpack(state.history)}
    whole = pack({**{run.number: run for run in unpack(stored)}, **newer}.values())
    kept = _seen(job, whole, state.runs_total, now, settings)
    return b"".join(_RECORD.pack(*record) for record in kept)


def _seen(
    job: Job, history: bytes, newest: int, now: float, settings: Settings
) -> list[tuple[Any, ...]]:
    over, first = reach(job), newest - settings.runs_per_job
    return [
        record
        for record in _RECORD.iter_unpack(history)
        if record[1] + over > now and record[0] > first
    ]


def ratio(history: bytes, over: float, now: float) -> Ratio:
    """Return how the runs that ended less than *over* seconds before *now* did."""
    oks = [ok for _, end, _, ok in _RECORD.iter_unpack(history) if end + over > now]
    return Ratio(sum(oks), len(oks))


def slid(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* with the success ratio as it is at *now*."""
    if job.success_ratio is None:
        return replace(state, success_ratio=None, ratio_until=math.inf)
    over = job.success_ratio.over
    now_ratio = ratio(state.history, over, now)
    exits = (end + over for _, end, _, _ in _RECORD.iter_unpack(state.history))
    until = min((exit_ for exit_ in exits if exit_ > now), default=math.inf)
    if now_ratio == state.success_ratio and until == state.ratio_until:
        return state
    return replace(state, success_ratio=now_ratio, ratio_until=until)


def slow_threshold(job: Job, history: bytes, now: float) -> float | None:
    """Return from which duration on a run that ends at *now* is slow.

    That is a factor of the median or mean of the ok runs before it; None where
    nothing is configured or too few of them are known.
    """
    if (slower := job.slower_than) is None:
        return None
    durations = [
        duration
        for _, end, duration, ok in _RECORD.iter_unpack(history)
        if ok and end + slower.over > now and not math.isnan(duration)
    ]
    if len(durations) < max(1, slower.min_runs):
        return None
    average = statistics.median if slower.than is Average.MEDIAN else statistics.fmean
    return slower.factor * average(durations)
