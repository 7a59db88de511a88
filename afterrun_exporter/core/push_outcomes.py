"""The outcome of a push: an ended run, a failed one, or progress.

It depends on the earlier pushes of the job, so it is decided with the current state.
Client libraries push in `finally` and set `*_last_success*` only if the job succeeded:
a push without it, or with its old value, is a failed run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.finishes import open_run_of
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping
from afterrun_exporter.core.outcome_metrics import (
    DEFAULTS,
    MIN_TIME,
    Push,
    PushSettings,
    Times,
    instant,
    is_failure_time,
    is_success_time,
)
from afterrun_exporter.core.state import JobState, Mark
from afterrun_exporter.core.timestamps import format_time

#: Maximum of metrics of one job whose times are kept. None replaces another: a job
#: must not lose the time of its success metric.
MAX_MARKS: Final = 100

DELETED: Final = "its group was deleted before a push reported success"


def with_outcome(job: Job, state: JobState, ping: Ping, push: Push) -> Ping | None:
    """Return *ping* with the outcome according to *push* and the earlier pushes.

    None for the deletion of a group that is not the end of a run.
    """
    settings = job.push or DEFAULTS
    if push.deleted:
        if not settings.progress or open_run_of(state, ping) is None:
            return None
        return replace(ping, kind=Kind.FINISH, outcome=Outcome.FAIL, message=DELETED)
    marks = marks_of(state)
    failures = (*push.failures, *_new_failures(marks, push))
    doubts = (*push.unset, *_doubts(marks, push, settings))
    if settings.progress and not failures:
        if doubts or not (push.succeeded or push.confirmed):
            return replace(ping, kind=Kind.PROGRESS, ended_at=None, duration=None)
        return ping
    if not (failures or doubts):
        return ping
    message = "; ".join((*failures, *doubts))
    return replace(ping, outcome=Outcome.FAIL, ended_at=None, message=message)


def marks_of(state: JobState) -> Mapping[str, Mark]:
    """Return the times that pushes of a job have reported, by metric name."""
    if state.marks is not None:
        return state.marks
    # A state from before the introduction of marks has the last values only.
    marks: dict[str, Mark] = {}
    for series, value in state.metrics.items():
        name = series.partition("{")[0]
        if is_success_time(name, DEFAULTS) or is_failure_time(name, DEFAULTS):
            latest = max(instant(value), marks[name].value if name in marks else 0.0)
            marks[name] = Mark(latest, state.last_finish_at)
    return marks


def with_marks(state: JobState, before: JobState, push: Push, at: float) -> JobState:
    """Return *state* with the marks of *before*, updated with the times of *push*.

    *at* is the time of its arrival.
    """
    marks = dict(marks_of(before))
    for name, times in (*push.succeeded.items(), *push.failed.items()):
        mark = marks.get(name)
        if mark is not None:
            marks[name] = _later(mark, times, at)
        elif len(marks) < MAX_MARKS:
            marks[name] = Mark(times.high, at, times.series)
    for name in push.missing:
        # Declared but never set: the next push must have it, too.
        if name not in marks and len(marks) < MAX_MARKS:
            marks[name] = Mark(0.0, at)
    return state if marks == state.marks else replace(state, marks=marks)


def _later(mark: Mark, times: Times, at: float) -> Mark:
    series = max(mark.series, times.series)
    from_ahead = mark.value > mark.at and times.high not in {0.0, mark.value}
    if times.high > mark.value or from_ahead:
        return Mark(times.high, at, series)
    return mark if series == mark.series else Mark(mark.value, mark.at, series)


def _new_failures(marks: Mapping[str, Mark], push: Push) -> Iterator[str]:
    succeeded_at = max((one.high for one in push.succeeded.values()), default=0.0)
    for name, times in push.failed.items():
        if times.high < MIN_TIME:
            continue
        mark = marks.get(name)
        if times.high > mark.value if mark else times.high > succeeded_at:
            yield f"{name} is {format_time(times.high)}"


def _doubts(
    marks: Mapping[str, Mark], push: Push, settings: PushSettings
) -> Iterator[str]:
    """Yield the reasons why the success metrics do not confirm a success."""
    for name in push.missing:
        yield f"{name} has no value"
    if push.required and not push.missing:
        yield f"{push.required} is missing"
    for name, mark in marks.items():
        times = push.succeeded.get(name)
        if name in push.missing or not is_success_time(name, settings):
            continue
        if times is None and not push.required:
            yield f"{name} is missing: earlier pushes of this job had it"
        elif times is not None and times.series < mark.series:
            yield (
                f"{name} has {times.series} series: earlier pushes of this job had "
                f"{mark.series}"
            )
    for name, times in push.succeeded.items():
        if times.bad:
            yield f"{name} is {times.bad}: never succeeded"
        elif (last := marks.get(name)) is not None and not _advanced(last, times):
            yield f"{name} did not advance: it is {_format(times.low)} again"


def _advanced(mark: Mark, times: Times) -> bool:
    # A clock that was ahead must not make later successes invalid.
    return times.low > min(mark.value, mark.at) and times.low != mark.value


def _format(value: float) -> str:
    return format_time(value) if value >= MIN_TIME else f"{value:g}"
