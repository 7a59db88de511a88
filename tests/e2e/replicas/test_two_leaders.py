"""A leader that is suspended past its lease still believes that it leads when it wakes."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import rows
from tests.postgres import Database

JOBS: Final = tuple(f"silent-{number}" for number in range(6))

CONFIG: Final = "jobs:\n" + "".join(
    f"  {job}: {{every: 4s, grace: 4s}}\n" for job in JOBS
)

#: Those that are open: a slow job has been missed before, too.
ALERTS: Final = """
SELECT name FROM alerts a JOIN jobs j ON j.id = job_id WHERE resolved_at IS NULL
"""


def test_two_leaders_notice_each_missed_run_once(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """Their decisions meet in the database, where the second one finds nothing to do."""
    replicas = make_replicas(postgres.url)
    replicas.configure(CONFIG)
    replicas.start()
    old = replicas.leader()
    (new,) = [replica for replica in replicas if replica is not old]
    for job in JOBS:
        assert accepted(old.post, f"/ping/{job}", {"run_id": "1"}).status == 200
    with old.frozen():
        replicas.until_leads(new)
        wait_until(lambda: len(rows(postgres, ALERTS)) == len(JOBS), "all are missed")
    replicas.wait_until_ready()
    assert replicas.leader() in {old, new}
    replicas.wait_until_agree()
    for job in JOBS:
        assert accepted(old.post, f"/ping/{job}", {"run_id": "2"}).status == 200

    found = rows(
        postgres,
        "SELECT name, opened_at, count(*) AS times, "
        "count(*) FILTER (WHERE resolved_at IS NULL) AS still "
        "FROM alerts a JOIN jobs j ON j.id = job_id GROUP BY name, opened_at",
    )
    assert {row["times"] for row in found} == {1}
    assert not [
        row
        for row in Counter(row["name"] for row in found if row["still"]).values()
        if row > 1
    ]
    assert {row["name"] for row in found} == set(JOBS)
    replicas.wait_until_agree()
