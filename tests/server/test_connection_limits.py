"""Connections that are too many or too slow, on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.connection_limits import Limits
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened, read
from tests.patience import PATIENCE
from tests.server.test_fast_path import OK, SlowStore, post
from tests.services import job_config

LIMITS = Limits(connections=3, asking=10, sending=30, reading=60, idle=75)


@pytest.fixture(params=[True, False], ids=["fast path", "safe path"])
async def door(
    service: Service, clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[Door]:
    async with opened(service, clock, limits=LIMITS, front=request.param) as door:
        yield door


async def settle(condition: Callable[[], bool]) -> None:
    """Let the loop go on until *condition* holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await yield_to_loop()


def look(door: Door, *seconds: float, since: float | None = None) -> None:
    """Have the connections looked at now, or *since*, and so many seconds later."""
    start = asyncio.get_running_loop().time() if since is None else since
    for later in (0, *seconds):
        door.limiter.close_slow(start + later)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE) == b""
    except ConnectionResetError:
        return True


async def test_one_connection_too_many_is_told_to_come_again(
    door: Door, store: MemoryStore
) -> None:
    """Those that are there go on, and once one has left another may come."""
    limiter = [await door.connect() for _ in range(3)]
    await settle(lambda: len(door.limiter) == 3)

    with capture_logs() as lines:
        for _ in range(2):
            status, headers, body = await door.answer(post(OK))
            assert status == "HTTP/1.1 503 Service Unavailable"
            assert headers["Retry-After"] == "5"
            assert headers["Connection"] == "close"
            problem = json.loads(body)
            assert problem["type"] == "urn:afterrun:problem:too-many-connections"
            assert "too many connections" in problem["detail"]
    assert [line["event"] for line in lines] == ["connections_exhausted"]
    assert not await store.runs("backup", 9)

    for reader, writer in limiter:
        writer.write(post(OK))
        assert (await read(reader))[0] == "HTTP/1.1 200 OK"
    limiter[0][1].close()
    await settle(lambda: len(door.limiter) == 2)
    assert (await door.answer(post(OK)))[0] == "HTTP/1.1 200 OK"
    for _, writer in limiter:
        writer.close()


async def test_a_report_under_way_is_not_harmed_by_a_crowd(clock: ManualClock) -> None:
    slow = SlowStore()
    service = Service(slow, clock, job_config(BACKUP))
    async with opened(service, clock, limits=LIMITS) as door:
        reader, writer = await door.connect()
        writer.write(post(OK))
        await slow.asked.wait()
        others = [await door.connect() for _ in range(20)]
        look(door, 1, 9, 1000)
        slow.go.set()

        assert (await read(reader))[0] == "HTTP/1.1 200 OK"
        for _, other in [(reader, writer), *others]:
            other.close()


@pytest.mark.parametrize(
    "sent", [b"", b"POST /ping", post(OK).partition(b"\r\n\r\n")[0]]
)
async def test_headers_that_do_not_come_are_not_waited_for(
    door: Door, sent: bytes
) -> None:
    """Not even if a byte of them comes now and then."""
    before = asyncio.get_running_loop().time()
    reader, writer = await door.connect()
    writer.write(sent)
    await settle(lambda: len(door.limiter) == 1)

    # However long a busy machine has taken since.
    look(door, 5, 9, since=before)
    writer.write(b"X")
    await yield_to_loop()
    assert len(door.limiter) == 1
    look(door, 11)

    assert len(door.limiter) == 0
    assert await is_closed(reader)
    writer.close()


@pytest.mark.parametrize("path", ["/ping/backup", "/ping", "/api/v1/heartbeat/backup"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    door: Door, store: MemoryStore, path: str
) -> None:
    """And what has come of it is not taken for all."""
    reader, writer = await door.connect()
    writer.write(post(OK, path)[:-5])
    await settle(lambda: door.ceremonies == [path])

    look(door, 29)
    assert len(door.limiter) == 1
    look(door, 31)

    assert len(door.limiter) == 0
    assert await is_closed(reader)
    assert not await store.runs("backup", 9)
    writer.close()


async def test_an_answer_that_is_not_read_is_not_kept(
    service: Service, clock: ManualClock
) -> None:
    """A page of metrics is larger than what the system keeps for a reader."""
    names = [f"job-{number:05}" for number in range(3000)]
    async with opened(service, clock, limits=LIMITS) as door:
        batch = "\n".join(json.dumps({"job": n, "run_id": "1"}) for n in names)
        await door.answer(post(batch.encode(), "/ping"))
        quiet = socket.socket()
        quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        quiet.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(quiet, ("127.0.0.1", door.port))
        await loop.sock_sendall(
            quiet, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        await settle(lambda: any(c.phase().name == "READING" for c in door.limiter))

        look(door, 59)
        assert len(door.limiter) == 1
        look(door, 61)

        assert len(door.limiter) == 0
        quiet.close()


async def test_who_has_asked_once_may_be_idle(door: Door) -> None:
    """Prometheus comes back on the same connection: aiohttp ends it when it does not."""
    reader, writer = await door.connect()
    writer.write(post(OK))
    assert (await read(reader))[0] == "HTTP/1.1 200 OK"

    look(door, 11, 61, 100)

    assert len(door.limiter) == 1
    writer.close()


@pytest.mark.parametrize("front", [True, False])
async def test_an_idle_connection_is_closed(
    service: Service, clock: ManualClock, front: bool
) -> None:
    """Also one that begins another request and does not go on."""
    limits = Limits(idle=0.2)
    async with opened(service, clock, limits=limits, front=front) as door:
        streams = [await door.connect() for _ in range(2)]
        for reader, writer in streams:
            writer.write(post(OK))
            await read(reader)
        streams[1][1].write(b"POST /ping/backup HTTP/1.1\r\n")

        for reader, writer in streams:
            assert await is_closed(reader)
            writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Long: " + "x" * 9000],
        [f"X-{number}: x" for number in range(200)],
    ],
)
async def test_headers_have_a_limit(
    door: Door, store: MemoryStore, headers: list[str]
) -> None:
    status, _, _ = await door.answer(post(OK, "/ping/backup", *headers))

    assert status.split()[1] == "400"
    assert not await store.runs("backup", 9)


async def test_a_path_has_a_limit(door: Door) -> None:
    status, _, _ = await door.answer(post(OK, f"/ping/{'x' * 9000}"))

    assert status.split()[1] in {"400", "414"}


async def test_slow_connections_are_one_line_a_minute(door: Door) -> None:
    """However many there are; the line says how many."""
    with capture_logs() as lines:
        for start in (0, 20, 80):
            opened_now = [await door.connect() for _ in range(3)]
            await settle(lambda: len(door.limiter) == 3)
            look(door, start, start + 10)
            await settle(lambda: not len(door.limiter))
            for _, writer in opened_now:
                writer.close()

    told = [(line["event"], line["phase"], line["connections"]) for line in lines]
    assert told == [
        ("slow_connections_closed", "asking", 3),
        ("slow_connections_closed", "asking", 6),
    ]
