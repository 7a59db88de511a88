"""The state of a job in one word, for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from afterrun_exporter.core import recovery
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState


class Status(StrEnum):
    """The words for the state of a job: open conditions first, the worst before others."""

    MISSED = "missed"
    FAILING = "failing"
    VIOLATED = "violated"
    OVERRUNNING = "overrunning"
    SLOW = "slow"
    OVERLAPPING = "overlapping"
    SUCCESS_RATIO_LOW = "success_ratio_low"
    UPSTREAM_UNHEALTHY = "upstream_unhealthy"
    #: A run has failed and will be retried: its outcome is still open.
    RETRYING = "retrying"
    RUNNING = "running"
    OK = "ok"
    PAUSED = "paused"
    NEW = "new"


#: Conditions of the job itself, the worst first.
BROKEN: Final = (
    Status.MISSED,
    Status.FAILING,
    Status.VIOLATED,
    Status.OVERRUNNING,
    Status.SLOW,
    Status.OVERLAPPING,
    Status.SUCCESS_RATIO_LOW,
)
_CONDITIONS: Final = (*BROKEN, Status.UPSTREAM_UNHEALTHY)


def status(job: Job, state: JobState) -> Status:
    """Return the worst open condition of *job*, or else its state without one."""
    if not job.enabled:
        return Status.PAUSED
    if state.alerts or state.loaded or state.hung:
        words = _conditions(job, state)
        for word in _CONDITIONS:
            if word in words:
                return word
    if state.retries:
        return Status.RETRYING
    if state.open_runs:
        return Status.RUNNING
    return Status.NEW if state.last_outcome is None else Status.OK


def _conditions(job: Job, state: JobState) -> set[str]:
    words: set[str] = {alert.key.condition.value for alert in state.alerts}
    # Past runs that were loaded open no alert, and neither does a run that hung before
    # the next one has ended.
    if state.loaded and state.violated:
        words.add(Status.VIOLATED)
    is_pending = state.hung and Status.OVERRUNNING not in words
    if (state.loaded or is_pending) and recovery.has_failed(job, state):
        words.add(Status.FAILING)
    return words
