"""A 2xx means that the ping is on disk: kill -9 under load, again and again."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest

from afterrun_exporter.core.model import FAILURES, Outcome
from afterrun_exporter.core.state import JobState
from afterrun_exporter.storage.codec import decode_state
from tests.e2e.daemon.daemon import Daemon, until
from tests.e2e.daemon.load import Ledger, Load, Report, RunKey, configuration, resend

CLIENTS = 32
#: Runs that are answered in a round before the daemon is killed.
MANY = 100


@pytest.mark.parametrize(
    "rounds", [5, pytest.param(60, marks=pytest.mark.slow)], ids=lambda n: f"{n}-times"
)
async def test_kill_9_loses_no_acknowledged_ping(
    daemon: Daemon, rng: random.Random, rounds: int
) -> None:
    """What was answered is there, once; what was not can be sent again."""
    daemon.configure(configuration())
    daemon.start()
    answered: dict[RunKey, Report] = {}
    sent_again = 0
    for number in range(rounds):
        ledger = await under_load_until_killed(daemon, rng, f"round-{number}")
        answered |= ledger.answered
        if rng.random() < 0.3:
            # And once more while it recovers.
            daemon.launch()
            await asyncio.sleep(rng.uniform(0, 0.5))
            daemon.kill()
        daemon.start()
        assert not ledger.strange
        every_run_is_there_once(daemon, answered)
        every_start_is_remembered(daemon, ledger)
        states_agree_with_the_history(daemon)

        again = {report.key for reports in ledger.unanswered for report in reports}
        await resend(daemon.url, ledger)
        answered |= ledger.answered

        assert not ledger.strange
        assert again <= answered.keys()
        every_run_is_there_once(daemon, answered)
        states_agree_with_the_history(daemon)
        sent_again += len(again)

    recorded = sum(state.runs_total for state in states_of(daemon).values())
    assert recorded == len(answered)
    # Had nothing been under way when it was killed, this would prove little.
    assert len(answered) > MANY * rounds
    assert sent_again > rounds


async def under_load_until_killed(
    daemon: Daemon, rng: random.Random, name: str
) -> Ledger:
    """Return what the clients know when the daemon has been killed."""
    load = Load(daemon.url, rng, name, CLIENTS)
    running = asyncio.create_task(load.run())
    await until(lambda: len(load.ledger.answered) > MANY, "it is under load")
    await asyncio.sleep(rng.uniform(0, 0.9))
    daemon.kill()
    await running
    return load.ledger


def every_run_is_there_once(daemon: Daemon, answered: dict[RunKey, Report]) -> None:
    """With the outcome that was answered and the values that were reported."""
    rows = daemon.rows(
        "SELECT name, run_id, outcome, metrics FROM runs r JOIN jobs j ON j.id = job_id"
    )
    times = Counter((name, run_id) for name, run_id, _, _ in rows)
    twice = [key for key, n in times.items() if n > 1]
    kept = {
        (name, run_id): (outcome, json.loads(metrics))
        for name, run_id, outcome, metrics in rows
    }
    wrong = {
        key: (kept.get(key), report)
        for key, report in answered.items()
        if kept.get(key) != (report.outcome, {"rows": report.rows})
    }

    assert not twice
    assert not wrong


def every_start_is_remembered(daemon: Daemon, ledger: Ledger) -> None:
    """A run whose start was answered is open until it finishes."""
    is_open = {
        (name, run.run_id)
        for name, state in states_of(daemon).items()
        for run in state.open_runs
    }

    assert ledger.open <= is_open


def states_agree_with_the_history(daemon: Daemon) -> None:
    """State, runs and alerts were written together, or not at all."""
    outcomes: dict[str, list[str]] = {}
    numbers: dict[str, list[int]] = {}
    for name, number, outcome in daemon.rows(
        "SELECT name, number, outcome FROM runs r JOIN jobs j ON j.id = job_id "
        "ORDER BY r.id"
    ):
        outcomes.setdefault(name, []).append(outcome)
        numbers.setdefault(name, []).append(number)
    chains = dict(
        daemon.rows(
            "WITH RECURSIVE chain(name, id) AS (SELECT name, last_run FROM jobs "
            "UNION ALL SELECT name, previous_id FROM chain JOIN runs USING (id)) "
            "SELECT name, count(id) FROM chain GROUP BY name"
        )
    )
    alerts = Counter(
        daemon.rows(
            "SELECT name, condition, rule FROM alerts a JOIN jobs j ON j.id = job_id "
            "WHERE resolved_at IS NULL"
        )
    )
    states = states_of(daemon)

    for name, state in states.items():
        judged = [Outcome(outcome) for outcome in outcomes.get(name, [])]
        assert numbers.get(name, []) == list(range(1, state.runs_total + 1))
        assert chains[name] == state.runs_total
        assert state.failures_total == sum(one in FAILURES for one in judged)
        assert state.violating_total == judged.count(Outcome.VIOLATED)
        assert state.last_outcome == (judged[-1] if judged else None)
    assert alerts == Counter(
        (name, alert.key.condition.value, alert.key.rule)
        for name, state in states.items()
        for alert in state.alerts
    )
    exposed = daemon.series()
    assert {name: exposed["afterrun_job_runs_total", name] for name in states} == {
        name: state.runs_total for name, state in states.items()
    }


def states_of(daemon: Daemon) -> dict[str, JobState]:
    """Return what is remembered of each job."""
    rows = daemon.rows("SELECT name, state, seen FROM jobs")
    return {name: decode_state(state, seen) for name, state, seen in rows}
