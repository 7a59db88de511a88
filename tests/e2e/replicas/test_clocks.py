"""The clock of one replica is wrong."""

from __future__ import annotations

import pytest

from tests.e2e.daemon.clocks import Clock
from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.asking import UNAVAILABLE, accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import rows
from tests.e2e.replicas.replica import Replica, elapse
from tests.postgres import Database

#: Enough for the lease to change hands several times.
LEASES = 10.0


# Less than 5 s, or it would not serve.
@pytest.mark.parametrize("ahead", [4.5, -4.5])
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
    until_follows(wrong)

    right.start()
    replicas.until_leads(right)
    assert accepted(wrong.post, "/ping/job", {"run_id": "1"}).status == 200
    assert accepted(right.post, "/ping/job", {"run_id": "2"}).status == 200
    replicas.wait_until_agree()
    until_follows(wrong)
    assert rows(postgres, "SELECT * FROM alerts") == []


def until_follows(replica: Replica) -> None:
    """Return once a replica says that it does not lead.

    While its sign of life takes seconds, the difference seems to be smaller by them.
    """
    wait_until(lambda: replica.follows, f"{replica.name} does not lead", every=0.1)


def test_a_replica_whose_clock_is_far_off_serves_nothing(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    replicas = make_replicas(postgres.url)
    replicas.configure("{}")
    wrong, right = replicas
    clock = Clock(wrong)
    replicas.start()
    # So far that it is more than 5 s, even if a sign of life takes long.
    clock.set(60.0)

    wrong.until_answers(UNAVAILABLE, "/metrics")
    assert wrong.get("/-/ready").status == UNAVAILABLE
    assert wrong.post("/ping/job", {"run_id": "1"}).status == UNAVAILABLE
    assert accepted(right.post, "/ping/job", {"run_id": "1"}).status == 200

    clock.set(0.0)
    replicas.wait_until_ready()
    replicas.wait_until_agree()
