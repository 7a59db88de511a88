"""The primary dies under load and its standby is promoted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import (
    everything_is_in_order,
    states_agree_with_the_history,
)
from tests.e2e.replicas.load import ReplicaLoad
from tests.postgres import running_server

REPORTS = 15


@pytest.mark.parametrize("is_synchronous", [True, False], ids=["sync", "async"])
def test_replicas_follow_the_promoted_standby(
    make_replicas: MakeReplicas, rng: random.Random, is_synchronous: bool
) -> None:
    """A synchronous one has all that was acknowledged.

    An asynchronous one may not. Then all replicas agree with what is left.
    """
    with running_server() as primary:
        database = primary.new_database()
        standby = primary.standby(is_synchronous=is_synchronous)
        replicas = make_replicas(database.url_of(primary, standby))
        replicas.configure(configuration())
        replicas.start()
        load = ReplicaLoad([replica.url for replica in replicas], rng)
        with load.running():
            load.wait_for(REPORTS)
            primary.kill()
            standby.promote()
            # Its own setting, which would make it wait for itself.
            standby.psql("ALTER SYSTEM SET synchronous_standby_names = ''")
            standby.psql("SELECT pg_reload_conf()")
            load.wait_for(REPORTS)

        promoted = replace(database, server=standby)
        if is_synchronous:
            everything_is_in_order(promoted, replicas, load)
        else:
            states_agree_with_the_history(promoted, replicas)
