"""Prometheus and Alertmanager watch replicas that come and go: no alert is wrong, none flaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterrun_exporter import conventions as names
from tests.e2e.processes import Process
from tests.e2e.replicas.asking import UNAVAILABLE
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.database import through
from tests.e2e.replicas.replica import (
    Replica,
    Replicas,
    elapse,
    proxies_to,
    status_of,
)
from tests.e2e.replicas.watched import Reporter, Watched, repeated
from tests.postgres import Database

#: They report as long as the test runs, and pass their deadline if they stop.
ALIVE = tuple(f"alive-{number}" for number in range(4))
LIVES = dict.fromkeys(ALIVE, "every: 2s, grace: 40s")

#: It stops to report at some time.
SILENT = {"silent": "every: 2s, grace: 40s"}

FAILING = (names.JOB_FAILING, "failing")
MISSED = (names.JOB_MISSED, "silent")

#: Seconds: far more than until a miss, and less than a test waits for an alert.
SETTLE = 300.0
#: Seconds without an acknowledged report that may be a downtime of the service.
DOWN = 8.0

Watch = Callable[[Replicas, str, dict[str, str]], Watched]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Return a function that starts replicas, and the programs that watch them."""
    running: list[Process] = []

    def start(replicas: Replicas, settle: str, jobs: dict[str, str]) -> Watched:
        watched = Watched(tmp_path, replicas, settle, jobs)
        for program in watched.programs:
            running.append(program)
            program.start()
        replicas.start()
        watched.until_scraped()
        return watched

    yield start
    for program in running:
        program.stop()


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(5, marks=pytest.mark.slow)], ids=lambda n: f"{n}-times"
)
def test_a_rolling_restart_raises_resolves_and_repeats_no_alert(
    postgres: Database, make_replicas: MakeReplicas, watch: Watch, rounds: int
) -> None:
    """One job fails all the time, one is missed meanwhile, the others are well."""
    replicas = make_replicas(postgres.url)
    watched = watch(
        replicas, f"{SETTLE:.0f}s", {**LIVES, **SILENT, "failing": "every: 1h"}
    )
    jobs = Reporter(watched)
    with jobs.reporting(ALIVE):
        with jobs.reporting(["silent"]):
            jobs.report("failing", status="fail")
            watched.until_firing(FAILING)
        for _ in range(rounds):
            for replica in replicas:
                assert replica.stop() == 0
                replica.start()
        seconds = watched.until_firing(FAILING, MISSED)
        watched.until_scraped()
        jobs.report("failing", status="ok")
        watched.until_firing(MISSED)
        spans = watched.spans()
        jobs.report("silent")
        notified = watched.notified()

    assert seconds < SETTLE or jobs.longest_gap > DOWN
    assert jobs.punctual(spans) == jobs.punctual({FAILING: 1, MISSED: 1})
    told = jobs.punctual(notified)
    assert told.keys() <= {FAILING, MISSED}
    for statuses in told.values():
        assert statuses.count("firing") == 1
        assert statuses.count("resolved") <= 1


def test_a_job_that_recovers_while_a_replica_is_cut_off_is_resolved(
    postgres: Database, make_replicas: MakeReplicas, watch: Watch
) -> None:
    """What the replica said last is not remembered against what the others say now."""
    with proxies_to(postgres.server.port, 2) as proxies:
        replicas = make_replicas([through(proxy, postgres) for proxy in proxies])
        watched = watch(replicas, f"{SETTLE:.0f}s", {**LIVES, "failing": "every: 1h"})
        jobs = Reporter(watched)
        with jobs.reporting(ALIVE):
            jobs.report("failing", status="fail")
            watched.until_firing(FAILING)
            proxies[1].refuse()
            replicas[1].until_answers(UNAVAILABLE, "/metrics")
            watched.until_firing(FAILING)
            jobs.report("failing", status="ok")
            watched.until_firing()

            jobs.report("failing", status="fail")
            watched.until_firing(FAILING)
            proxies[1].heal()
            replicas.wait_until_ready()
            watched.until_scraped()
            jobs.report("failing", status="ok")
            watched.until_firing()
            proxies[1].freeze()
            jobs.report("failing", status="fail")
            watched.until_firing(FAILING)
            proxies[1].heal()
            replicas.wait_until_ready()
            jobs.report("failing", status="ok")
            watched.until_firing()
            spans = watched.spans()

        assert jobs.punctual(spans) == {FAILING: 3}
        replicas.wait_until_agree()


@contextmanager
def crash_looping(replica: Replica) -> Iterator[None]:
    """Kill a replica as soon as it has exposed something, again and again."""

    def crash() -> None:
        replica.kill()
        replica.start()
        status_of(replica, "/metrics")

    with repeated(crash, 1):
        yield


def test_a_replica_that_crashes_again_and_again_delays_no_miss(
    postgres: Database, make_replicas: MakeReplicas, watch: Watch
) -> None:
    """`settle` follows a downtime of the service, and a restart of one is none."""
    replicas = make_replicas(postgres.url)
    watched = watch(replicas, f"{SETTLE:.0f}s", {**LIVES, **SILENT})
    jobs = Reporter(watched)
    with jobs.reporting(ALIVE), crash_looping(replicas[1]):
        with jobs.reporting(["silent"]):
            elapse(5)
        seconds = watched.until_firing(MISSED)
        with jobs.reporting(["silent"]):
            watched.until_firing()
            spans = watched.spans()

    assert seconds < SETTLE or jobs.longest_gap > DOWN
    assert MISSED in spans
    assert jobs.punctual(spans).keys() <= {MISSED}


def test_an_outage_of_the_database_across_deadlines_is_nobodys_miss(
    postgres: Database, make_replicas: MakeReplicas, watch: Watch
) -> None:
    """No alert about the jobs that go on; the one that has ended meanwhile is missed."""
    replicas = make_replicas(postgres.url)
    watched = watch(replicas, "40s", {**LIVES, **SILENT})
    jobs = Reporter(watched)
    with jobs.reporting(ALIVE):
        with jobs.reporting(["silent"]):
            watched.until_firing()
        postgres.server.kill()
        for replica in replicas:
            replica.until_answers(UNAVAILABLE, "/metrics")
        elapse(50)
        firing = dict.fromkeys(watched.firing(), 1)
        assert jobs.punctual(firing) == {}
        jobs.begin_again()
        postgres.server.start()
        replicas.wait_until_ready()
        watched.until_scraped()
        watched.until_firing(MISSED)
        spans = watched.spans()

    assert jobs.punctual(spans) == jobs.punctual({MISSED: 1})
