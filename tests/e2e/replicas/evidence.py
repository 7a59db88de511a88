"""What the database and the replicas say of acknowledged reports, and what is wrong in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from afterrun_exporter.core.model import FAILURES, Outcome
from afterrun_exporter.core.state import JobState
from afterrun_exporter.storage.codec import decode_state
from tests.e2e.daemon.load import Report, RunKey
from tests.e2e.replicas.database import rows
from tests.e2e.replicas.load import ReplicaLoad
from tests.e2e.replicas.replica import Replicas
from tests.postgres import Database


def states_of(database: Database) -> dict[str, JobState]:
    """Return what is remembered of each job."""
    found = rows(
        database,
        "SELECT name, state, encode(seen, 'hex') AS seen FROM jobs "
        "WHERE state IS NOT NULL",
    )
    return {
        row["name"]: decode_state(row["state"], bytes.fromhex(row["seen"]))
        for row in found
    }


def everything_is_in_order(
    database: Database, replicas: Replicas, load: ReplicaLoad
) -> None:
    """All that was acknowledged is there once, and everybody says so."""
    assert not load.ledger.strange
    assert not load.ledger.unanswered
    every_run_is_there_once(database, load.ledger.answered)
    states_agree_with_the_history(database, replicas)
    no_alert_was_recorded_twice(database)


def every_run_is_there_once(database: Database, answered: dict[RunKey, Report]) -> None:
    """With the outcome that was answered and the values that were reported."""
    found = rows(
        database,
        "SELECT name, run_id, outcome, metrics FROM runs r JOIN jobs j ON j.id = job_id",
    )
    times = Counter((row["name"], row["run_id"]) for row in found)
    twice = [key for key, n in times.items() if n > 1]
    kept = {
        (row["name"], row["run_id"]): (row["outcome"], json.loads(row["metrics"]))
        for row in found
    }
    wrong = {
        key: (kept.get(key), report)
        for key, report in answered.items()
        if kept.get(key) != (report.outcome, {"rows": report.rows})
    }

    assert not twice
    assert not wrong


def states_agree_with_the_history(database: Database, replicas: Replicas) -> None:
    """State, runs, alerts and what each replica exposes are of the same reports."""
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    numbers: dict[str, list[int]] = defaultdict(list)
    for row in rows(
        database,
        "SELECT name, number, outcome FROM runs r JOIN jobs j ON j.id = job_id "
        "ORDER BY name, number",
    ):
        outcomes[row["name"]].append(Outcome(row["outcome"]))
        numbers[row["name"]].append(row["number"])
    states = states_of(database)
    for name, state in states.items():
        ran = outcomes[name]
        assert numbers[name] == list(range(1, state.runs_total + 1)), name
        assert state.failures_total == sum(one in FAILURES for one in ran), name
        assert state.violating_total == ran.count(Outcome.VIOLATED), name
        assert state.last_outcome == (ran[-1] if ran else None), name

    lines = set(replicas.wait_until_agree())
    for name, state in states.items():
        assert (
            f'afterrun_job_runs_total{{job_name="{name}"}} {state.runs_total}' in lines
        )
    alerts_agree_with_the_states(database, states)


def alerts_agree_with_the_states(
    database: Database, states: dict[str, JobState]
) -> None:
    """Each condition of a state is one open alert, and there are no others."""
    found = rows(
        database,
        "SELECT name, condition, rule, resolved_at IS NULL AS is_open "
        "FROM alerts a JOIN jobs j ON j.id = job_id",
    )
    still = Counter(
        (row["name"], row["condition"], row["rule"]) for row in found if row["is_open"]
    )

    assert still == Counter(
        (name, alert.key.condition.value, alert.key.rule)
        for name, state in states.items()
        for alert in state.alerts
    )
    assert {row["condition"] for row in found} <= {"failing", "violated"}


def no_alert_was_recorded_twice(database: Database) -> None:
    """A job that began to fail has one alert, or continues one it had a moment before."""
    by_job: dict[str, list[bool]] = defaultdict(lambda: [False])
    for row in rows(
        database,
        "SELECT name, outcome FROM runs r JOIN jobs j ON j.id = job_id "
        "ORDER BY name, number",
    ):
        by_job[row["name"]].append(row["outcome"] == Outcome.FAIL)
    alerts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(
        database,
        "SELECT name, opened_at, resolved_at FROM alerts a JOIN jobs j ON j.id = job_id "
        "WHERE condition = 'failing' ORDER BY name, opened_at, a.id",
    ):
        alerts[row["name"]].append(row)

    for name, failed in by_job.items():
        began = sum(after and not before for before, after in pairwise(failed))
        assert min(began, 1) <= len(alerts[name]) <= began, name
        for one, next_one in pairwise(alerts[name]):
            assert one["resolved_at"] is not None, name
            assert one["resolved_at"] <= next_one["opened_at"], name
