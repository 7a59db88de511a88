"""healthchecks_io, its pinging client and its CheckTrap."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.clients.clients import CLIENTS, environment, jobs, python, runs
from tests.e2e.daemon.daemon import Daemon

UUID = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"

PROGRAM = """
import sys
from healthchecks_io import CheckTrap, Client

with Client(ping_url=sys.argv[1], ping_key="a-key") as client:
    {body}
"""


def run(daemon: Daemon, body: str) -> None:
    """Run a program whose `client` reports to *daemon*."""
    program = PROGRAM.format(body=body)
    command = [str(CLIENTS / "python"), "-c", program, f"{daemon.url}/ping/"]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("job", [UUID, "nightly"])
def test_a_ping_is_a_run(daemon: Daemon, job: str) -> None:
    who = f"uuid='{job}'" if job == UUID else f"slug='{job}'"
    pings = (
        f"client.success_ping({who}, data='0 rows')",
        f"client.fail_ping({who}, data='1 row')",
        f"client.exit_code_ping(0, {who}, data='2 rows')",
        f"client.exit_code_ping(3, {who}, data='3 rows')",
    )
    run(daemon, f"assert {{{', '.join(pings)}}} == {{(True, 'OK')}}")

    found = [
        (one["outcome"], one["exit_code"], one["message"]) for one in runs(daemon, job)
    ]
    assert found == [
        ("ok", None, "0 rows"),
        ("fail", None, "1 row"),
        ("ok", 0, "2 rows"),
        ("fail", 3, "3 rows"),
    ]


def test_a_start_opens_a_run(daemon: Daemon) -> None:
    run(daemon, "assert client.start_ping(slug='nightly') == (True, 'OK')")

    assert jobs(daemon) == {"nightly": 1}


def test_a_check_trap_is_a_run_with_its_log(daemon: Daemon) -> None:
    run(
        daemon,
        "\n    with CheckTrap(client, slug='nightly') as trap: trap.add_log('5 rows')",
    )

    (found,) = runs(daemon, "nightly")
    assert (found["outcome"], found["message"]) == ("ok", "5 rows")
    assert found["duration"] is not None
    assert jobs(daemon) == {"nightly": 0}


def test_a_check_trap_tells_of_an_exception(daemon: Daemon) -> None:
    run(
        daemon,
        "\n    with CheckTrap(client, uuid='" + UUID + "', suppress_exceptions=True):"
        "\n        raise OSError('disk full')",
    )

    (found,) = runs(daemon, UUID)
    assert found["outcome"] == "fail"
    assert found["message"].startswith("disk full\n")


def test_checks_are_managed_by_its_client(daemon: Daemon) -> None:
    """Created, found again, changed, pinged, paused, resumed by a ping and deleted."""
    python(
        """
import sys
from healthchecks_io import CheckCreate, CheckUpdate, Client

with Client(api_key="a-key", api_url=sys.argv[1], ping_url=sys.argv[2]) as client:
    told = dict(name="nightly", tags="db backup", timeout=3600, grace=120)
    check = client.create_check(CheckCreate(**told))
    assert (check.name, check.status, check.timeout) == ("nightly", "new", 3600), check

    again = client.create_check(CheckCreate(**told | {"timeout": 60}, unique=["name"]))
    assert (again.uuid, again.timeout) == (check.uuid, 60), again
    changed = client.update_check(check.uuid, CheckUpdate(grace=600))
    assert (changed.timeout, changed.grace) == (60, 600), changed

    assert client.start_ping(uuid=check.uuid) == (True, "OK")
    assert client.success_ping(uuid=check.uuid, data="120 rows") == (True, "OK")
    found, = client.get_checks(tags=["db"])
    assert (found.uuid, found.status, found.n_pings) == (check.uuid, "up", 1), found
    assert client.get_checks(tags=["other"]) == []
    ping, = client.get_check_pings(check.uuid)
    assert (ping.type, ping.number_of_pings) == ("success", 1), ping

    assert client.pause_check(check.uuid).status == "paused"
    assert client.fail_ping(uuid=check.uuid) == (True, "OK")
    assert client.get_check(check.uuid).status == "down"
    assert [flip.up for flip in client.get_check_flips(check.uuid)] == [0]
    assert client.get_integrations() == []
    assert client.get_badges() == {}

    assert client.delete_check(check.uuid).uuid == check.uuid
    assert client.get_checks() == []
""",
        f"{daemon.url}/api/",
        f"{daemon.url}/ping/",
    )

    assert jobs(daemon) == {}
