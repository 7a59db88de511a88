"""Replicas that start without their database, lose it, and stop."""

from __future__ import annotations

from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote

from tests.e2e.daemon.daemon import wait_until
from tests.e2e.replicas.asking import UNAVAILABLE
from tests.e2e.replicas.conftest import MakeReplicas
from tests.e2e.replicas.replica import Replica
from tests.postgres import PASSWORD, USER, Database

HEALTHY, READY, METRICS = "/-/healthy", "/-/ready", "/metrics"


def statuses(replica: Replica) -> list[int]:
    return [replica.get(path).status for path in (HEALTHY, READY, METRICS)]


def until_statuses(replica: Replica, *expected: int) -> None:
    """Return once it answers so: it is out of date if it was slow for a moment."""
    what = f"{replica.name} answers {expected}"
    wait_until(lambda: statuses(replica) == [*expected], what, every=0.1)


def test_replicas_wait_for_a_database_that_is_down_and_lose_it_again(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """A restart of the process would help neither time."""
    postgres.server.stop()
    replicas = make_replicas(postgres.url)
    for replica in replicas:
        replica.launch()
    for replica in replicas:
        replica.until_answers(200, HEALTHY)
        assert statuses(replica) == [200, UNAVAILABLE, UNAVAILABLE]
        assert "it waits for its database" in replica.get(READY).text

    postgres.server.start()
    replicas.wait_until_ready()
    for replica in replicas:
        until_statuses(replica, 200, 200, 200)

    postgres.server.stop()
    for replica in replicas:
        replica.until_answers(UNAVAILABLE, METRICS)
        assert statuses(replica) == [200, UNAVAILABLE, UNAVAILABLE]

    postgres.server.start()
    replicas.wait_until_ready()
    for replica in replicas:
        replica.until_answers(200, METRICS)
        shown = replica.log + replica.stdout + replica.get(METRICS).text
        assert PASSWORD not in shown
        assert "50%" not in shown


def test_a_replica_that_stops_announces_it_and_another_one_leads(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """It accepts requests for a while, until load balancers have noticed."""
    replicas = make_replicas(postgres.url)
    replicas.start("--web.shutdown-delay=1h")
    leader = replicas.leader()
    (other,) = [one for one in replicas if one is not leader]

    leader.send_signal(SIGTERM)
    leader.until_says("it is stopping", READY)
    until_statuses(leader, 200, UNAVAILABLE, 200)

    # Not all of that time.
    leader.send_signal(SIGTERM)
    leader.wait()
    replicas.until_leads(other)


def test_a_password_is_changed_without_a_restart(
    postgres: Database, make_replicas: MakeReplicas, tmp_path: Path
) -> None:
    """Its file is read for each connection."""
    server, file = postgres.server, tmp_path / "password"
    file.write_text(PASSWORD)
    user, _, rest = postgres.url.partition(f":{quote(PASSWORD, safe='')}@")
    replicas = make_replicas(f"{user}@{rest}", 1)
    replicas[0].environment["AFTERRUN_STORAGE_PASSWORD_FILE"] = str(file)
    replicas.start()
    try:
        server.psql(f"ALTER ROLE {USER} PASSWORD 'another'")
        # All connections are lost.
        server.stop()
        server.start()
        replicas[0].until_answers(UNAVAILABLE, METRICS)

        file.write_text("another\n")
        replicas[0].until_answers(200, METRICS)
    finally:
        server.psql(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'")


def test_a_wrong_password_ends_the_start(
    postgres: Database, make_replicas: MakeReplicas
) -> None:
    """Waiting would not help."""
    replicas = make_replicas(postgres.url.replace(":p%2F", ":q%2F"), 1)

    ended = replicas[0].ended()

    assert ended.code == 1
    assert "password authentication failed" in ended.stderr
    assert "50%" not in ended.stderr + ended.stdout
