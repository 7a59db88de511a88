"""Attempts of a run: a failed attempt has no effect while another one is expected.

The outcome of a run is that of its last attempt. Between two attempts the state has the
failed one (`Retry`); if no other attempt comes in time, it is the run.

Attempts belong together as follows:

- By run id. Without an id, to the run without an id that waits for its next attempt,
  unless the attempt number of the report shows that another run has begun.
- A report without an attempt number is the next attempt of a run that waits, or, if its
  content is that of the previous attempt, a repeat of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import duplicates, metadata, run_times
from afterrun_exporter.core.deadlines import (
    covered_by,
    decided_until,
    is_in_time,
    retry_limit,
    slot_after,
)
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.run_limits import is_later_attempt
from afterrun_exporter.core.state import JobState, OpenRun, Retry
from afterrun_exporter.core.timestamps import format_time

#: The share of its `max_runtime` that is too short for another attempt.
ALMOST: Final = 0.1

#: Without another limit: the time for the next attempt to report after a failed one,
#: in seconds. Schedulers wait an hour at most.
NEXT_WITHIN: Final = 7200.0

#: The same for the end of a started attempt.
ENDS_WITHIN: Final = 86400.0

#: Maximum of runs of one job that wait for an attempt; then the oldest is concluded.
MAX_WAITING: Final = 20

#: Later attempts of a run to search for when a failed one is reported.
MAX_LATER: Final = 32

#: Characters of an attempt's message that are kept until its run ends: the last ones.
MAX_MESSAGE: Final = 1000


def may_have_attempts(job: Job, state: JobState) -> bool:
    """Return True if runs of *job* may have several attempts.

    Most jobs have none, and their reports need no attempt number.
    """
    if state.retries or job.max_attempts is not None:
        return True
    for run in state.open_runs:
        if run.max_attempts is not None or run.attempt > 1:
            return True
    return False


def with_attempt(
    job: Job,
    state: JobState,
    ping: Ping,
    open_run: OpenRun | None,
    settings: Settings,
) -> Ping:
    """Return *ping* with its attempt number and the number of attempts of its run.

    Missing numbers come from the start of the run, from the previous attempt, and from
    the job. *open_run* is the run that the report is about.
    """
    if ping.outcome is Outcome.INVALID:
        # The attempt of an unreadable report is unknown.
        return ping
    run_id = ping.run_id or (open_run.run_id if open_run else None)
    retry = waiting(state, run_id, ping)
    attempt, max_attempts = ping.attempt, ping.max_attempts
    if not ping.is_numbered:
        if open_run is not None:
            attempt = open_run.attempt
        elif retry is not None:
            attempt = retry.attempt + _is_next(ping, retry, settings)
    if max_attempts is None and open_run is not None:
        max_attempts = open_run.max_attempts
    if max_attempts is None and retry is not None:
        max_attempts = retry.max_attempts
    if max_attempts is None:
        max_attempts = job.max_attempts
    if (attempt, max_attempts) == (ping.attempt, ping.max_attempts):
        return ping
    return replace(ping, attempt=attempt, max_attempts=max_attempts)


def waiting(state: JobState, run_id: str | None, ping: Ping) -> Retry | None:
    """Return the run *run_id* that *ping* is about, if it waits for an attempt.

    If only one of them has an id, it is the only waiting run, for a later attempt.
    """
    for retry in state.retries:
        if retry.run_id == run_id:
            return retry
    if len(state.retries) == 1 and ping.is_numbered:
        (only,) = state.retries
        if None in {only.run_id, run_id} and ping.attempt > only.attempt:
            return only
    return None


def overtaken(state: JobState, ping: Ping, open_run: OpenRun | None) -> Retry | None:
    """Return the run without an id that waits no more, because *ping* is a new run."""
    run_id = ping.run_id or (open_run.run_id if open_run else None)
    if run_id is not None or not ping.is_numbered:
        return None
    if ping.kind is Kind.START:
        when = ping.at if ping.started_at is None else ping.started_at
    else:
        when = run_times.end_of(ping)
    for retry in state.retries:
        if retry.run_id is None and ping.attempt <= retry.attempt:
            return retry if when >= retry.ended_at else None
    return None


def with_failed_attempt(
    job: Job,
    state: JobState,
    run: Run,
    ping: Ping,
    still_open: tuple[OpenRun, ...],
    settings: Settings,
) -> JobState:
    """Return *state* after the failed attempt *run*, which another will follow."""
    retry = waiting(state, run.run_id, ping)
    retries = state.retries
    if not _is_earlier(state, run, retry, settings):
        others = tuple(one for one in retries if one is not retry)
        base = replace(state, retries=others, open_runs=still_open)
        retries = (*others, _retry(job, base, run, ping, retry))
    return replace(
        state,
        last_ping_at=run.received_at,
        open_runs=still_open,
        attempts_total=state.attempts_total + 1,
        run_keys=duplicates.with_key(state.run_keys, duplicates.key_of(run), settings),
        retries=retries,
    )


def retries_after(state: JobState, run: Run, ping: Ping) -> tuple[Retry, ...]:
    """Return the runs that still wait for an attempt after *run*, a last attempt."""
    retry = waiting(state, run.run_id, ping)
    if retry is None or (
        run.attempt < retry.attempt and run.outcome is not Outcome.INVALID
    ):
        return state.retries
    return tuple(one for one in state.retries if one is not retry)


def with_next_attempt(job: Job, state: JobState, run: OpenRun, ping: Ping) -> JobState:
    """Return *state* with the waiting run of the attempt *run*, which has started."""
    retry = waiting(state, run.run_id, ping)
    if retry is None or run.attempt <= retry.attempt:
        return state
    others = tuple(one for one in state.retries if one is not retry)
    until = _deadline(
        job,
        replace(state, retries=others),
        retry.begun_at,
        run.started_at,
        run.started_at,
        ENDS_WITHIN,
    )
    if until <= retry.until:
        return state
    later = replace(retry, until=until)
    return replace(
        state, retries=tuple(later if one is retry else one for one in state.retries)
    )


def without(state: JobState, timed_out: Sequence[OpenRun]) -> JobState:
    """Return *state* without the waiting runs whose last attempts *timed_out*."""
    retries = tuple(
        retry
        for retry in state.retries
        if not any(is_later_attempt(run, retry) for run in timed_out)
    )
    return replace(state, retries=retries)


def next_due(job: Job, state: JobState, now: float, settings: Settings) -> Retry | None:
    """Return a run whose next attempt has not come in time by *now*."""
    for retry in state.retries:
        if retry_limit(job, state, retry, settings) < now:
            return retry
    return state.retries[0] if len(state.retries) > MAX_WAITING else None


def last_attempt(retry: Retry, number: int, now: float) -> Run:
    """Return the run of *retry*, whose next attempt has not come."""
    message = (
        f"attempt {retry.attempt} of {retry.max_attempts} failed and no further attempt "
        f"was reported by {format_time(min(retry.until, now))}"
    )
    return Run(
        number=number,
        run_id=retry.run_id,
        attempt=retry.attempt,
        # The planned number does not matter: this was the last attempt.
        max_attempts=None,
        outcome=retry.outcome,
        started_at=retry.started_at,
        finished_at=retry.ended_at,
        received_at=now,
        duration=retry.duration,
        exit_code=retry.exit_code,
        metrics=retry.metrics,
        message=f"{message}: {retry.message}" if retry.message else message,
        metadata=retry.metadata,
    )


def _retry(
    job: Job, state: JobState, run: Run, ping: Ping, before: Retry | None
) -> Retry:
    start = run.finished_at if run.started_at is None else run.started_at
    begun_at = start if before is None else min(start, before.begun_at)
    until = _deadline(job, state, begun_at, start, run.finished_at, NEXT_WITHIN)
    if until < run.received_at:
        # A late report: those of the following attempts may arrive soon.
        until = run.received_at + job.grace
    about, _ = metadata.bounded(run.metadata)
    return Retry(
        run_id=run.run_id or (before.run_id if before else None),
        attempt=run.attempt,
        max_attempts=run.max_attempts or 0,
        outcome=run.outcome,
        begun_at=begun_at,
        started_at=run.started_at,
        ended_at=run.finished_at,
        duration=run.duration,
        until=until,
        covers=covered_by(job, run.finished_at, run.started_at),
        exit_code=run.exit_code,
        metrics=run.metrics,
        message=run.message[-MAX_MESSAGE:],
        metadata=about,
        contents=b"" if ping.is_numbered else duplicates.contents(ping),
    )


def _is_earlier(
    state: JobState, run: Run, retry: Retry | None, settings: Settings
) -> bool:
    """Return True if a later attempt of the run of *run* was reported."""
    if retry is not None:
        return run.attempt < retry.attempt
    if run.run_id is None:
        return False
    last = min(run.max_attempts or 0, run.attempt + MAX_LATER)
    return any(
        duplicates.finished_as(state, run.run_id, attempt, settings)
        for attempt in range(run.attempt + 1, last + 1)
    )


def _is_next(ping: Ping, retry: Retry, settings: Settings) -> bool:
    """Return True if *ping* is about the attempt after *retry*, not a repeat of it."""
    if ping.kind is Kind.FINISH:
        return duplicates.contents(ping) != retry.contents
    if ping.started_at is not None:
        return ping.started_at > retry.ended_at
    # A start may arrive after its end.
    return ping.run_id is None or ping.at > retry.ended_at + settings.dedup_window


def _deadline(
    job: Job,
    state: JobState,
    with_next_attempt: float,
    attempt_start: float,
    since: float,
    patience: float,
) -> float:
    """Return the deadline for the next attempt of a run that began at *run_start*.

    Its last attempt started at *attempt_start*; the wait begins at *since*. The
    deadline is that of its slot or the end of its `max_runtime`, whichever is later;
    without both, *since* plus *patience*. If no time remains, it is *since* plus
    `grace`: an attempt that was killed at its `max_runtime` is retried, too.
    """
    slot = slot_after(job, decided_until(state))
    late = slot + job.grace
    in_time = is_in_time(job, state, with_next_attempt, slot)
    if with_next_attempt < slot - job.early:
        late = min(late, since + patience)
    limit = -math.inf if job.max_runtime is None else attempt_start + job.max_runtime
    if in_time and limit <= late:
        until = late
    elif job.max_runtime is not None:
        remaining = limit - since
        until = limit if remaining > ALMOST * job.max_runtime else since + job.grace
    else:
        until = min(late, since + patience)
    return until if until > since else since + job.grace
