"""Each part is suspended for a while: nothing waits for it, and it serves nothing stale."""

from __future__ import annotations

import random
import threading

import pytest

from tests.e2e.daemon.daemon import Answer
from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.asking import UNAVAILABLE, accepted
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import everything_is_in_order
from tests.e2e.replicas.load import ReplicaLoad
from tests.e2e.replicas.replica import Replica, elapse
from tests.postgres import Database, running_server

#: Longer than everything here tolerates: leases, beats and timeouts.
FROZEN_SECONDS = 11.0

#: Reports that each of the others acknowledges meanwhile.
REPORTS = 15


class Waiting:
    """A request that is sent now, and its answer."""

    def __init__(self, replica: Replica, path: str) -> None:
        self._answers: list[Answer] = []

        def run() -> None:
            self._answers.append(replica.get(path))

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def answer(self) -> Answer:
        """Return the answer, once it is there."""
        self._thread.join()
        return self._answers[0]


@pytest.mark.parametrize("which", ["leader", "other"])
def test_a_frozen_replica_holds_up_nobody_and_serves_nothing_stale(
    postgres: Database, make_replicas: MakeReplicas, rng: random.Random, which: str
) -> None:
    """The others acknowledge reports of the same jobs while it is frozen under load."""
    replicas = make_replicas(postgres.url)
    replicas.configure(configuration())
    replicas.start()
    leader = replicas.leader()
    (other,) = [replica for replica in replicas if replica is not leader]
    frozen, live = (leader, other) if which == "leader" else (other, leader)
    load = ReplicaLoad([replica.url for replica in replicas], rng)
    with load.running():
        load.wait_for(REPORTS)
        with frozen.frozen():
            load.wait_for(REPORTS, live.url)
            elapse(FROZEN_SECONDS)
            load.wait_for(REPORTS, live.url)
            replicas.until_leads(live)
            assert accepted(live.post, "/ping/fresh", {"run_id": "1"}).status == 200
            # They wait in its socket and are the first that it sees.
            scrape, ready = Waiting(frozen, "/metrics"), Waiting(frozen, "/-/ready")
        answer = scrape.answer()
        assert answer.status == UNAVAILABLE or 'job_name="fresh"' in answer.text
        assert ready.answer().status in {200, UNAVAILABLE}
        replicas.wait_until_ready()
        load.wait_for(REPORTS)
        replicas.leader()

    everything_is_in_order(postgres, replicas, load)


def test_a_frozen_database_refuses_reports_and_loses_none(
    postgres: Database, make_replicas: MakeReplicas, rng: random.Random
) -> None:
    """Nothing is exposed meanwhile: deadlines that pass are nobody's fault."""
    replicas = make_replicas(postgres.url)
    replicas.configure(configuration())
    replicas.start()
    load = ReplicaLoad([replica.url for replica in replicas], rng)
    with load.running():
        load.wait_for(REPORTS)
        postgres.server.freeze()
        try:
            elapse(FROZEN_SECONDS)
            for replica in replicas:
                replica.until_answers(UNAVAILABLE, "/metrics")
                replica.until_answers(UNAVAILABLE, "/-/ready")
                assert replica.get("/-/healthy").status == 200
        finally:
            postgres.server.thaw()
        load.wait_for(REPORTS)

    everything_is_in_order(postgres, replicas, load)


def test_a_frozen_synchronous_standby_loses_nothing(
    make_replicas: MakeReplicas, rng: random.Random
) -> None:
    with running_server() as server:
        database = server.new_database()
        standby = server.standby(is_synchronous=True)
        replicas = make_replicas(database.url)
        replicas.configure(configuration())
        replicas.start()
        load = ReplicaLoad([replica.url for replica in replicas], rng)
        with load.running():
            load.wait_for(REPORTS)
            standby.freeze()
            try:
                load.wait_for_refusals(REPORTS)
                elapse(FROZEN_SECONDS)
            finally:
                standby.thaw()
            load.wait_for(REPORTS)

        everything_is_in_order(database, replicas, load)
