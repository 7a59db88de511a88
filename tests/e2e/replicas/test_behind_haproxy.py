"""Replicas behind HAProxy, as it is shipped: whatever breaks, each report counts once."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.daemon.daemon import HOST, request
from tests.e2e.daemon.load import configuration
from tests.e2e.replicas.asking import UNAVAILABLE, accepted
from tests.e2e.replicas.balancer import HAProxy
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.evidence import everything_is_in_order
from tests.e2e.replicas.load import ReplicaLoad
from tests.e2e.replicas.replica import Replicas, elapse
from tests.patience import PATIENCE
from tests.postgres import Database

REPORTS = 30

#: Why a replica refuses reports if the machine is busy.
SLOW = re.compile("no answer|timeout|was last read|nothing could be recorded")


@pytest.fixture
def replicas(postgres: Database, make_replicas: MakeReplicas) -> Replicas:
    """Two that are ready."""
    replicas = make_replicas(postgres.url)
    # A report without a run id may be sent again much later.
    replicas.configure(f"dedup_window: 1h\n{configuration()}")
    replicas.start("--web.trusted-proxy=127.0.0.1", "--web.shutdown-delay=3s")
    return replicas


@pytest.fixture
def balancer(
    request: pytest.FixtureRequest, tmp_path: Path, replicas: Replicas
) -> Iterator[HAProxy]:
    """HAProxy in front of both, which waits for them except in one test."""
    with ExitStack() as stack:
        waits = getattr(request, "param", True)
        balancer = HAProxy(tmp_path, replicas, waits_for_replicas=waits)
        balancer.start()
        stack.callback(balancer.stop)
        yield balancer


@pytest.mark.parametrize("balancer", [False], ids=["as-shipped"], indirect=True)
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
    load = ReplicaLoad([balancer.url], rng, patience=PATIENCE)
    with load.running():
        load.wait_for(REPORTS)
        for replica in replicas:
            assert replica.stop() == 0
            replica.start("--web.trusted-proxy=127.0.0.1", "--web.shutdown-delay=3s")
            elapse(3)
            load.wait_for(REPORTS)

    assert not unexplained(load, replicas, balancer)
    everything_is_in_order(postgres, replicas, load)


def unexplained(
    load: ReplicaLoad, replicas: Replicas, balancer: HAProxy
) -> list[tuple[int, str]]:
    """Return the answers to refused reports, except those of a busy machine.

    There a replica may be out of date for a moment, also while the other one is
    replaced.
    """
    once_each = Counter(replica.name for replica in replicas)
    was_outdated = bool(balancer.times_down - once_each)
    return [
        (status, text)
        for status, text in load.refusals
        if not (
            status == UNAVAILABLE
            and (SLOW.search(text) or (was_outdated and "No server is" in text))
        )
    ]


def test_a_report_without_a_run_id_is_recognised_by_the_other_replica(
    replicas: Replicas, balancer: HAProxy
) -> None:
    """By its sender, which the balancer names."""
    body = json.dumps({"status": "ok", "metrics": {"rows": 3}})
    answers = [
        accepted(request, HOST, balancer.port, "POST", "/ping/unnamed", body).json()
        for _ in range(4)
    ]

    # The balancer repeats the first one, too, if the database is slow.
    assert [answer["duplicate"] for answer in answers[1:]] == [True, True, True]
    runs = accepted(replicas[0].get, "/api/v1/jobs/unnamed/runs").json()["runs"]
    assert len(runs) == 1
