"""Whatever attempts a run had: what is counted is what its last attempt alone would be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.history import pack, past, pasts
from afterrun_exporter.core.model import (
    NEUTRAL,
    RETRIED,
    Job,
    Kind,
    Outcome,
    Ping,
    Run,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.transitions import (
    on_clock,
    on_ping,
    registered,
    with_history,
)
from afterrun_exporter.storage.codec import decode_state, encode_state
from tests.copies import replace
from tests.core.jobs import tried

BEGIN = 1_800_000_000.0
SETTINGS = Settings(dedup_window=0)

#: All that counts runs.
WATCHED = Job(
    name="backup",
    schedule=parse_cron("0 2 * * *", "UTC"),
    grace=86400.0,
    max_runtime=86400.0,
    rules=(parse_rule("rows > 1"), parse_rule("rows >= 0.5 * previous")),
    after_failures=2,
    recover_after=2,
    success_ratio=SuccessRatio(below=0.9, over=86400.0),
    slower_than=SlowerThan(factor=2, over=86400.0, min_runs=2),
)

#: Facts of a state that say nothing of runs.
OTHER = (
    "last_ping_at",
    "last_start_at",
    "attempts_total",
    "duplicates_total",
    "run_keys",
    "unnamed_seen",
    "retries",
    "history",
)

outcomes = st.sampled_from(Outcome)
failures = st.sampled_from(sorted(RETRIED))


@st.composite
def attempts_of_runs(
    draw: st.DrawFn, *, named: bool = True, starts: bool = False
) -> tuple[list[Ping], list[Ping]]:
    """Return the reports of some runs, and those of their last attempts alone."""
    every: list[Ping] = []
    last: list[Ping] = []
    now = BEGIN
    for number in range(draw(st.integers(1, 6))):
        count = draw(st.integers(1, 4))
        most = draw(st.integers(count, 5))
        for attempt in range(1, count + 1):
            now += draw(st.integers(1, 100))
            final = attempt == count
            outcome = draw(outcomes if final else failures)
            if final and outcome in RETRIED:
                most = count
            ended = Ping(
                job="backup",
                kind=Kind.FINISH,
                at=now,
                outcome=outcome,
                run_id=f"r{number}" if named else None,
                attempt=attempt,
                has_attempt=True,
                max_attempts=most if final else max(most, count),
                ended_at=now,
                duration=draw(st.none() | st.integers(0, 50)),
                metrics={"rows": float(draw(st.integers(0, 9)))},
                fingerprint=repr(now).encode(),
            )
            reports = [ended]
            if starts and draw(st.booleans()):
                began = replace(ended, kind=Kind.START, metrics={}, ended_at=None)
                reports = [replace(began, at=now - 0.5, outcome=Outcome.OK), ended]
            every += reports
            if final:
                last += reports
    return every, last


def replayed(
    pings: Iterable[Ping], *, restarts: bool = False
) -> tuple[JobState, list[Run], list[Any]]:
    """Return the state, the runs and the alerts after *pings*, with a restart after each."""
    state = registered(WATCHED, BEGIN)
    runs: list[Run] = []
    alerts: list[Any] = []
    for ping in pings:
        made = on_ping(WATCHED, state, ping, SETTINGS)
        state = made.state
        runs += made.runs
        alerts += made.alerts
        if restarts:
            state = decode_state(encode_state(state), state.run_keys)
            stored = pack(filter(None, map(past, runs)))
            state = with_history(WATCHED, state, stored, ping.at, SETTINGS)
            state = on_clock(WATCHED, state, ping.at, SETTINGS).state
    return state, runs, alerts


def counted(state: JobState) -> dict[str, Any]:
    """Return what *state* says of runs, the numbers of its rows left out."""
    facts = {name: getattr(state, name) for name in state.__struct_fields__}
    for name in OTHER:
        del facts[name]
    columns = [(one.finished_at, one.duration, one.ok) for one in pasts(state.history)]
    return {**facts, "history": repr(columns)}


def same(every: Sequence[Ping], last: Sequence[Ping], **how: bool) -> None:
    """Assert that *every* report comes to what the *last* ones come to."""
    state, runs, alerts = replayed(every, **how)
    plain, plain_runs, plain_alerts = replayed(last)

    judged = [run for run in runs if not run.is_retried]
    unnumbered = [replace(run, number=0) for run in judged]
    assert unnumbered == [replace(run, number=0) for run in plain_runs]
    assert [replace(one, run=0) if hasattr(one, "run") else one for one in alerts] == [
        replace(one, run=0) if hasattr(one, "run") else one for one in plain_alerts
    ]
    assert counted(state) == counted(plain)
    assert state.retries == ()
    assert state.recorded == len(runs)
    assert [run.number for run in runs] == [*range(1, len(runs) + 1)]
    assert not any(run.is_retried for run in plain_runs)
    really, plainly = tried(WATCHED.rules, runs), tried(WATCHED.rules, plain_runs)
    assert (really.changes, really.was_flagged) == (
        plainly.changes,
        plainly.was_flagged,
    )
    ok = sum(run.outcome is Outcome.OK for run in judged)
    judging = [run for run in judged if run.outcome not in NEUTRAL]
    ratio = state.success_ratio
    assert ratio is not None
    assert (ratio.ok, ratio.runs) == (ok, len(judging))


@given(attempts_of_runs())
def test_in_order(reports: tuple[list[Ping], list[Ping]]) -> None:
    same(*reports)


@given(attempts_of_runs(starts=True))
def test_in_order_with_starts(reports: tuple[list[Ping], list[Ping]]) -> None:
    same(*reports)


@given(attempts_of_runs(named=False, starts=True))
def test_in_order_without_run_ids(reports: tuple[list[Ping], list[Ping]]) -> None:
    same(*reports)


@given(attempts_of_runs())
def test_with_a_restart_after_each(reports: tuple[list[Ping], list[Ping]]) -> None:
    same(*reports, restarts=True)


@given(attempts_of_runs(), st.data())
def test_each_of_them_any_number_of_times(
    reports: tuple[list[Ping], list[Ping]], data: st.DataObject
) -> None:
    every, last = reports
    again: list[Ping] = []
    for ping in every:
        again.append(ping)
        again += [
            replace(data.draw(st.sampled_from(again)), at=ping.at)
            for _ in range(data.draw(st.integers(0, 2)))
        ]
    same(again, last)


@given(attempts_of_runs(), st.data())
def test_in_any_order(
    reports: tuple[list[Ping], list[Ping]], data: st.DataObject
) -> None:
    """All arrive at once, or nearly so, each saying when it was."""
    every, last = reports
    mixed = data.draw(st.permutations(every))
    arrived = every[-1].at
    late = [replace(ping, at=arrived + place) for place, ping in enumerate(mixed)]
    ids = {(ping.run_id, ping.attempt) for ping in last}
    finals = [ping for ping in late if (ping.run_id, ping.attempt) in ids]
    same(late, finals)


@given(attempts_of_runs())
def test_in_one_batch(reports: tuple[list[Ping], list[Ping]]) -> None:
    every, last = reports
    arrived = every[-1].at
    same(
        [replace(ping, at=arrived) for ping in every],
        [replace(ping, at=arrived) for ping in last],
    )
