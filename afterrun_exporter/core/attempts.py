"""Attempts of a run: a failed one judges nothing while another is to follow.

A run is judged with its last attempt. Between two attempts the job remembers the one
that failed (`Retry`); where no other one comes in time, that one is the run.

Which attempts belong together:

- Those of one run id. Without an id it is the run without an id that waits for its next
  attempt, unless the report says by its number that another run has begun.
- A report that does not number its attempt is the next one of a run that waits. One
  that says the same as the attempt before is a repeat of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import metadata, repeats, spans
from afterrun_exporter.core.deadlines import (
    counted_until,
    covered_by,
    is_in_time,
    retry_limit,
    slot_after,
)
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Run, Settings
from afterrun_exporter.core.run_limits import is_later_attempt
from afterrun_exporter.core.state import JobState, OpenRun, Retry
from afterrun_exporter.core.timestamps import format_time

#: The share of its `max_runtime` that is too little to try a run again in.
ALMOST: Final = 0.1

#: Where nothing else limits it: how long after a failed attempt the next one has to
#: report. Schedulers wait an hour at most.
NEXT_WITHIN: Final = 7200.0

#: The same for the end of an attempt that has started.
ENDS_WITHIN: Final = 86400.0

#: Runs of one job that wait for an attempt; the oldest is judged beyond that.
MAX_WAITING: Final = 20

#: Later attempts of a run that are looked for when a failed one is reported.
MAX_LATER: Final = 32

#: Characters of what an attempt said that are kept until its run is judged: the end.
MAX_MESSAGE: Final = 1000


def are_tried(job: Job, state: JobState) -> bool:
    """Return True if runs of *job* may have several attempts, as far as is known.

    Most have none, and a report of those is not asked for its attempt.
    """
    if state.retries or job.max_attempts is not None:
        return True
    for run in state.open_runs:
        if run.max_attempts is not None or run.attempt > 1:
            return True
    return False


def numbered(
    job: Job,
    state: JobState,
    ping: Ping,
    open_run: OpenRun | None,
    settings: Settings,
) -> Ping:
    """Return *ping* with the number of its attempt and of all attempts of its run.

    Where it does not say so itself: from the start of the run, from the attempt before,
    and from the job. *open_run* is the one that it is about.
    """
    if ping.outcome is Outcome.INVALID:
        # Nobody can tell which attempt an unreadable report is about.
        return ping
    run_id = ping.run_id or (open_run.run_id if open_run else None)
    retry = waiting(state, run_id, ping)
    attempt, most = ping.attempt, ping.max_attempts
    if not ping.is_numbered:
        if open_run is not None:
            attempt = open_run.attempt
        elif retry is not None:
            attempt = retry.attempt + _is_next(ping, retry, settings)
    if most is None and open_run is not None:
        most = open_run.max_attempts
    if most is None and retry is not None:
        most = retry.max_attempts
    if most is None:
        most = job.max_attempts
    if (attempt, most) == (ping.attempt, ping.max_attempts):
        return ping
    return replace(ping, attempt=attempt, max_attempts=most)


def waiting(state: JobState, run_id: str | None, ping: Ping) -> Retry | None:
    """Return the run *run_id* that *ping* is about, if it waits for an attempt.

    Where only one side has an id, it is the only run that waits, for a later attempt.
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
    """Return the run without an id that waits no more: *ping* is about a new one."""
    run_id = ping.run_id or (open_run.run_id if open_run else None)
    if run_id is not None or not ping.is_numbered:
        return None
    if ping.kind is Kind.START:
        when = ping.at if ping.started_at is None else ping.started_at
    else:
        when = spans.end_of(ping)
    for retry in state.retries:
        if retry.run_id is None and ping.attempt <= retry.attempt:
            return retry if when >= retry.ended_at else None
    return None


def recorded(
    job: Job,
    state: JobState,
    run: Run,
    ping: Ping,
    still_open: tuple[OpenRun, ...],
    settings: Settings,
) -> JobState:
    """Return *state* after the failed attempt *run*, which another is to follow."""
    retry = waiting(state, run.run_id, ping)
    retries = state.retries
    if not _is_earlier(state, run, retry, settings):
        others = tuple(one for one in retries if one is not retry)
        rest = replace(state, retries=others, open_runs=still_open)
        retries = (*others, _retry(job, rest, run, ping, retry))
    return replace(
        state,
        last_ping_at=run.received_at,
        open_runs=still_open,
        attempts_total=state.attempts_total + 1,
        seen=repeats.remembered(state.seen, repeats.key_of(run), settings),
        retries=retries,
    )


def concluded(state: JobState, run: Run, ping: Ping) -> tuple[Retry, ...]:
    """Return the runs that wait for an attempt after *run* was the last one of its own."""
    retry = waiting(state, run.run_id, ping)
    if retry is None or (
        run.attempt < retry.attempt and run.outcome is not Outcome.INVALID
    ):
        return state.retries
    return tuple(one for one in state.retries if one is not retry)


def begun(job: Job, state: JobState, run: OpenRun, ping: Ping) -> JobState:
    """Return *state* where its run waits for the attempt *run*, which has started."""
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


def without(state: JobState, ended: Sequence[OpenRun]) -> JobState:
    """Return *state* where the runs wait no more that have *ended* as last attempts."""
    retries = tuple(
        retry
        for retry in state.retries
        if not any(is_later_attempt(run, retry) for run in ended)
    )
    return replace(state, retries=retries)


def next_due(job: Job, state: JobState, now: float, settings: Settings) -> Retry | None:
    """Return a run that has waited for its next attempt for too long by *now*."""
    for retry in state.retries:
        if retry_limit(job, state, retry, settings) < now:
            return retry
    return state.retries[0] if len(state.retries) > MAX_WAITING else None


def last_attempt(retry: Retry, number: int, now: float) -> Run:
    """Return the run that *retry* is, now that no other attempt has come."""
    message = (
        f"attempt {retry.attempt} of {retry.max_attempts} failed and no other one "
        f"came by {format_time(min(retry.until, now))}"
    )
    return Run(
        number=number,
        run_id=retry.run_id,
        attempt=retry.attempt,
        # Not how many there could have been: it was the last.
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
    started = run.finished_at if run.started_at is None else run.started_at
    begun_at = started if before is None else min(started, before.begun_at)
    until = _deadline(job, state, begun_at, started, run.finished_at, NEXT_WITHIN)
    if until < run.received_at:
        # A late report: those of the attempts that followed may be close behind.
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
        contents=b"" if ping.is_numbered else repeats.contents(ping),
    )


def _is_earlier(
    state: JobState, run: Run, retry: Retry | None, settings: Settings
) -> bool:
    """Return True if a later attempt of the run of *run* has been reported."""
    if retry is not None:
        return run.attempt < retry.attempt
    if run.run_id is None:
        return False
    most = min(run.max_attempts or 0, run.attempt + MAX_LATER)
    return any(
        repeats.finished_as(state, run.run_id, attempt, settings)
        for attempt in range(run.attempt + 1, most + 1)
    )


def _is_next(ping: Ping, retry: Retry, settings: Settings) -> bool:
    """Return True if *ping* is about the attempt after *retry*, and no repeat of it."""
    if ping.kind is Kind.FINISH:
        return repeats.contents(ping) != retry.contents
    if ping.started_at is not None:
        return ping.started_at > retry.ended_at
    # A start may arrive after the end that it belongs to.
    return ping.run_id is None or ping.at > retry.ended_at + settings.dedup_window


def _deadline(
    job: Job,
    state: JobState,
    begun: float,
    started: float,
    since: float,
    patience: float,
) -> float:
    """Return when a run must have gone on that began at *begun* and failed once.

    Its attempt that *started* last is waited for since *since*. That is until the
    deadline of its slot or the end of its `max_runtime`, whichever is later; with
    neither for *patience*. Where there is no time left, it is `grace` from then on: an
    attempt that was killed at its `max_runtime` is tried again, too.
    """
    slot = slot_after(job, counted_until(state))
    late = slot + job.grace
    in_time = is_in_time(job, state, begun, slot)
    if begun < slot - job.early:
        late = min(late, since + patience)
    limit = -math.inf if job.max_runtime is None else started + job.max_runtime
    if in_time and limit <= late:
        until = late
    elif job.max_runtime is not None:
        left = limit - since
        until = limit if left > ALMOST * job.max_runtime else since + job.grace
    else:
        until = min(late, since + patience)
    return until if until > since else since + job.grace
