"""The same report reaches all replicas at the same moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier
from typing import Any, Final

import pytest

from tests.e2e.daemon.daemon import Answer
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import rows
from tests.e2e.replicas.replica import Replica, Replicas
from tests.postgres import Database

KNOWN: Final = "known"
ROUNDS: Final = 12

Reports = Callable[[int], tuple[str, dict[str, Any]]]

#: The path and body of round N.
REPORTS: Final[dict[str, Reports]] = {
    "a known job, with a run id": lambda n: (
        f"/ping/{KNOWN}",
        {"status": "fail" if n % 2 else "ok", "run_id": f"run-{n}"},
    ),
    "a new job, with a run id": lambda n: (
        f"/ping/new-{n}",
        {"status": "fail", "run_id": "the-only-one", "metrics": {"rows": n}},
    ),
    "a known job, without a run id": lambda n: (
        f"/ping/{KNOWN}",
        {"status": "ok", "message": f"run {n}"},
    ),
    "a new job, without a run id": lambda n: (f"/ping/nameless-{n}", {"status": "ok"}),
}


def at_once(
    replicas: Replicas, path: str, body: dict[str, Any]
) -> tuple[list[Answer], int]:
    """Return what each replica answers to the same request, and the number of requests.

    A replica that refuses it, because the database is slow, gets it again.
    """
    together = Barrier(len(replicas.all))
    requests = count(1)

    def send(replica: Replica) -> Answer:
        next(requests)
        return replica.request("POST", path, json.dumps(body))

    def send_with_others(replica: Replica) -> Answer:
        together.wait()
        return accepted(send, replica)

    with ThreadPoolExecutor(len(replicas.all)) as pool:
        answers = list(pool.map(send_with_others, replicas.all))
    return answers, next(requests) - 1


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(200, marks=pytest.mark.slow)])
def test_a_report_that_all_replicas_get_at_once_is_recorded_once(
    postgres: Database, make_replicas: MakeReplicas, rounds: int
) -> None:
    """One of the answers says that it is new, and all have the same outcome."""
    replicas = make_replicas(postgres.url, 3)
    replicas.configure(f"dedup_window: 10m\njobs: {{{KNOWN}: {{}}}}")
    replicas.start()
    for number in range(rounds):
        for what, report in REPORTS.items():
            answers, requests = at_once(replicas, *report(number))
            results = [answer.json() for answer in answers]
            news = [result["duplicate"] for result in results].count(False)
            assert [answer.status for answer in answers] == [200] * 3, (what, results)
            assert len({result["outcome"] for result in results}) == 1, what
            # A request that was refused may be the one that was recorded.
            is_hidden = news == 0 and requests > len(answers)
            assert news == 1 or is_hidden, (what, results)

    runs = rows(
        postgres,
        "SELECT name, number, run_id, message FROM runs r JOIN jobs j ON j.id = job_id",
    )
    assert len(runs) == rounds * len(REPORTS)
    known = sorted(run["number"] for run in runs if run["name"] == KNOWN)
    assert known == list(range(1, 2 * rounds + 1))
    alerts = rows(postgres, "SELECT name FROM alerts a JOIN jobs j ON j.id = job_id")
    assert len(alerts) == rounds + rounds // 2
    total = f'afterrun_job_runs_total{{job_name="{KNOWN}"}} {2 * rounds}'
    assert total in replicas.wait_until_agree()
