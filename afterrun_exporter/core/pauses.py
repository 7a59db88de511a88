"""Pausing and resuming jobs.

A pause resolves the alerts of a job and expects nothing of it. What is reported
meanwhile is judged and kept. At its end the slots in between are not missed, and what
is still wrong by the runs and their time limits is an alert again, from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.spans import end_of
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
        # What was missed a moment ago is recorded, however soon the pause begins.
        noticed = on_resume(job, state, now, settings, required)
    paused = replace(
        noticed.state,
        paused_at=noticed.state.paused_at or now,
        paused_until=now + lasts if lasts else until,
        paused_for=lasts,
        resumes_on_ping=resumes_on_ping,
    )
    return on_clock(resting(job), paused, now, settings, required).after(noticed)


def on_resume(
    job: Job,
    state: JobState,
    now: float,
    settings: Settings,
    required: Sequence[Required] = (),
) -> Transition:
    """Watch *job* again from *now* on, or from the end of its pause if that was before."""
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
    """Return True if the job has been paused for as long as was requested."""
    return state.paused_until is not None and state.paused_until <= now


def ends_with(state: JobState, ping: Ping) -> bool:
    """Return True if *ping*, unless it is a repeat, is the sign that the job goes on.

    Nobody can tell what an unreadable report means, and one of a run that ended
    before the pause says nothing of what has been since.
    """
    readable = ping.kind is not Kind.LOG and ping.outcome is not Outcome.INVALID
    readable = readable and not ping.history
    requested = state.resumes_on_ping and readable and end_of(ping) >= state.paused_at
    return requested or is_over(state, ping.at)


def resting(job: Job) -> Job:
    """Return *job* as it is judged while it is paused."""
    return replace(job, enabled=False)
