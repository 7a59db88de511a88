"""Reports of a run before its end."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from afterrun_exporter.core import finishes, metadata
from afterrun_exporter.core.model import Job, Ping, Settings
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun, Transition
from afterrun_exporter.core.units import format_duration

NONE_OPEN: Final = "no run is open: send a start before progress"
NOTHING_TO_ADD_TO: Final = (
    "no run is open: this is recorded in the log only, as there is no run whose metrics "
    "it could add to"
)


def with_progress(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    """Return the transition of *state* by a progress report."""
    open_run = finishes.open_run_of(state, ping)
    if open_run is None and ping.adds:
        return _added_to_nothing(state, ping)
    limit = settings.metrics_per_job
    before = open_run.metrics if open_run else {}
    now = finishes.metrics_after(before, ping, limit)
    open_runs, omitted = _reporting(state, open_run, ping, metrics=now)
    reported = {name: now[name] for name in ping.metrics if name in now}
    metrics = finishes.merged_metrics(state.metrics, reported, limit)
    return Transition(
        state=replace(
            state, last_ping_at=ping.at, open_runs=open_runs, metrics=metrics
        ),
        logs=(log_entry(ping),) if ping.message else (),
        warnings=(*omitted, *heartbeat_warnings(job, ping))
        if open_run
        else (NONE_OPEN,),
    )


def with_heartbeat(state: JobState, ping: Ping) -> Transition:
    """Return the transition of *state* by a heartbeat of the run of *ping*."""
    open_run = finishes.open_run_of(state, ping)
    open_runs, omitted = _reporting(state, open_run, ping)
    going_on = replace(state, last_ping_at=ping.at, open_runs=open_runs)
    return Transition(state=going_on, warnings=omitted)


def with_log(job: Job, state: JobState, ping: Ping) -> Transition:
    """Return the transition of *state* by a log message, which is a heartbeat, too."""
    open_run = finishes.open_run_of(state, ping)
    updated = replace(state, last_ping_at=ping.at)
    if open_run is None:
        return Transition(state=updated, logs=(log_entry(ping),))
    open_runs = tuple(
        replace(run, **_alive(run, ping)) if run is open_run else run
        for run in state.open_runs
    )
    return Transition(
        state=replace(updated, open_runs=open_runs),
        logs=(log_entry(ping),),
        warnings=heartbeat_warnings(job, ping),
    )


def heartbeat_warnings(job: Job, ping: Ping) -> tuple[str, ...]:
    """Return a warning if *ping* announces rarer heartbeats than *job* expects."""
    if ping.heartbeat is None or not job.heartbeat or ping.heartbeat <= job.heartbeat:
        return ()
    rarer, counts = map(format_duration, (ping.heartbeat, job.heartbeat))
    warning = (
        f"heartbeat_seconds announces a heartbeat within {rarer}: the job's "
        f"heartbeat of {counts} counts; send them more often or raise it"
    )
    return (warning,)


def log_entry(ping: Ping) -> LogEntry:
    """Return the log entry with the message of *ping*."""
    return LogEntry(ping.at, ping.run_id, ping.message, ping.metadata)


def _reporting(
    state: JobState, open_run: OpenRun | None, ping: Ping, **changes: Any
) -> tuple[tuple[OpenRun, ...], tuple[str, ...]]:
    """Return the open runs with *changes* and the metadata of *ping* in *open_run*.

    This is a heartbeat of that run. Also a warning if metadata was omitted.
    """
    omitted: tuple[str, ...] = ()
    if open_run is None:
        return state.open_runs, omitted
    changes |= _alive(open_run, ping)
    if ping.metadata:
        whole = metadata.merged(open_run.metadata, ping.metadata)
        changes["metadata"], omitted = metadata.bounded(whole)
    open_runs = tuple(
        replace(run, **changes) if run is open_run else run for run in state.open_runs
    )
    return open_runs, omitted


def _alive(run: OpenRun, ping: Ping) -> dict[str, Any]:
    return {"alive_at": ping.at, "heartbeat": ping.heartbeat or run.heartbeat}


def _added_to_nothing(state: JobState, ping: Ping) -> Transition:
    """Return *state* with unchanged metrics: there is no run to add them to."""
    counts = ", ".join(f"{name} +{more:g}" for name, more in ping.metrics.items())
    entry = LogEntry(ping.at, ping.run_id, f"{counts}, while no run was open")
    return Transition(
        state=replace(state, last_ping_at=ping.at),
        logs=(entry,) if counts else (),
        warnings=(NOTHING_TO_ADD_TO,),
    )
