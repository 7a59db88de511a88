"""A stranger leaves a transaction open: replicas learn of each other's changes all the same."""

from __future__ import annotations

import pytest

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import open_transaction
from tests.e2e.replicas.replica import elapse
from tests.postgres import Database

#: It has written, so it holds a transaction id.
WRITES = ("CREATE TABLE stranger (x int)", "INSERT INTO stranger VALUES (1)")


@pytest.mark.parametrize(
    "seconds", [0, pytest.param(60, marks=pytest.mark.slow)], ids=lambda s: f"{s}-s"
)
@pytest.mark.parametrize("where", ["this", "another"])
def test_a_transaction_that_stays_open_delays_nothing(
    postgres: Database, make_replicas: MakeReplicas, where: str, seconds: int
) -> None:
    """In this database or another one of the server."""
    other = postgres if where == "this" else postgres.server.new_database()
    replicas = make_replicas(postgres.url)
    replicas.configure("{}")
    replicas.start()
    first, second = replicas
    with open_transaction(other, *WRITES):
        elapse(seconds)
        for number in range(10):
            body = {"run_id": f"{number}"}
            assert accepted(first.post, "/ping/job", body).status == 200
            total = f'afterrun_job_runs_total{{job_name="job"}} {number + 1}'
            wait_until(
                lambda total=total: total in (second.lines_about_jobs() or []),  # type: ignore[misc]
                "the other replica exposes the run",
            )
        wait_until(lambda: second.is_ready, "the other replica is ready")
