"""Generated jobs' names, pings, runs and states: all that could ever be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo, fields

from afterrun_exporter.core.duplicates import KEY_SIZE, REMEMBERED
from afterrun_exporter.core.model import JOB_NAME, Condition, Kind, Outcome, Ping, Run
from afterrun_exporter.core.outcome_totals import OTHERS
from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import (
    AlertKey,
    BadRun,
    EndedAlert,
    HungRun,
    JobState,
    Mark,
    OpenAlert,
    OpenRun,
    RecentlyResolved,
    Retry,
    UnobservedSlots,
)

#: What a column of SQLite takes.
MAX_INT: Final = 2**63 - 1

#: Unix seconds up to the year 5138, fractions included.
INSTANTS: Final = st.floats(0, 1e11)
DURATIONS: Final = st.floats(0, 1e9)
#: What a metric can be: any finite number, zero with a minus included.
NUMBERS: Final = st.floats(allow_nan=False, allow_infinity=False)
COUNTS: Final = st.integers(0, MAX_INT)
#: What UTF-8 can hold: all but halves of a character; NUL and newlines too.
TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES: Final = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
METRICS: Final = st.dictionaries(NAMES, NUMBERS, max_size=4)
FINGERPRINTS: Final = st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE)
#: A number or a text, or no word about it.
MAYBE_INSTANT: Final = st.none() | INSTANTS
MAYBE_NAME: Final = st.none() | NAMES


def job_names() -> st.SearchStrategy[str]:
    """Return names that a job may have."""
    return st.from_regex(JOB_NAME, fullmatch=True)


def violations() -> st.SearchStrategy[Violation]:
    """Return broken rules, with values and without."""
    return st.builds(
        Violation, NAMES, NAMES, st.none() | NUMBERS, TEXTS, st.none() | TEXTS
    )


def pings(job: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Ping]:
    """Return readable reports, of any job or of those that *job* names."""
    return st.builds(
        Ping,
        job=job or job_names(),
        kind=st.sampled_from(Kind),
        at=INSTANTS,
        outcome=st.sampled_from(Outcome),
        run_id=MAYBE_NAME,
        attempt=st.integers(1, MAX_INT),
        has_attempt=st.booleans(),
        max_attempts=st.none() | st.integers(1, MAX_INT),
        started_at=MAYBE_INSTANT,
        ended_at=MAYBE_INSTANT,
        duration=st.none() | DURATIONS,
        metrics=METRICS,
        message=TEXTS,
        exit_code=st.none() | st.integers(-MAX_INT, MAX_INT),
        metadata=st.sampled_from(["", "{}", '{"host": "db1"}']),
        heartbeat=st.none() | DURATIONS,
        fingerprint=FINGERPRINTS,
        warnings=st.lists(TEXTS, max_size=2).map(tuple),
    )


def runs(number: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Run]:
    """Return finished runs, with any number or with those of *number*."""
    return st.builds(
        Run,
        number=number or st.integers(1, MAX_INT),
        run_id=MAYBE_NAME,
        attempt=st.integers(1, MAX_INT),
        outcome=st.sampled_from(Outcome),
        finished_at=INSTANTS,
        received_at=INSTANTS,
        started_at=MAYBE_INSTANT,
        duration=st.none() | DURATIONS,
        max_attempts=st.none() | st.integers(1, MAX_INT),
        exit_code=st.none() | st.integers(-MAX_INT, MAX_INT),
        metrics=METRICS,
        violations=st.lists(violations(), max_size=3).map(tuple),
        message=TEXTS,
        metadata=TEXTS,
    )


def alert_keys() -> st.SearchStrategy[AlertKey]:
    """Return names of conditions."""
    return st.builds(AlertKey, st.sampled_from(Condition), TEXTS)


_OPEN_RUNS = st.builds(
    OpenRun,
    run_id=MAYBE_NAME,
    attempt=st.integers(1, MAX_INT),
    started_at=INSTANTS,
    metrics=METRICS,
    group=TEXTS,
    alive_at=INSTANTS,
    metadata=TEXTS,
    max_attempts=st.none() | st.integers(1, MAX_INT),
    heartbeat=DURATIONS,
    max_runtime=DURATIONS,
    reported_at=INSTANTS,
    among=st.integers(0, MAX_INT),
    is_overrunning=st.booleans(),
)
_HUNG = st.builds(
    HungRun,
    run_id=MAYBE_NAME,
    attempt=st.integers(1, MAX_INT),
    started_at=INSTANTS,
    deadline=INSTANTS,
    followed_from=INSTANTS,
    is_last=st.booleans(),
    held_until=INSTANTS,
)
_RETRIES = st.builds(
    Retry,
    run_id=MAYBE_NAME,
    attempt=st.integers(1, MAX_INT),
    max_attempts=st.integers(1, MAX_INT),
    outcome=st.sampled_from(Outcome),
    begun_at=INSTANTS,
    started_at=MAYBE_INSTANT,
    ended_at=INSTANTS,
    duration=st.none() | DURATIONS,
    until=INSTANTS,
    covers=INSTANTS,
    exit_code=st.none() | st.integers(-MAX_INT, MAX_INT),
    metrics=METRICS,
    message=TEXTS,
    metadata=TEXTS,
    contents=FINGERPRINTS,
)
_OPEN_ALERTS = st.builds(
    OpenAlert,
    key=alert_keys(),
    opened_at=INSTANTS,
    shown_at=INSTANTS,
    deadline=MAYBE_INSTANT,
    timed_out=st.booleans(),
)
_HEALED = st.builds(
    RecentlyResolved, key=alert_keys(), until=INSTANTS, deadline=MAYBE_INSTANT
)
_UNOBSERVED = st.builds(
    UnobservedSlots,
    count=COUNTS,
    first=INSTANTS,
    last=INSTANTS,
    down_since=INSTANTS,
    up_since=INSTANTS,
)

#: A strategy for each field of a state that is stored: a test sees to it that none is missing.
STATE_FIELDS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "created_at": INSTANTS,
    "configured": st.booleans(),
    "retired_at": MAYBE_INSTANT,
    "due_after": INSTANTS,
    "schedule": TEXTS,
    "missed_through": INSTANTS,
    "missed_deadline": MAYBE_INSTANT,
    "unobserved_through": INSTANTS,
    "unobserved": st.none() | _UNOBSERVED,
    "last_ping_at": INSTANTS,
    "last_start_at": INSTANTS,
    "last_finish_at": INSTANTS,
    "last_judged_at": INSTANTS,
    "last_success_at": INSTANTS,
    "last_failure_at": INSTANTS,
    "last_outcome": st.none() | st.sampled_from(Outcome),
    "last_duration": st.none() | DURATIONS,
    "consecutive_failures": COUNTS,
    "timed_out": st.booleans(),
    "recovering": COUNTS,
    "failing": st.booleans(),
    "metrics": METRICS,
    "previous": METRICS,
    "marks": st.none()
    | st.dictionaries(
        NAMES, st.builds(Mark, INSTANTS, INSTANTS, st.integers(0, MAX_INT)), max_size=3
    ),
    "other_totals": st.just(()) | st.tuples(*[st.integers(0, 9)] * len(OTHERS)),
    "bad_run": st.none()
    | st.builds(
        BadRun,
        run_id=st.none() | NAMES,
        outcome=st.sampled_from(Outcome),
        exit_code=st.none() | st.integers(-(2**31), 2**31),
        host=NAMES,
        message=NAMES,
    ),
    "violated": st.lists(NAMES, max_size=3).map(tuple),
    "slow": st.booleans(),
    "slow_threshold": st.none() | DURATIONS,
    "upstream": st.lists(NAMES, max_size=3).map(tuple),
    "upstream_healed_at": INSTANTS,
    "test_until": INSTANTS,
    "test_asked_at": INSTANTS,
    "test_severity": TEXTS,
    "announces_success": st.booleans(),
    "success_until": INSTANTS,
    "paused_at": INSTANTS,
    "paused_until": MAYBE_INSTANT,
    "paused_for": DURATIONS,
    "resumes_on_ping": st.booleans(),
    "watched_since": MAYBE_INSTANT,
    "client_settings": TEXTS,
    "unusable": TEXTS,
    "lacks_schedule": st.booleans(),
    "loaded": st.booleans(),
    "open_runs": st.lists(_OPEN_RUNS, max_size=3).map(tuple),
    "hung": st.lists(_HUNG, max_size=3).map(tuple),
    "retries": st.lists(_RETRIES, max_size=3).map(tuple),
    "alerts": st.lists(_OPEN_ALERTS, max_size=3).map(tuple),
    "healed": st.lists(_HEALED, max_size=3).map(tuple),
    "ended_alerts": st.lists(
        st.builds(EndedAlert, _OPEN_ALERTS, INSTANTS), max_size=2
    ).map(tuple),
    "run_keys": st.lists(FINGERPRINTS, max_size=REMEMBERED).map(b"".join),
    "unnamed_seen": st.binary(max_size=72),
    "runs_total": COUNTS,
    "attempts_total": COUNTS,
    "failures_total": COUNTS,
    "violating_total": COUNTS,
    # Those of all jobs are summed up by day.
    "missed_total": st.integers(0, MAX_INT // 1000),
    "unobserved_total": COUNTS,
    "duplicates_total": COUNTS,
    "duration_sum": DURATIONS,
    "duration_count": COUNTS,
}


def has_default(field: FieldInfo) -> bool:
    """Return whether *field* may be left out."""
    return field.default is not NODEFAULT or field.default_factory is not NODEFAULT


def states() -> st.SearchStrategy[JobState]:
    """Return states with anything in any field, whether it makes sense or not."""
    # Mostly defaults as well: what is left out when written has to come back.
    needed = {field.name for field in fields(JobState) if not has_default(field)}
    required = {name: STATE_FIELDS[name] for name in needed}
    optional = {n: s for n, s in STATE_FIELDS.items() if n not in needed}
    return st.fixed_dictionaries(required, optional=optional).map(
        lambda facts: JobState(**facts)
    )
