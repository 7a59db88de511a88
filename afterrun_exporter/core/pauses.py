"""Jobs of which nothing is expected for a while, because somebody said so."""

from __future__ import annotations

from msgspec.structs import replace

from afterrun_exporter.core.model import Job, Kind, Outcome, Ping
from afterrun_exporter.core.spans import end_of
from afterrun_exporter.core.state import JobState


def paused(
    state: JobState, now: float, until: float | None, *, resumes_on_ping: bool
) -> JobState:
    """Return *state*, paused until *until*: until somebody resumes it where that is None."""
    return replace(
        state,
        paused_at=state.paused_at or now,
        paused_until=until,
        resumes_on_ping=resumes_on_ping,
    )


def resumed(state: JobState) -> JobState:
    """Return *state*, paused no more."""
    if not state.paused_at:
        return state
    return replace(state, paused_at=0.0, paused_until=None, resumes_on_ping=False)


def is_over(state: JobState, now: float) -> bool:
    """Return whether the job has been paused for as long as was asked for."""
    return state.paused_until is not None and state.paused_until <= now


def ends_with(state: JobState, ping: Ping) -> bool:
    """Return whether *ping*, unless it is a repeat, is the sign that the job goes on.

    Nobody can tell what an unreadable report means, and one of a run that ended
    before the pause says nothing of what has been since.
    """
    readable = ping.kind is not Kind.LOG and ping.outcome is not Outcome.INVALID
    readable = readable and not ping.history
    asked = state.resumes_on_ping and readable and end_of(ping) >= state.paused_at
    return asked or is_over(state, ping.at)


def resting(job: Job) -> Job:
    """Return *job* as it is judged while it is paused."""
    return replace(job, enabled=False)
