"""The clock of one replica is wrong."""

from __future__ import annotations

import pytest

from tests.e2e.daemon.clocks import Clock
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import rows
from tests.e2e.replicas.replica import UNAVAILABLE, elapse
from tests.postgres import Database

#: Enough for the lease to change hands several times.
LEASES = 10.0


@pytest.mark.parametrize("ahead", [3.0, -3.0])
def test_a_replica_with_a_wrong_clock_does_not_lead(
    postgres: Database, make_replicas: MakeReplicas, ahead: float
) -> None:
    """It accepts reports all the same, and nothing is missed early because of it."""
    replicas = make_replicas(postgres.url)
    replicas.configure("jobs: {job: {every: 1h}}")
    wrong, right = replicas
    Clock(wrong).set(ahead)
    wrong.start()
    elapse(LEASES)
    assert not wrong.leads

    right.start()
    replicas.until_leads(right)
    assert wrong.post("/ping/job", {"run_id": "1"}).status == 200
    assert right.post("/ping/job", {"run_id": "2"}).status == 200
    replicas.wait_until_agree()
    assert not wrong.leads
    assert rows(postgres, "SELECT * FROM alerts") == []


def test_a_replica_whose_clock_is_far_off_serves_nothing(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    replicas = make_replicas(postgres.url)
    replicas.configure("{}")
    wrong, right = replicas
    clock = Clock(wrong)
    replicas.start()
    clock.set(8.0)

    wrong.until_answers(UNAVAILABLE, "/metrics")
    assert wrong.get("/-/ready").status == UNAVAILABLE
    assert wrong.post("/ping/job", {"run_id": "1"}).status == UNAVAILABLE
    assert right.post("/ping/job", {"run_id": "1"}).status == 200

    clock.set(0.0)
    replicas.wait_until_ready()
    replicas.wait_until_agree()
