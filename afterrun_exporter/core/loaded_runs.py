"""Loading past runs: they are recorded and counted, but open no alerts.

A job whose newest run was loaded has the status of that run, but its alerts stay
unchanged until an ordinary report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from afterrun_exporter.core import duplicates, finishes, history
from afterrun_exporter.core.model import Condition, Job, Ping, Settings
from afterrun_exporter.core.state import AlertKey, JobState, OpenRun, Transition

T = TypeVar("T")

#: Conditions that a loaded run neither opens nor resolves.
FROZEN: Final = frozenset(
    {
        Condition.FAILING,
        Condition.VIOLATED,
        Condition.SLOW,
        Condition.SUCCESS_RATIO_LOW,
    }
)


def with_past_run(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> Transition:
    """Return the transition of *state* by the past run that *ping* describes.

    Raises OlderRunsNeededError.
    """
    # A file that is loaded twice counts once, even if its runs have no ids.
    key = (
        duplicates.key_of(ping)
        if ping.run_id is not None
        else duplicates.contents(ping)
    )
    if number := duplicates.recorded_as(state, key, settings):
        again = replace(state, duplicates_total=state.duplicates_total + 1)
        return Transition(state=again, duplicate=True, duplicate_of=number)
    if ping.is_numbered and ping.max_attempts is None:
        ping = replace(ping, max_attempts=job.max_attempts)
    this = [run for run in state.open_runs if _is_of(run, ping)]
    others = tuple(run for run in state.open_runs if run not in this)
    before = replace(state, open_runs=tuple(this))
    after, run, warnings = finishes.finish(job, before, ping, settings)
    after = replace(
        after,
        loaded=True,
        run_keys=duplicates.with_key(state.run_keys, key, settings),
        # An open alert keeps its text, and none opens later for this run.
        timed_out=state.timed_out,
        failing=state.failing,
        # The run is from the past, and is no report of the present.
        last_ping_at=max(state.last_ping_at, run.finished_at),
        open_runs=(*others, *after.open_runs),
        hung=state.hung,
        # A failed attempt of the past does not wait for the next one.
        retries=tuple(retry for retry in after.retries if retry in state.retries),
    )
    if state.missed_deadline is not None:
        after = replace(
            after,
            due_after=state.due_after,
            missed_deadline=state.missed_deadline,
            missed_through=state.missed_through,
        )
    return Transition(state=after, runs=(run,), run=run, warnings=warnings)


def with_ratio(job: Job, state: JobState, now: float) -> JobState:
    """Return *state* with the success ratio at *now*."""
    return state if job.success_ratio is None else history.with_ratio(job, state, now)


def with_frozen(
    job: Job, state: JobState, holding: Mapping[AlertKey, T], unchanged: T
) -> dict[AlertKey, T]:
    """Return *holding* without conditions of a loaded run, and with the open ones.

    *unchanged* is used for conditions that no longer hold.
    """
    free = {key: facts for key, facts in holding.items() if key.condition not in FROZEN}
    open_keys = (alert.key for alert in state.alerts if _is_frozen(job, alert.key))
    return free | {key: holding.get(key, unchanged) for key in open_keys}


def _is_of(run: OpenRun, ping: Ping) -> bool:
    same = (run.run_id, run.attempt) == (ping.run_id, ping.attempt)
    return ping.run_id is not None and same


def _is_frozen(job: Job, key: AlertKey) -> bool:
    """Return True if an open alert *key* stays, because the job still has it."""
    match key.condition:
        case Condition.FAILING:
            return True
        case Condition.VIOLATED:
            return any(rule.name == key.rule for rule in job.rules)
        case Condition.SLOW:
            return job.slower_than is not None
        case Condition.SUCCESS_RATIO_LOW:
            return job.success_ratio is not None
    return False
