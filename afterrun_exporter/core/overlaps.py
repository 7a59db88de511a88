"""Overlaps: runs of one job that are open at the same time.

They overlap from the start of the run that exceeds the limit until all runs that were
open then have ended. A run that died silently is open until it is given up: the runs
that start and end meanwhile open no further alerts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.run_limits import CLOSE_BEHIND, is_unobserved
from afterrun_exporter.core.state import JobState, OpenRun
from afterrun_exporter.core.timestamps import format_time

#: The length limit of a group, which is stored while the run is open, and shown.
MAX_GROUP: Final = 200


def group_of(job: Job, ping: Ping) -> str:
    """Return the group of the run that *ping* starts; only runs of one group overlap.

    It is the value of the metadata field in `concurrency.by`; runs without it are a
    group of their own.
    """
    if job.concurrency is None or job.concurrency.by is None or not ping.metadata:
        return ""
    by = job.concurrency.by.removeprefix("metadata.")
    value = json.loads(ping.metadata).get(by)
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    # It may be half a surrogate pair (\ud800), which UTF-8 cannot encode.
    return text[:MAX_GROUP].encode("utf-8", "replace").decode()


def with_overlaps(
    job: Job, state: JobState, now: float, settings: Settings
) -> JobState:
    """Return *state* with the largest overlap of each open run updated."""
    if job.concurrency is None or len(state.open_runs) <= job.concurrency.max:
        return state
    for runs in _groups(_may_overlap(job, state, now, settings)):
        for run in runs[:-1]:
            if run.among < len(runs) > job.concurrency.max:
                state = _with(state, run, replace(run, among=len(runs)))
    return state


def without_late_starts(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* without the mark of late starts that were reported some time ago.

    Their ends have not followed: from now on these runs may overlap.
    """
    if job.concurrency is None:
        return state
    for run in state.open_runs:
        if _has_arrived(run, now) and run.reported_at:
            state = _with(state, run, replace(run, reported_at=0.0))
    return state


def _has_arrived(run: OpenRun, now: float) -> bool:
    return not run.reported_at or run.reported_at + CLOSE_BEHIND < now


def overlap(job: Job, state: JobState, now: float, settings: Settings) -> str:
    """Return a text on the runs that overlap; "" if there are none."""
    if job.concurrency is None:
        return ""
    runs = _may_overlap(job, state, now, settings)
    together: Sequence[OpenRun] = max(_groups(runs), key=len, default=())
    may = f"{job.concurrency.max} may be"
    if len(together) > job.concurrency.max:
        group, suffix = together[0].group, ""
        if (by := job.concurrency.by) is not None:
            suffix = f" with {by} {group!r}" if group else f" without {by}"
        return f"{plural(len(together), 'run')}{suffix} are open at once, {may}"
    for run in runs:
        if run.among > job.concurrency.max:
            began = format_time(run.started_at)
            return (
                f"the run started at {began} is still open since "
                f"{plural(run.among, 'run')} were open at once, {may}"
            )
    return ""


def _may_overlap(
    job: Job, state: JobState, now: float, settings: Settings
) -> Sequence[OpenRun]:
    """Return the open runs that may overlap.

    A run that may have ended unobserved does not overlap. Nor does a run whose start
    was just reported late: the report of its end may follow.
    """
    return [
        run
        for run in state.open_runs
        if _has_arrived(run, now) and not is_unobserved(job, run, settings)
    ]


def _with(state: JobState, run: OpenRun, changed: OpenRun) -> JobState:
    runs = (changed if one is run else one for one in state.open_runs)
    return replace(state, open_runs=tuple(runs))


def _groups(runs: Iterable[OpenRun]) -> Sequence[Sequence[OpenRun]]:
    """Return the runs of each group, in the order of their starts."""
    ordered = sorted(runs, key=attrgetter("group", "started_at"))
    return [[*same] for _, same in groupby(ordered, key=attrgetter("group"))]
