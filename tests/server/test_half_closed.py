"""Clients that close their sending half, and clients that end lines with LF alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.fast_path import is_bare, is_whole, with_crlf
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened, read
from tests.http import behind_a_proxy, locked, token
from tests.patience import PATIENCE

STATUS = re.compile(rb"(HTTP/1\.[01] [0-9]{3} [A-Za-z ]+)\r\n")
FAILED = b'{"status":"fail"}'


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def post(path: str, body: bytes = FAILED, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\nHost: x\n{more}Content-Length: {len(body)}\n\n"
    return crlf(head) + body


@pytest.fixture
async def door(service: Service, clock: ManualClock) -> AsyncIterator[Door]:
    async with opened(service, clock) as door:
        yield door


@pytest.fixture(params=["fast path", "without it"])
async def any_door(
    request: pytest.FixtureRequest, service: Service, clock: ManualClock
) -> AsyncIterator[Door]:
    fast = request.param == "fast path"
    async with opened(service, clock, front=fast) as door:
        yield door


async def said(door: Door, *pieces: bytes, ends: bool = True) -> list[str]:
    """Return the status lines of the answers to *pieces*, until the daemon closes."""
    answers = await heard(door, *pieces, ends=ends)
    return [line.decode() for line in STATUS.findall(answers)]


async def heard(door: Door, *pieces: bytes, ends: bool = True) -> bytes:
    reader, writer = await door.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await yield_to_loop()
        await yield_to_loop()
    if ends:
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


OK = "HTTP/1.1 200 OK"
ACCEPTED = "HTTP/1.1 202 Accepted"
ANSWERED = {
    "fast path": (post("/ping/backup"), [OK]),
    "aiohttp": (post("/ping/key/backup/fail"), [OK]),
    "a snitch": (crlf("GET /snitch/backup?s=1 HTTP/1.1\nHost: x\n\n"), [ACCEPTED]),
    "HTTP/1.0": (
        crlf("GET /snitch/backup?s=1 HTTP/1.0\n\n"),
        ["HTTP/1.0 202 Accepted"],
    ),
    "chunks": (
        crlf(
            "POST /ping/backup HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n"
            '11\n{"status":"fail"}\n0\n\n'
        ),
        [OK],
    ),
    "two at once": (post("/ping/key/backup/log") + post("/ping/backup"), [OK, OK]),
    "two on the fast path": (
        post("/ping/backup", b'{"status":"start"}') + post("/ping/backup"),
        [OK, OK],
    ),
    "many": (post("/ping/key/backup/log") * 40 + post("/ping/backup"), [OK] * 41),
}


@pytest.mark.parametrize(("request_", "statuses"), ANSWERED.values(), ids=ANSWERED)
async def test_a_client_that_only_listens_is_answered(
    any_door: Door, store: MemoryStore, request_: bytes, statuses: list[str]
) -> None:
    assert await said(any_door, request_) == statuses
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "fail"


@pytest.mark.parametrize("path", ["/ping/backup", "/ping/key/backup/fail"])
async def test_a_second_report_on_the_connection_is_answered_as_well(
    any_door: Door, path: str
) -> None:
    reader, writer = await any_door.connect()
    for status in (b"start", b"fail"):
        writer.write(post(path, b'{"status":"%b"}' % status))
        assert (await read(reader))[0] == OK
    writer.write_eof()

    rest = await asyncio.wait_for(reader.read(), PATIENCE)
    assert rest == b""
    writer.close()


async def test_one_that_says_nothing_is_closed(any_door: Door) -> None:
    assert await heard(any_door) == b""
    assert not len(any_door.limiter)


@pytest.mark.parametrize("path", ["/ping/backup", "/ping/key/backup", "/runs"])
async def test_half_a_body_is_refused_and_recorded_nowhere(
    any_door: Door, store: MemoryStore, path: str
) -> None:
    """A client that dies in between must not fail its job: it may try again."""
    assert await said(any_door, post(path)[:-3]) == ["HTTP/1.1 400 Bad Request"]
    assert not await store.runs("backup", 9)


BARE = {
    "fast path": "POST /ping/backup HTTP/1.1\nHost: x\nContent-Length: 17\n\n",
    "aiohttp": "POST /ping/key/backup HTTP/1.1\nHost: x\nContent-Length: 17\n\n",
    "HTTP/1.0": "POST /ping/backup HTTP/1.0\nContent-Length: 17\n\n",
}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("head", BARE.values(), ids=BARE)
async def test_lines_may_end_with_a_bare_lf(
    door: Door, store: MemoryStore, head: str, ends: bool
) -> None:
    """The connection is closed after the answer."""
    (status,) = await said(door, head.encode() + FAILED, ends=ends)

    assert status.endswith(" 200 OK")
    (run,) = await store.runs("backup", 9)
    assert run.outcome == "fail"


async def test_they_may_come_one_by_one(door: Door, store: MemoryStore) -> None:
    lines = BARE["fast path"].encode().splitlines(keepends=True)

    assert await said(door, *lines, FAILED) == [OK]
    assert len(await store.runs("backup", 9)) == 1


HIDDEN = "GET /ping/hidden HTTP/1.1\nHost: x\n\n"
REFUSED = {
    "both ends of lines": "POST /ping/backup HTTP/1.1\nHost: x\r\n\r\n",
    "LF later": "POST /ping/backup HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "CR inside": "POST /ping/backup HTTP/1.1\nHost: x\rA: b\n\n",
    "chunks": "POST /ping/backup HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n",
    "lengths": (
        "POST /ping/backup HTTP/1.1\nHost: x\nContent-Length: 0\nContent-Length: 35\n\n"
    ),
    "a folded line": "POST /ping/backup HTTP/1.1\nHost: x\n Content-Length: 3\n\n",
    "no end": "POST /ping/backup HTTP/1.1\nHost: x\n",
    "no host": "POST /ping/backup HTTP/1.1\n\n",
}


@pytest.mark.parametrize("start", REFUSED.values(), ids=REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused(
    door: Door, store: MemoryStore, service: Service, start: str
) -> None:
    hidden = "" if start.endswith("x\n") else HIDDEN
    with capture_logs() as logs:
        statuses = await said(door, (start + hidden).encode())

    assert [status.partition(" ")[2] for status in statuses] == ["400 Bad Request"]
    assert [log["event"] for log in logs] == ["ping_refused"]
    assert service.pings == {("native", "rejected"): 1}
    assert "hidden" not in store.states


async def test_nothing_is_hidden_behind_a_bare_request(
    door: Door, store: MemoryStore
) -> None:
    first = "POST /ping/backup HTTP/1.1\nHost: x\nContent-Length: 0\n\n"
    for behind in (HIDDEN, HIDDEN.replace("\n", "\r\n")):
        await said(door, (first + behind).encode())

    assert "hidden" not in store.states


async def test_a_proxy_has_no_bare_lines(
    service: Service, clock: ManualClock, store: MemoryStore
) -> None:
    """It may have read them as something else."""
    async with opened(service, clock, security=behind_a_proxy()) as door:
        answer = await heard(door, BARE["fast path"].encode() + FAILED)

    assert answer.startswith(b"HTTP/1.0 400")
    detail = json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert detail.endswith(r"end each header line with CRLF (\r\n)")
    assert not await store.runs("backup", 9)


async def test_a_token_is_asked_for_of_such_clients_too(
    service: Service, clock: ManualClock, store: MemoryStore
) -> None:
    security = locked(PING=token(Scope.PING))
    async with opened(service, clock, security=security) as door:
        bare = BARE["fast path"].replace("Host: x\n", "Host: x\nAuthorization: {}\n")
        for shown, status in (("Bearer NO", "401"), ("Bearer PING", "200")):
            (answer,) = await said(door, bare.format(shown).encode() + FAILED)
            assert answer.split()[1] == status

    assert len(await store.runs("backup", 9)) == 1


async def test_a_body_without_a_length_is_refused_and_counted(
    door: Door, service: Service, store: MemoryStore
) -> None:
    """It is taken for a second request, and the first is no success."""
    request = crlf("POST /ping/backup HTTP/1.1\nHost: x\n\n") + FAILED
    answer = await heard(door, request)

    assert b"the Content-Length must be" in answer
    assert service.pings == {("native", "rejected"): 1}
    assert not await store.runs("backup", 9)


@given(st.text("GET POS/\r\n:x01.HTP", max_size=60), st.text("\r\nx:", max_size=20))
def test_a_head_is_changed_in_its_line_ends_alone(start: str, rest: str) -> None:
    data = f"{start}\n{rest}".encode()
    made = with_crlf(data)

    if made != data:
        head, _, body = data.partition(b"\n\n")
        assert b"\r" not in head
        lines = made.removesuffix(body).split(b"\r\n")
        assert lines == [*head.split(b"\n"), b"Connection: close", b"", b""]
    if is_bare(data) and not is_whole(data):
        assert b"\r" not in data
