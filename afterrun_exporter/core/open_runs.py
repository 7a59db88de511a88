"""Open runs that end when another run of their job starts or ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from afterrun_exporter.core import finishes, hung_runs, run_times
from afterrun_exporter.core.model import NEUTRAL, Job, Ping, Settings
from afterrun_exporter.core.run_limits import is_abandoned, is_overdue, run_limit
from afterrun_exporter.core.state import JobState, LogEntry, OpenRun
from afterrun_exporter.core.timestamps import format_time

#: Maximum of open runs of one job; jobs that only ever start must not grow.
MAX_OPEN_RUNS: Final = 100


@dataclass(frozen=True, slots=True)
class Others:
    """The open runs of a job other than the reported one, by their fate."""

    still_open: list[OpenRun] = field(default_factory=list)
    #: Runs past their limits: each becomes a run with a timeout.
    timed_out: list[OpenRun] = field(default_factory=list)
    #: Attempts past their limits: a later attempt of the same run is open.
    superseded: list[OpenRun] = field(default_factory=list)
    #: An entry for each run that is given up without a timeout.
    logs: list[LogEntry] = field(default_factory=list)


def at_start(job: Job, state: JobState, ping: Ping, settings: Settings) -> Others:
    """Sort the open runs for the start of another one by *ping*."""
    others = Others()
    for earlier in state.open_runs:
        overdue = is_overdue(job, earlier, ping.at, settings)
        # Without ids, two runs cannot be distinguished: the new one replaces the old
        # one, unless overlaps must be detected.
        nameless = earlier.run_id is None and ping.run_id is None
        nameless = nameless and job.concurrency is None
        if finishes.is_earlier_attempt(earlier, ping):
            others.logs.append(given_up(earlier, ping.at))
            if overdue:
                others.superseded.append(earlier)
        elif overdue:
            others.timed_out.append(earlier)
        elif nameless or is_abandoned(job, state, earlier, ping.at):
            others.logs.append(given_up(earlier, ping.at))
        else:
            others.still_open.append(earlier)
    while len(others.still_open) >= MAX_OPEN_RUNS:
        others.logs.append(given_up(others.still_open.pop(0), ping.at))
    return others


def has_others(state: JobState, ping: Ping) -> bool:
    """Return True if runs may be open beside the one that *ping* is about."""
    if not state.open_runs:
        return False
    return len(state.open_runs) > 1 or state.open_runs[0].run_id != ping.run_id


def at_finish(
    job: Job, state: JobState, ping: Ping, settings: Settings
) -> tuple[Others, float]:
    """Sort the open runs for the end of one by *ping*; return also its start.

    That run stays open here.
    """
    open_run = finishes.open_run_of(state, ping)
    times = run_times.times_of(ping, open_run)
    began = times.ended_at if times.started_at is None else times.started_at
    others = Others()
    # The choice of the run that ends must not depend on those given up.
    named = ping.run_id is not None and all(run.run_id for run in state.open_runs)
    is_plain = open_run is not None or named
    for other in state.open_runs:
        if other is open_run:
            others.still_open.append(other)
            continue
        overdue = is_overdue(job, other, ping.at, settings)
        # A run that crashed silently would overlap with every later one.
        nameless = other.run_id is None and ping.run_id is None
        nameless = nameless and job.concurrency is not None
        if overdue and (
            nameless
            or (
                open_run is None
                and began >= run_limit(job, other)
                and _is_another(state, other, ping, settings)
            )
        ):
            others.timed_out.append(other)
        elif nameless or (is_plain and is_abandoned(job, state, other, ping.at)):
            others.logs.append(given_up(other, ping.at))
        else:
            others.still_open.append(other)
    return others, began


def with_replaced(
    job: Job, state: JobState, earlier: Iterable[OpenRun], began: float
) -> JobState:
    """Return *state* with the *earlier* attempts of a run recorded as hung.

    A later attempt of that run began at *began*.
    """
    for attempt in earlier:
        state = hung_runs.with_hung_run(job, state, attempt, began, is_last=False)
    return state


def given_up(run: OpenRun, at: float) -> LogEntry:
    """Return the log entry for a run whose end was never reported."""
    began = format_time(run.started_at)
    message = f"the run started at {began} never reported its end"
    return LogEntry(at, run.run_id, message, run.metadata)


def _is_another(state: JobState, run: OpenRun, ping: Ping, settings: Settings) -> bool:
    """Return True if *ping* ends a run that may have followed *run*.

    A run that did nothing proves nothing about another one. Raises
    OlderRunsNeededError.
    """
    if ping.outcome in NEUTRAL or (run.run_id and run.run_id == ping.run_id):
        return False
    return not hung_runs.was_given_up(state, ping, settings)
