"""kill -9 of each part under load: no acknowledged report is lost, none counts twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import everything_is_in_order
from tests.e2e.replicas.load import ReplicaLoad
from tests.e2e.replicas.replica import Replicas
from tests.postgres import Database, Server, running_server

#: Reports that each replica acknowledges before and after something is killed.
REPORTS = 15

#: Kills something, and starts it again.
Kill = Callable[[Replicas, Server], None]


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that may get settings and standbys."""
    with running_server() as server:
        yield server


def kill_a_replica(replicas: Replicas, _: Server) -> None:
    replicas[1].kill()
    replicas[1].start()


def kill_the_leader(replicas: Replicas, _: Server) -> None:
    leader = replicas.leader()
    leader.kill()
    (other,) = [replica for replica in replicas if replica is not leader]
    replicas.until_leads(other)
    leader.start()


def kill_all_replicas(replicas: Replicas, _: Server) -> None:
    replicas.kill()
    replicas.start()


def kill_the_database(_: Replicas, server: Server) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(10, marks=pytest.mark.slow)], ids=lambda n: f"{n}-times"
)
@pytest.mark.parametrize(
    "kill",
    [kill_a_replica, kill_the_leader, kill_all_replicas, kill_the_database],
    ids=lambda kill: kill.__name__,
)
def test_kill_9_loses_no_acknowledged_report(
    postgres: Database,
    make_replicas: MakeReplicas,
    rng: random.Random,
    kill: Kill,
    rounds: int,
) -> None:
    replicas = make_replicas(postgres.url)
    replicas.configure(configuration())
    replicas.start()
    load = ReplicaLoad([replica.url for replica in replicas], rng)
    with load.running():
        for _ in range(rounds):
            load.wait_for(REPORTS)
            kill(replicas, postgres.server)
            load.wait_for(REPORTS)

    everything_is_in_order(postgres, replicas, load)


def test_the_end_of_a_synchronous_standby_stops_writing_and_loses_nothing(
    own_server: Server, make_replicas: MakeReplicas, rng: random.Random
) -> None:
    """Reports are refused until it is back, or until the primary waits for no standby."""
    database = own_server.new_database()
    standby = own_server.standby(is_synchronous=True)
    replicas = make_replicas(database.url)
    replicas.configure(configuration())
    replicas.start()
    load = ReplicaLoad([replica.url for replica in replicas], rng)
    with load.running():
        load.wait_for(REPORTS)
        standby.kill()
        load.wait_for_refusals(REPORTS)
        standby.start()
        load.wait_for(REPORTS)

    everything_is_in_order(database, replicas, load)
