"""What a run reports before its end."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from afterrun_exporter.core import finishes, metadata
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, Transition
from afterrun_exporter.core.units import format_duration

NONE_OPEN: Final = "no run is open: send a start before progress"
NOTHING_TO_ADD_TO: Final = (
    "no run is open: what comes before a start or after the end is noted in the log, "
    "and adds to nothing"
)


def progressed(job: Job, state: JobState, ping: Ping, settings: Settings) -> Transition:
    """Return what becomes of *state* by a report on the run that *ping* is about."""
    open_run = finishes.open_run_of(state, ping)
    if open_run is None and ping.adds:
        return _added_to_nothing(state, ping)
    limit = settings.metrics_per_job
    before = open_run.metrics if open_run else {}
    now = finishes.metrics_after(before, ping, limit)
    open_runs, left_out = _reporting(state, open_run, ping, metrics=now)
    told = {name: now[name] for name in ping.metrics if name in now}
    metrics = finishes.merged_metrics(state.metrics, told, limit)
    return Transition(
        state=replace(
            state, last_ping_at=ping.at, open_runs=open_runs, metrics=metrics
        ),
        logs=(said_by(ping),) if ping.message else (),
        warnings=(*left_out, *announced(job, ping)) if open_run else (NONE_OPEN,),
    )


def gone_on(state: JobState, ping: Ping) -> Transition:
    """Return what becomes of *state* by a sign that the run of *ping* goes on."""
    open_run = finishes.open_run_of(state, ping)
    open_runs, left_out = _reporting(state, open_run, ping)
    going_on = replace(state, last_ping_at=ping.at, open_runs=open_runs)
    return Transition(state=going_on, warnings=left_out)


def logged(job: Job, state: JobState, ping: Ping) -> Transition:
    """Return what becomes of *state* by a message, which is a sign of life as well."""
    open_run = finishes.open_run_of(state, ping)
    heard = replace(state, last_ping_at=ping.at)
    if open_run is None:
        return Transition(state=heard, logs=(said_by(ping),))
    open_runs = tuple(
        replace(run, **_alive(run, ping)) if run is open_run else run
        for run in state.open_runs
    )
    return Transition(
        state=replace(heard, open_runs=open_runs),
        logs=(said_by(ping),),
        warnings=announced(job, ping),
    )


def announced(job: Job, ping: Ping) -> tuple[str, ...]:
    """Return a warning where *ping* announces rarer signs of life than *job* expects."""
    if ping.heartbeat is None or not job.heartbeat or ping.heartbeat <= job.heartbeat:
        return ()
    rarer, counts = map(format_duration, (ping.heartbeat, job.heartbeat))
    warning = (
        f"heartbeat_seconds announces a sign of life within {rarer}: the job's "
        f"heartbeat of {counts} counts; send them more often or raise it"
    )
    return (warning,)


def said_by(ping: Ping) -> LogEntry:
    """Return what *ping* says, as the log has it."""
    return LogEntry(ping.at, ping.run_id, ping.message, ping.metadata)


def _reporting(
    state: JobState, open_run: OpenRun | None, ping: Ping, **changes: Any
) -> tuple[tuple[OpenRun, ...], tuple[str, ...]]:
    """Return the open runs with *changes* and the metadata of *ping* in *open_run*.

    It is a sign of life of that run. And a warning where not all of the metadata is
    kept.
    """
    left_out: tuple[str, ...] = ()
    if open_run is None:
        return state.open_runs, left_out
    changes |= _alive(open_run, ping)
    if ping.metadata:
        whole = metadata.merged(open_run.metadata, ping.metadata)
        changes["metadata"], left_out = metadata.bounded(whole)
    open_runs = tuple(
        replace(run, **changes) if run is open_run else run for run in state.open_runs
    )
    return open_runs, left_out


def _alive(run: OpenRun, ping: Ping) -> dict[str, Any]:
    return {"alive_at": ping.at, "heartbeat": ping.heartbeat or run.heartbeat}


def _added_to_nothing(state: JobState, ping: Ping) -> Transition:
    """Return *state* with its metrics as they are: nobody knows what these add to."""
    counts = ", ".join(f"{name} +{more:g}" for name, more in ping.metrics.items())
    noted = LogEntry(ping.at, ping.run_id, f"{counts}, while no run was open")
    return Transition(
        state=replace(state, last_ping_at=ping.at),
        logs=(noted,) if counts else (),
        warnings=(NOTHING_TO_ADD_TO,),
    )
