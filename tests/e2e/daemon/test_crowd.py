"""Connections that are too many or too slow, with the clock and the loop of the daemon."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from afterrun_exporter.cli.addresses import Address
from afterrun_exporter.cli.listening import listening
from afterrun_exporter.cli.locks import WebFile
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.catalogue import Catalogue
from afterrun_exporter.service import Service
from afterrun_exporter.testing import MemoryStore
from afterrun_exporter.web.crowd import Limits
from afterrun_exporter.web.guard import Doors
from tests.e2e.daemon.daemon import HOST, PATIENCE, Daemon, free_port, wait_until
from tests.http import app_of
from tests.web.tls import Papers

SHORT = Limits(asking=0.5, sending=0.5, reading=0.5, idle=0.5)
HEAD = b"POST /ping/backup HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n"


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
    assert (answer.status, verdict["run_id"]) == (200, "2")
    wait_until(lambda: daemon.get("/-/ready").status == 200, "there is room again")
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]
    assert daemon.log.count("connections_exhausted") <= 2


@asynccontextmanager
async def slow_daemon(file: Path | None) -> AsyncIterator[tuple[int, MemoryStore]]:
    store, clock, doors = MemoryStore(), SystemClock(), Doors()
    service = Service(store, clock, Catalogue())
    await service.start()
    web_file = WebFile(file, doors)
    web_file.apply(await web_file.read())
    port = free_port()
    app = app_of(service, clock, doors=doors)
    async with listening(app, [Address(HOST, port)], clock, SHORT):
        yield port, store
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
                writer.write(b"x")
                if reader.at_eof() or writer.is_closing():
                    break
        try:
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()

    async def scenario() -> None:
        async with slow_daemon(file) as (port, store):
            async with asyncio.timeout(PATIENCE):
                made = await asyncio.gather(
                    closed_after(port, b""),
                    closed_after(port, HEAD),
                    closed_after(port, HEAD, drips=True),
                    closed_after(port, HEAD + b"\r\n{"),
                    closed_after(port, b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"),
                )
            *slow, quick = made
            assert slow == [b""] * 4
            assert quick.startswith(b"HTTP/1.1 200 OK")
            assert not await store.runs("backup", 9)

    uvloop.run(scenario())
