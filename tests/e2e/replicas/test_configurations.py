"""Replicas with two configurations at once, as while a new one is rolled out."""

from __future__ import annotations

from typing import Final

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import rows
from tests.e2e.replicas.replica import Replica, elapse
from tests.postgres import Database

OLD: Final = "jobs: {kept: {every: 1h}, leaving: {every: 1h}}"
NEW: Final = "jobs: {kept: {every: 2h}}"

#: Enough for several beats and polls.
BEATS: Final = 5.0


def exposes(replica: Replica, job: str) -> bool:
    """Return True if a replica exposes runs of *job*."""
    lines = replica.lines_about_jobs() or []
    return any(f'runs_total{{job_name="{job}"}}' in line for line in lines)


def test_a_job_is_retired_when_all_replicas_agree_on_it(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """Until then nobody loses it, whichever replica leads or restarts."""
    replicas = make_replicas(postgres.url)
    replicas.configure(OLD)
    replicas.start()
    first, second = replicas
    for job in ("kept", "leaving"):
        assert first.post(f"/ping/{job}", {"run_id": "1"}).status == 200

    # The leader restarts last, so each configuration leads once.
    leader = replicas.leader()
    other = second if leader is first else first
    for replica, stays in ((other, leader), (leader, None)):
        assert replica.stop() == 0
        replica.configure(NEW)
        replica.start()
        if stays is None:
            break
        elapse(BEATS)
        assert exposes(stays, "leaving")
        ((found,),) = [
            row.values()
            for row in rows(
                postgres, "SELECT count(*) FROM jobs WHERE name = 'leaving'"
            )
        ]
        assert found == 1
        assert stays.post("/ping/leaving", {"run_id": "2"}).status == 200

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
        assert replicas[0].post(f"/ping/{job}", {"run_id": "1"}).status == 200
    replicas.wait_until_agree()
    leader = replicas.leader()
    (other,) = [replica for replica in replicas if replica is not leader]

    leader.configure(NEW)
    assert leader.post("/-/reload").status == 200
    elapse(BEATS)
    assert exposes(other, "leaving")
    assert other.post("/ping/leaving", {"run_id": "2"}).status == 200

    other.configure(NEW)
    assert other.post("/-/reload").status == 200
    for replica in replicas:
        wait_until(
            lambda replica=replica: not exposes(replica, "leaving"),  # type: ignore[misc]
            "the job is retired",
        )
    replicas.wait_until_agree()
