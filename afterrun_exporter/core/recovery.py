"""The failing state of a job, and its recovery.

A job is failing from `after_failures` bad runs in a row until `recover_after` ok runs
in a row. That depends on the runs alone: a pause resolves the alert, but not the
failing state.
"""

from __future__ import annotations

from typing import NamedTuple

from afterrun_exporter.core import hung_runs
from afterrun_exporter.core.model import FAILURES, Condition, Job, Outcome
from afterrun_exporter.core.state import JobState


class Record(NamedTuple):
    """The facts about the latest runs of a job that decide if it is failing."""

    consecutive_failures: int
    #: Consecutive ok runs, at most `recover_after`; 0 if that is 1.
    recovering: int
    failing: bool


def record(job: Job, state: JobState, outcome: Outcome) -> Record:
    """Return the record after another run with *outcome*."""
    if outcome is Outcome.OK:
        if job.recover_after == 1:
            return Record(0, 0, failing=False)
        recovering = min(state.recovering + 1, job.recover_after)
        failing = was_failing(state) and recovering < job.recover_after
        return Record(0, recovering, failing)
    bad = state.consecutive_failures + 1
    begins = outcome in FAILURES and bad >= job.after_failures
    goes_on = job.recover_after > 1 and was_failing(state)
    return Record(bad, 0, begins or goes_on)


def is_failing(job: Job, state: JobState) -> bool:
    """Return True if *job* is failing, according to its present configuration."""
    if hung_runs.is_pending(state) and not was_failing(state):
        return False
    return has_failed(job, state)


def has_failed(job: Job, state: JobState) -> bool:
    """Return True if *job* is failing by its runs, hung ones included.

    While no run has ended after a hung one, the alert on that one is enough.
    """
    enough = state.consecutive_failures >= job.after_failures
    if enough and state.last_outcome in FAILURES:
        return True
    return state.recovering < job.recover_after > 1 and was_failing(state)


def was_failing(state: JobState) -> bool:
    """Return True if the job was failing by its last run."""
    if state.failing:
        return True
    # A state from before the introduction of the field has the alert only.
    return any(alert.key.condition is Condition.FAILING for alert in state.alerts)
