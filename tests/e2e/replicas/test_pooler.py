"""Two replicas reach the database through PgBouncer, which gives each transaction any connection."""

from __future__ import annotations

import random

from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import everything_is_in_order
from tests.e2e.replicas.load import ReplicaLoad
from tests.patience import PATIENCE
from tests.postgres import Database, PgBouncer

REPORTS = 15


def test_replicas_behind_a_pooler_that_is_killed_lose_nothing(
    postgres: Database,
    pgbouncer: PgBouncer,
    make_replicas: MakeReplicas,
    rng: random.Random,
) -> None:
    replicas = make_replicas(f"{pgbouncer.url}?pooler=transaction")
    replicas.configure(configuration())
    replicas.start()
    load = ReplicaLoad([replica.url for replica in replicas], rng)
    with load.running():
        load.wait_for(REPORTS)
        pgbouncer.kill()
        pgbouncer.start()
        load.wait_for(REPORTS)
        replicas.leader()

    everything_is_in_order(postgres, replicas, load)


def test_a_pooler_that_is_not_announced_is_named(
    pgbouncer: PgBouncer, make_replicas: MakeReplicas
) -> None:
    """Prepared statements get lost in it: the message tells the way out."""
    replicas = make_replicas(pgbouncer.url)
    for replica in replicas:
        replica.launch()
    codes = [replica.wait(PATIENCE) for replica in replicas]

    for replica, code in zip(replicas, codes, strict=True):
        assert code != 0
        assert "pooler=transaction" in replica.log
