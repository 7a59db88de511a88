"""Replicas behind HAProxy, as it is shipped: whatever breaks, each report counts once."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import HOST, request, wait_until
from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.balancer import HAProxy
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import everything_is_in_order
from tests.e2e.replicas.load import ReplicaLoad
from tests.e2e.replicas.replica import Replicas, elapse
from tests.postgres import Database

REPORTS = 30


@pytest.fixture
def replicas(postgres: Database, make_replicas: MakeReplicas) -> Replicas:
    """Two that are ready."""
    replicas = make_replicas(postgres.url)
    replicas.configure(configuration())
    replicas.start("--web.trusted-proxy=127.0.0.1", "--web.shutdown-delay=3s")
    return replicas


@pytest.fixture
def balancer(tmp_path: Path, replicas: Replicas) -> Iterator[HAProxy]:
    """HAProxy in front of both."""
    with ExitStack() as stack:
        balancer = HAProxy(tmp_path, replicas)
        balancer.start()
        stack.callback(balancer.stop)
        yield balancer


def test_reports_are_recorded_once_whatever_breaks(
    postgres: Database, replicas: Replicas, balancer: HAProxy, rng: random.Random
) -> None:
    load = ReplicaLoad([balancer.url], rng)
    with load.running():
        load.wait_for(REPORTS)
        replicas[1].kill()
        load.wait_for(REPORTS)
        replicas[1].start("--web.trusted-proxy=127.0.0.1")
        load.wait_for(REPORTS)
        with replicas[0].frozen():
            load.wait_for(REPORTS)
            elapse(6)
            load.wait_for(REPORTS)
        load.wait_for(REPORTS)

    everything_is_in_order(postgres, replicas, load)


def test_replicas_that_are_replaced_one_after_the_other_refuse_no_report(
    postgres: Database, replicas: Replicas, balancer: HAProxy, rng: random.Random
) -> None:
    """As in an upgrade: the clients notice nothing."""
    load = ReplicaLoad([balancer.url], rng)
    with load.running():
        load.wait_for(REPORTS)
        for replica in replicas:
            assert replica.stop() == 0
            replica.start("--web.trusted-proxy=127.0.0.1", "--web.shutdown-delay=3s")
            wait_until(lambda: replica.is_ready, "the replica is ready")  # noqa: B023
            elapse(3)
            load.wait_for(REPORTS)

    assert {status for _, status in load.statuses} == {200}
    everything_is_in_order(postgres, replicas, load)


def test_a_report_without_a_run_id_is_recognised_by_the_other_replica(
    replicas: Replicas, balancer: HAProxy
) -> None:
    """By its sender, which the balancer names."""
    body = json.dumps({"status": "ok", "metrics": {"rows": 3}})
    answers = [
        request(HOST, balancer.port, "POST", "/ping/unnamed", body).json()
        for _ in range(4)
    ]

    assert [answer["duplicate"] for answer in answers] == [False, True, True, True]
    runs = replicas[0].get("/api/v1/jobs/unnamed/runs").json()["runs"]
    assert len(runs) == 1
