"""Connections that are too many or too slow, with the clock and the loop of the daemon."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from afterrun_exporter.cli.flags import MIN_FILES
from afterrun_exporter.cli.web_config import WebFile
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.connection_limits import ConnectionLimiter, Limits, Phase
from afterrun_exporter.server.listen import listening
from afterrun_exporter.server.security import SecuritySettings
from tests.e2e.daemon.daemon import HOST, Daemon, until, wait_until
from tests.e2e.network import free_port
from tests.fakes import MemoryStore
from tests.http import app_of
from tests.patience import PATIENCE
from tests.server.tls import Papers, Stream

SHORT = Limits(asking=0.5, sending=0.5, reading=0.5, idle=0.5)
HEAD = b"POST /ping/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"


def test_beyond_the_limit_connections_are_told_so_and_the_others_go_on(
    daemon: Daemon,
) -> None:
    daemon.start("--web.max-connections=5", "--log.level=warn")
    with ExitStack() as stack:
        kept = daemon.connect()
        kept.request("POST", "/ping/backup", '{"run_id": "1"}')
        assert kept.getresponse().read()
        for _ in range(4):
            stack.enter_context(socket.create_connection((HOST, daemon.port)))
        wait_until(lambda: daemon.get("/-/ready").status == 503, "it is full")

        refused = [daemon.post("/ping/backup", {"run_id": "x"}) for _ in range(20)]
        kept.request("POST", "/ping/backup", '{"run_id": "2"}')
        answer = kept.getresponse()
        verdict = json.loads(answer.read())
        kept.close()

    assert {one.status for one in refused} == {503}
    assert {one.headers["Retry-After"] for one in refused} == {"5"}
    kinds = {json.loads(one.text)["type"].rpartition(":")[2] for one in refused}
    assert kinds == {"too-many-connections"}
    assert (answer.status, verdict["run_id"]) == (200, "2")
    wait_until(lambda: daemon.get("/-/ready").status == 200, "there is room again")
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]
    assert daemon.log.count("connections_exhausted") <= 2


def test_with_few_files_there_are_fewer_connections_and_each_is_answered(
    daemon: Daemon,
) -> None:
    """The least number of files that it starts with."""
    daemon.start("--log.level=warn", files=MIN_FILES)
    assert "msg=fewer_connections configured=4096 limit=48 " in daemon.log
    kept = [daemon.connect() for _ in range(48)]
    for number, one in enumerate(kept):
        one.request("POST", "/ping/backup", f'{{"run_id": "{number}"}}')
        assert one.getresponse().read()

    with ExitStack() as stack:
        # All that the backlog of the system takes, too.
        for _ in range(100):
            stack.enter_context(socket.create_connection((HOST, daemon.port)))
        for number, one in enumerate(kept):
            one.request("POST", "/ping/backup", f'{{"run_id": "x{number}"}}')
            assert one.getresponse().read()
    for one in kept:
        one.close()

    wait_until(lambda: daemon.get("/-/ready").status == 200, "there is room again")
    assert daemon.rows("SELECT count(*) FROM runs") == [(96,)]
    assert "Traceback" not in daemon.log


@asynccontextmanager
async def slow_daemon(
    file: Path | None, limits: Limits = SHORT
) -> AsyncIterator[tuple[int, MemoryStore, ConnectionLimiter]]:
    store, clock, security = MemoryStore(), SystemClock(), SecuritySettings()
    service = Service(store, clock, JobConfig())
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

    async def closed_after(port: int, sent: bytes, *, drips: bool = False) -> bytes:
        """Return what comes until the connection is closed on us."""
        reader, writer = await asyncio.open_connection(
            HOST, port, ssl=context, server_hostname=name
        )
        writer.write(sent)
        if drips:
            for _ in range(100):
                await asyncio.sleep(0.1)
                # A closed transport of uvloop refuses to write.
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(b"x")
        try:
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()

    async def scenario() -> None:
        async with slow_daemon(file) as (port, store, _):
            async with asyncio.timeout(PATIENCE):
                made = await asyncio.gather(
                    closed_after(port, b""),
                    closed_after(port, HEAD),
                    closed_after(port, HEAD, drips=True),
                    closed_after(port, HEAD + b"\r\n{"),
                    closed_after(
                        port, b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    ),
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
        patient = replace(SHORT, idle=75)
        async with slow_daemon(file, patient) as (port, _, limiter):
            async with asyncio.timeout(PATIENCE):
                items = (f'{{"job": "job-{n:05}", "run_id": "1"}}' for n in range(3000))
                body = "\n".join(items).encode()
                head = f"POST /ping HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
                request = f"{head}\r\nConnection: close\r\n\r\n".encode() + body
                reader, writer = await connected(port)
                writer.write(request)
                assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
                writer.close()
                await until(lambda: not len(limiter), "the first one has left")

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
