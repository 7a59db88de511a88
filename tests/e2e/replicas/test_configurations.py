"""Replicas with two configurations at once, as while a new one is rolled out."""

from __future__ import annotations

from typing import Final

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import long_lives, rows
from tests.e2e.replicas.replica import Replica, elapse
from tests.postgres import Database

OLD: Final = "jobs: {kept: {every: 1h}, leaving: {every: 1h}}"
NEW: Final = "jobs: {kept: {every: 2h}}"

#: Enough for several beats and polls.
BEATS: Final = 5.0


def exposes(replica: Replica, job: str) -> bool:
    """Return True if a replica exposes runs of *job*, once it exposes anything."""
    return any(f'runs_total{{job_name="{job}"}}' in one for one in replica.about_jobs())


def test_a_job_is_retired_when_all_replicas_agree_on_it(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """Until then nobody loses it, whichever replica leads or restarts."""
    replicas = make_replicas(postgres.url)
    replicas.configure(OLD)
    replicas.start()
    first, second = replicas
    for job in ("kept", "leaving"):
        assert accepted(first.post, f"/ping/{job}", {"run_id": "1"}).status == 200

    # The leader restarts last, so each configuration leads once.
    leader = replicas.leader()
    other = second if leader is first else first
    assert other.stop() == 0
    other.configure(NEW)
    with long_lives(postgres):
        other.start()
        elapse(BEATS)
        assert exposes(leader, "leaving")
        assert len(rows(postgres, "SELECT 1 FROM jobs WHERE name = 'leaving'")) == 1
        assert accepted(leader.post, "/ping/leaving", {"run_id": "2"}).status == 200
    assert leader.stop() == 0
    leader.configure(NEW)
    leader.start()

    for replica in replicas:
        wait_until(
            lambda replica=replica: not exposes(replica, "leaving"),  # type: ignore[misc]
            "the job is retired",
        )
        assert exposes(replica, "kept")
    replicas.wait_until_agree()


def test_a_reload_of_one_replica_retires_nothing(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    replicas = make_replicas(postgres.url)
    replicas.configure(OLD)
    replicas.start()
    for job in ("kept", "leaving"):
        assert accepted(replicas[0].post, f"/ping/{job}", {"run_id": "1"}).status == 200
    replicas.wait_until_agree()
    leader = replicas.leader()
    (other,) = [replica for replica in replicas if replica is not leader]

    with long_lives(postgres):
        leader.configure(NEW)
        assert accepted(leader.post, "/-/reload").status == 200
        elapse(BEATS)
        assert exposes(other, "leaving")
        assert accepted(other.post, "/ping/leaving", {"run_id": "2"}).status == 200

    other.configure(NEW)
    assert accepted(other.post, "/-/reload").status == 200
    for replica in replicas:
        wait_until(
            lambda replica=replica: not exposes(replica, "leaving"),  # type: ignore[misc]
            "the job is retired",
        )
    replicas.wait_until_agree()
