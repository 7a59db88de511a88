"""Jobs that are unchanged by a start or a reload, and comparison of stored states."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core.deadlines import is_unchanged, schedule_text, wake_at
from afterrun_exporter.core.model import Job, Outcome, Settings
from afterrun_exporter.core.state import DERIVED, JobState

_FINE: Final = frozenset({None, Outcome.OK})


def quiet_until(
    job: Job, state: JobState, at: float, settings: Settings
) -> float | None:
    """Return the time until which *job* needs no check; None if it needs one now.

    Until then `on_clock` changes nothing, regardless of the previous configuration and
    settings of the job. None is always correct, and the result for every job with a
    problem.
    """
    if (
        state.last_outcome not in _FINE
        or state.missed_deadline is not None
        or state.open_runs
        or state.hung
        or state.retries
        or state.violated
        or state.failing
        or (state.watched_since is None) is job.enabled
        or state.slow
        or state.upstream
        or state.test_until
        or state.success_ratio is not None
        or state.schedule != schedule_text(job)
    ):
        return None
    wake = wake_at(job, state, settings)
    return wake if is_unchanged(job, state, at, wake) else None


def same_facts(one: JobState, other: JobState) -> bool:
    """Return True if two states are equal in all stored fields."""
    if one.last_ping_at != other.last_ping_at:
        return False
    return one == replace(other, **{name: getattr(one, name) for name in DERIVED})
