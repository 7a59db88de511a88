"""Pausing and resuming jobs.

A pause resolves the alerts of a job, and no runs are expected. Reports are recorded
meanwhile. At its end the slots in between are not missed, and problems that persist are
alerts again, from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.run_times import end_of
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import on_clock
from afterrun_exporter.core.upstream import Required


def on_pause(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required] = (),
    *,
    until: float | None = None,
    lasts: float = 0.0,
    resumes_on_ping: bool = False,
) -> Transition:
    """Pause *job* for *lasts* seconds, or until *until*, or until it is resumed."""
    noticed = Transition(state=state)
    if not state.paused_at or is_over(state, now):
        # Misses from before the pause are recorded, however recent.
        noticed = on_resume(job, state, now, settings, required)
    paused = replace(
        noticed.state,
        paused_at=noticed.state.paused_at or now,
        paused_until=now + lasts if lasts else until,
        paused_for=lasts,
        resumes_on_ping=resumes_on_ping,
    )
    return on_clock(paused_job(job), paused, now, settings, required).after(noticed)


def on_resume(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required] = (),
) -> Transition:
    """Resume *job* at *now*, or at the end of its pause if that was earlier."""
    if not state.paused_at:
        return on_clock(job, state, now, settings, required)
    end = now if state.paused_until is None else min(now, state.paused_until)
    going_on = replace(
        state,
        paused_at=0.0,
        paused_until=None,
        paused_for=0.0,
        resumes_on_ping=False,
    )
    resumed = on_clock(job, going_on, end, settings, required)
    if end == now:
        return resumed
    return on_clock(job, resumed.state, now, settings, required).after(resumed)


def is_over(state: JobState, now: float) -> bool:
    """Return True if the requested duration of the pause is over."""
    return state.paused_until is not None and state.paused_until <= now


def is_ended_by(state: JobState, ping: Ping) -> bool:
    """Return True if *ping*, unless it is a repeat, ends the pause.

    An unreadable report does not, and neither does that of a run that ended before the
    pause.
    """
    readable = ping.kind is not Kind.LOG and ping.outcome is not Outcome.INVALID
    readable = readable and not ping.history
    requested = state.resumes_on_ping and readable and end_of(ping) >= state.paused_at
    return requested or is_over(state, ping.at)


def paused_job(job: Job) -> Job:
    """Return *job* with the settings that apply while it is paused."""
    return replace(job, enabled=False)
