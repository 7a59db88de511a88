"""Bodies that are not chunked as their Transfer-Encoding says: refused at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened

#: Fewer than this are a test of the limits of time.
PATIENCE = 60
BROKEN = {
    "no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "no number later": b"3\r\nabc\r\nzz\r\n",
    "a shorter number": b"2\r\nabc\r\n0\r\n\r\n",
    "a longer number": b"4\r\nabc\r\n0\r\n\r\n",
    "a negative number": b"-1\r\nabc\r\n0\r\n\r\n",
    "a number with a prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a number with spaces": b" 3 \r\nabc\r\n0\r\n\r\n",
    "a huge number": b"f" * 20 + b"\r\nabc\r\n0\r\n\r\n",
    "no number at all": b"\r\nabc\r\n0\r\n\r\n",
    "lines that end with LF": b"3\nabc\n0\n\n",
    "an extension with LF": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a NUL": b"\0",
    "a second request": b"POST /ping/backup HTTP/1.1\r\nHost: x\r\n\r\n",
    "a trailer without a colon": b"3\r\nabc\r\n0\r\nfield\r\n\r\n",
    "a long trailer": b"3\r\nabc\r\n0\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
}
ADDRESSES = ("/ping/backup", "/ping", "/runs", "/metrics/job/backup", "/nowhere")
HEAD = "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["fast path", "without it"])
async def door(
    request: pytest.FixtureRequest, service: Service, clock: ManualClock
) -> AsyncIterator[Door]:
    fast = request.param == "fast path"
    async with opened(service, clock, front=fast) as door:
        yield door


async def heard(door: Door, *pieces: bytes) -> tuple[bytes, bytes]:
    """Return head and body of all that is answered until the daemon closes."""
    reader, writer = await door.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        for _ in range(8):
            await yield_to_loop()
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


@pytest.mark.parametrize("address", ADDRESSES)
async def test_the_answer_comes_at_once_and_the_connection_is_closed(
    door: Door, store: MemoryStore, address: str
) -> None:
    """The clock of the daemon stands still here: no limit of time ends it."""
    head = HEAD.format(address).encode()
    for name, body in BROKEN.items():
        for pieces in ((head + body,), (head, body), (head, body[:1], body[1:])):
            head_, body_ = await heard(door, *pieces)

            status = int(head_.split()[1])
            assert status == 400 or (status == 404 and address == "/nowhere"), name
            assert json.loads(body_)["status"] == status

    assert not len(door.limiter)
    assert not await store.runs("backup", 9)


async def test_how_it_is_cut_into_packets_does_not_matter(
    door: Door, service: Service
) -> None:
    head, body = HEAD.format("/ping/backup").encode(), BROKEN["no number"]
    details = set()
    for pieces in ((head + body,), (head, body)):
        _, told = await heard(door, *pieces)
        details.add(json.loads(told)["detail"])

    assert details == {"the request cannot be read: Invalid character in chunk size"}
    assert service.pings == {("native", "rejected"): 2}


async def test_a_report_in_front_of_it_is_recorded(
    door: Door, store: MemoryStore
) -> None:
    whole = b"POST /ping/backup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    head = HEAD.format("/ping/backup").encode()

    answers, _ = await heard(door, whole + head, BROKEN["no number"])

    assert answers.startswith(b"HTTP/1.1 200 ")
    assert len(await store.runs("backup", 9)) == 1


async def test_nothing_is_said_of_a_body_that_nobody_waits_for(door: Door) -> None:
    """The answer has been sent before it breaks."""
    head = HEAD.format("/nowhere").encode()
    reader, writer = await door.connect()
    writer.write(head)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    writer.write(b"zz\r\n")

    async with asyncio.timeout(PATIENCE):
        rest = await reader.read()
    assert b"HTTP" not in rest
    writer.close()
