"""Sockets of systemd are served, and what is none is refused with the reason."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from afterrun_exporter.auth.route_prefix import RoutePrefix
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server import passed_sockets as module
from afterrun_exporter.server.listen import listening
from afterrun_exporter.server.passed_sockets import PassedSocket, passed_sockets
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.server.starting import answering_early
from tests.fakes import ManualClock
from tests.http import app_of

PID = 4711


@pytest.fixture(params=["inet", "unix"])
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket as a .socket unit makes it."""
    if request.param == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(tmp_path / "afterrun.sock"))
    else:
        made = socket.socket()
        made.bind(("127.0.0.1", 0))
    made.listen()
    with made:
        yield made


def passed_as_first(made: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", os.dup(made.fileno()))


def session_at(bind: PassedSocket) -> aiohttp.ClientSession:
    name = bind.socket.getsockname()
    if isinstance(name, str):
        return aiohttp.ClientSession(
            "http://localhost", connector=aiohttp.UnixConnector(name)
        )
    return aiohttp.ClientSession(f"http://127.0.0.1:{name[1]}")


async def test_a_passed_socket_is_served_again_and_again(
    bound: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    service: Service,
    clock: ManualClock,
) -> None:
    """First while the daemon waits for its database, and then by the daemon."""
    passed_as_first(bound, monkeypatch)
    environment = {"LISTEN_PID": str(PID), "LISTEN_FDS": "1", "PATH": "/bin"}

    (bind,) = passed_sockets(environment, PID)

    assert environment == {"PATH": "/bin"}
    with bind.socket:
        async with (
            answering_early([bind], SecuritySettings(), RoutePrefix("/x")),
            session_at(bind) as client,
        ):
            assert (await client.get("/x/-/healthy")).status == 200
            assert (await client.get("/x/-/ready")).status == 503
            assert (await client.get("/-/healthy")).status == 404
        for _ in range(2):
            async with (
                listening(app_of(service, clock), [bind], clock),
                session_at(bind) as client,
            ):
                assert (await client.post("/ping/backup", json={})).status == 200
                assert (await client.get("/metrics")).status == 200


def test_its_address_is_shown(bound: socket.socket) -> None:
    bind = PassedSocket(bound)
    name = bound.getsockname()

    if isinstance(name, str):
        assert (str(bind), bind.path, bind.host) == (f"unix:{name}", name, None)
    else:
        assert str(bind) == f"127.0.0.1:{name[1]}"
        assert bind.url("https") == f"https://127.0.0.1:{name[1]}"
        assert bind.host == "127.0.0.1"
    assert bind.is_loopback


def test_an_abstract_socket_is_shown_as_other_programs_do() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("\0afterrun-test")
        assert str(PassedSocket(made)) == "unix:@afterrun-test"


def test_every_interface_is_no_loopback() -> None:
    with socket.socket() as made:
        made.bind(("0.0.0.0", 0))
        made.listen()
        bind = PassedSocket(made)
        assert (bind.host, bind.is_loopback) == (None, False)
        assert bind.url().startswith("http://localhost:")


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "systemd has passed no socket (LISTEN_FDS is not set): start"),
        ({"LISTEN_PID": str(PID)}, "systemd has passed no socket"),
        (
            {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
            "the sockets are for another process (LISTEN_PID is '1', this is 4711)",
        ),
        ({"LISTEN_FDS": "1"}, "the sockets are for another process (LISTEN_PID is ''"),
        (
            {"LISTEN_FDS": "one", "LISTEN_PID": str(PID)},
            "LISTEN_FDS 'one' is not a number of sockets",
        ),
        (
            {"LISTEN_FDS": "0", "LISTEN_PID": str(PID)},
            "LISTEN_FDS '0' is not a number of sockets",
        ),
    ],
)
def test_missing_sockets_are_refused(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared
        passed_sockets(environment, PID)

    assert str(refused.value).startswith(f"--web.systemd-socket: {problem}")


@pytest.mark.parametrize("kind", ["file", "datagram", "not listening"])
def test_other_file_descriptors_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "file":
        number = os.open(tmp_path, os.O_RDONLY)
    elif kind == "datagram":
        number = socket.socket(type=socket.SOCK_DGRAM).detach()
    else:
        number = socket.socket().detach()
    monkeypatch.setattr(module, "FIRST", number)

    with pytest.raises(ValueError, match=f"file descriptor {number} (is no|does not)"):
        passed_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": "1"}, PID)

    os.close(number)


def test_every_problem_of_passed_sockets_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST", 2**20)

    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text is compared
        passed_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": "2"}, PID)

    lines = str(refused.value).splitlines()
    assert [line.split(" is ")[0] for line in lines] == [
        f"--web.systemd-socket: file descriptor {2**20 + number}" for number in (0, 1)
    ]
