"""Connections that are too many or too slow, with the clock and the loop of the daemon."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uvloop

from afterrun_exporter.cli.flags import MIN_FILES
from afterrun_exporter.cli.web_config import WebFile
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.connection_limits import (
    REFUSAL_SECONDS,
    ConnectionLimiter,
    Limits,
    Phase,
)
from afterrun_exporter.server.listen import listening
from afterrun_exporter.server.security import SecuritySettings
from tests.e2e.daemon.daemon import HOST, Answer, Daemon, until, wait_until
from tests.e2e.network import free_port
from tests.fakes import MemoryStore
from tests.http import app_of
from tests.patience import PATIENCE
from tests.server.tls import Papers, Stream
from tests.services import job_config

#: The first limit is also that of a TLS handshake.
SHORT = Limits(asking=2, sending=0.5, reading=0.5, idle=0.5)
READY = b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"POST /ping/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"


def is_answered(*connections: HTTPConnection) -> bool:
    """Ask on each connection, all at once; return True if each is answered with 200.

    An answered connection may be idle for longer than a silent one.
    """
    for one in connections:
        one.request("GET", "/-/healthy")
    answers = [one.getresponse() for one in connections]
    return all(answer.read() and answer.status == 200 for answer in answers)


def is_ready(daemon: Daemon) -> bool:
    """Return True if the daemon has room for a connection."""
    try:
        return daemon.get("/-/ready").status == 200
    except ConnectionError:
        return False


def answer_of(ask: Callable[[], Answer]) -> Answer:
    """Return the answer of a daemon that is full.

    A client has a second to read it; one that was too slow for that asks again.
    """
    answers: list[Answer] = []

    def is_read() -> bool:
        began = time.monotonic()
        try:
            answers.append(ask())
        except ConnectionError:
            if time.monotonic() - began < REFUSAL_SECONDS / 4:
                raise
        return bool(answers)

    wait_until(is_read, "the answer is read in time")
    return answers[0]


def test_beyond_the_limit_connections_are_told_so_and_the_others_go_on(
    daemon: Daemon,
) -> None:
    daemon.start("--web.max-connections=5", "--log.level=warn")
    kept, *others = [daemon.connect() for _ in range(5)]
    kept.request("POST", "/ping/backup", '{"run_id": "1"}')
    assert kept.getresponse().read()
    assert is_answered(*others)
    assert answer_of(lambda: daemon.get("/-/ready")).status == 503
    exhausted = daemon.log.count("connections_exhausted")

    refused = []
    for _ in range(20):
        refused.append(answer_of(lambda: daemon.post("/ping/backup", {"run_id": "x"})))
        assert is_answered(kept, *others)
    kept.request("POST", "/ping/backup", '{"run_id": "2"}')
    answer = kept.getresponse()
    verdict = json.loads(answer.read())
    assert exhausted == daemon.log.count("connections_exhausted") == 1
    for one in (kept, *others):
        one.close()

    assert {one.status for one in refused} == {503}
    assert {one.headers["Retry-After"] for one in refused} == {"5"}
    kinds = {json.loads(one.text)["type"].rpartition(":")[2] for one in refused}
    assert kinds == {"too-many-connections"}
    assert (answer.status, verdict["run_id"]) == (200, "2")
    wait_until(lambda: is_ready(daemon), "there is room again")
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]


def test_with_few_files_there_are_fewer_connections_and_each_is_answered(
    daemon: Daemon,
) -> None:
    """The least number of files that it starts with."""
    daemon.start("--log.level=warn", files=MIN_FILES)
    assert "msg=fewer_connections configured=4096 limit=48 " in daemon.log
    kept = [daemon.connect() for _ in range(48)]
    # Once the first one is answered, the daemon knows that those before it have ended.
    assert is_answered(kept[0])
    report_on(kept, "before")

    with ExitStack() as stack:
        # All that the backlog of the system takes, too.
        for _ in range(100):
            stack.enter_context(socket.create_connection((HOST, daemon.port)))
        report_on(kept, "then")
    for one in kept:
        one.close()

    wait_until(lambda: is_ready(daemon), "there is room again")
    assert daemon.rows("SELECT count(*) FROM runs") == [(96,)]
    assert "Traceback" not in daemon.log


def report_on(connections: list[HTTPConnection], name: str) -> None:
    """Report a run on each connection, all at once; each report is accepted."""
    for number, one in enumerate(connections):
        one.request("POST", "/ping/backup", f'{{"run_id": "{name}-{number}"}}')
    answers = [one.getresponse() for one in connections]
    assert all(answer.read() for answer in answers)
    assert {answer.status for answer in answers} == {200}


@asynccontextmanager
async def slow_daemon(
    file: Path | None, limits: Limits = SHORT, jobs: int = 0
) -> AsyncIterator[tuple[int, MemoryStore, ConnectionLimiter]]:
    store, clock, security = MemoryStore(), SystemClock(), SecuritySettings()
    config = job_config(*(Job(name=f"job-{number:05}") for number in range(jobs)))
    service = Service(store, clock, config)
    await service.start()
    web_file = WebFile(file, security)
    web_file.apply(await web_file.read())
    port = free_port()
    app = app_of(service, clock, security=security)
    async with listening(app, [Address(HOST, port)], clock, limits) as limiter:
        yield port, store, limiter
    await store.close()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_whoever_is_slow_is_not_waited_for(tmp_path: Path, encrypted: bool) -> None:
    """Whatever it is that they do slowly."""
    papers = Papers(tmp_path)
    papers.issue()
    file = papers.write() if encrypted else None
    context = papers.client() if encrypted else None
    name = "localhost" if encrypted else None

    async def connected(port: int) -> Stream:
        """Return a connection; the daemon may have given up the first handshakes."""
        while True:
            try:
                return await asyncio.open_connection(
                    HOST, port, ssl=context, server_hostname=name
                )
            except OSError:
                await asyncio.sleep(0.1)

    async def closed_after(port: int, sent: bytes, *, drips: bool = False) -> bytes:
        """Return what comes until the connection is closed on us."""
        reader, writer = await connected(port)
        writer.write(sent)
        # A closed transport of uvloop refuses to write.
        while drips and not (reader.at_eof() or writer.is_closing()):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        try:
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()

    async def answered(port: int) -> bytes:
        """Return an answer; a request that took too long to come is sent again."""
        while not (answer := await closed_after(port, READY)):
            pass
        return answer

    async def scenario() -> None:
        async with slow_daemon(file) as (port, store, _):
            async with asyncio.timeout(PATIENCE):
                made = await asyncio.gather(
                    closed_after(port, b""),
                    closed_after(port, HEAD),
                    closed_after(port, HEAD, drips=True),
                    closed_after(port, HEAD + b"\r\n{"),
                    answered(port),
                )
            *slow, quick = made
            assert slow == [b""] * 4
            assert quick.startswith(b"HTTP/1.1 200 OK")
            assert not await store.runs("backup", 9)

    uvloop.run(scenario())


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_whoever_does_not_read_makes_room_for_others(
    tmp_path: Path, encrypted: bool
) -> None:
    """An answer is as large as there are jobs, and is kept until it is read."""
    papers = Papers(tmp_path)
    papers.issue()
    file = papers.write() if encrypted else None
    context = papers.client() if encrypted else None
    name = "localhost" if encrypted else None

    async def scenario() -> None:
        limits = Limits(asking=PATIENCE, sending=PATIENCE, reading=0.5, idle=PATIENCE)
        async with slow_daemon(file, limits, jobs=3000) as (port, _, limiter):
            async with asyncio.timeout(PATIENCE):
                _, writer = await connected(port, 4096)
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await until(
                    lambda: [c.phase() for c in limiter] == [Phase.READING],
                    "the answer waits for its reader",
                )
                await until(lambda: not len(limiter), "it waits no more")
                writer.close()

    async def connected(port: int, received: int | None = None) -> Stream:
        made = socket.socket()
        if received is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (HOST, port))
        return await asyncio.open_connection(
            sock=made, ssl=context, server_hostname=name, limit=1024
        )

    uvloop.run(scenario())
