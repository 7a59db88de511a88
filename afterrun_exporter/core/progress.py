"""What a run reports before its end."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import finishes
from afterrun_exporter.core.model import Ping, Settings
from afterrun_exporter.core.state import JobState, LogEntry, Transition

NONE_OPEN: Final = "no run is open: send a start before progress"
NOTHING_TO_ADD_TO: Final = (
    "no run is open: what comes before a start or after the end is noted in the log, "
    "and adds to nothing"
)


def progressed(state: JobState, ping: Ping, settings: Settings) -> Transition:
    """Return what becomes of *state* by a report on the run that *ping* is about."""
    open_run = finishes.open_run_of(state, ping)
    if open_run is None and ping.adds:
        return _added_to_nothing(state, ping)
    limit = settings.metrics_per_job
    before = open_run.metrics if open_run else {}
    now = finishes.reported(before, ping, limit)
    open_runs = tuple(
        replace(run, metrics=now) if run is open_run else run for run in state.open_runs
    )
    told = {name: now[name] for name in ping.metrics if name in now}
    metrics = finishes.merged(state.metrics, told, limit)
    return Transition(
        state=replace(
            state, last_ping_at=ping.at, open_runs=open_runs, metrics=metrics
        ),
        logs=(said_by(ping),) if ping.message else (),
        warnings=() if open_run else (NONE_OPEN,),
    )


def gone_on(state: JobState, ping: Ping) -> JobState:
    """Return *state* with the run that *ping* is about said to go on."""
    open_run = finishes.open_run_of(state, ping)
    open_runs = tuple(
        replace(run, alive_at=ping.at) if run is open_run else run
        for run in state.open_runs
    )
    return replace(state, last_ping_at=ping.at, open_runs=open_runs)


def said_by(ping: Ping) -> LogEntry:
    """Return what *ping* says, as the log has it."""
    return LogEntry(ping.at, ping.run_id, ping.message, ping.metadata)


def _added_to_nothing(state: JobState, ping: Ping) -> Transition:
    """Return *state* with its metrics as they are: nobody knows what these add to."""
    counts = ", ".join(f"{name} +{more:g}" for name, more in ping.metrics.items())
    noted = LogEntry(ping.at, ping.run_id, f"{counts}, while no run was open")
    return Transition(
        state=replace(state, last_ping_at=ping.at),
        logs=(noted,) if counts else (),
        warnings=(NOTHING_TO_ADD_TO,),
    )
