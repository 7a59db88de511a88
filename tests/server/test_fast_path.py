"""Reports that are answered on the way, and all that is not."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import bcrypt
import pytest
from structlog.testing import capture_logs

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.ingest.native import Reports
from afterrun_exporter.server import fast_path
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.store import Change
from tests.core.jobs import BACKUP, GOOD
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened, read
from tests.http import locked, token
from tests.services import job_config

OK = json.dumps({"status": "ok", "run_id": "a", "metrics": GOOD}).encode()
BROKEN = json.dumps({"status": "ok", "metrics": {"rows": 0, "size": 1}}).encode()


def post(body: bytes, path: str = "/ping/backup", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@pytest.fixture
async def door(service: Service, clock: ManualClock) -> AsyncIterator[Door]:
    async with opened(service, clock) as door:
        yield door


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"GET /ping/\xc3\xa4 HTTP/1.1", "Invalid char in url path; percent-encode"),
        (b"GET /ping/a?m=\xff HTTP/1.1", "Invalid char in url query; percent-encode"),
        (b"GET /ping/a\0b HTTP/1.1", "Invalid char in url path; percent-encode"),
        (b"GET /ping/%b HTTP/1.1" % (b"x" * 9000), "more than 8190 bytes"),
        (b"GET /ping/a HTTP/1.1\r\nno header", "Invalid header token"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_one_line(
    door: Door,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    line: bytes,
    reason: str,
) -> None:
    with capture_logs() as logs:
        status, _, body = await door.answer(line + b"\r\nHost: x\r\n\r\n")

    # To which version of HTTP it belongs cannot be read either.
    assert status == "HTTP/1.0 400 Bad Request"
    detail = json.loads(body)["detail"]
    assert reason in detail
    assert caplog.records == []
    assert [(log["event"], log["reason"]) for log in logs] == [("ping_refused", detail)]
    assert service.pings == {("native", "rejected"): 1}


async def test_what_is_no_http_at_all_is_no_report(
    door: Door, service: Service
) -> None:
    """As TLS is, and whoever tries the ports of a machine."""
    with capture_logs() as logs:
        status, _, _ = await door.answer(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")

    assert status == "HTTP/1.0 400 Bad Request"
    assert (logs, dict(service.pings)) == ([], {})


async def test_a_broken_body_that_nobody_reads_is_no_error(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await door.connect()
    writer.write(
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Encoding: deflate\r\n"
        b"Connection: close\r\nContent-Length: 9\r\n\r\nno deflat"
    )

    assert "200" in (await read(reader))[0]
    assert await reader.read() == b""
    writer.close()
    assert caplog.records == []


SAME: dict[str, bytes] = {
    "a success": post(OK),
    "a start": post(b'{"status": "start"}'),
    "an empty body": post(b""),
    "a broken rule": post(BROKEN),
    "no JSON": post(b"{"),
    "not even text": post(b"\xff\xfe"),
    "a value that is none": post(b'{"metrics": {"rows": NaN}}'),
    "a misspelt status": post(b'{"status": "okay"}'),
    "an unknown field": post(b'{"status": "ok", "colour": "blue"}'),
    "a key": post(BROKEN, "/ping/backup", "Idempotency-Key: one"),
    "an unknown job": post(OK, "/ping/nobody"),
    "a bad report of an unknown job": post(b"{", "/ping/nobody"),
    "unicode": post('{"status": "ok", "message": "früh ☀"}'.encode()),
}


@pytest.mark.parametrize("request_", SAME.values(), ids=SAME)
async def test_it_answers_as_the_application_would(
    clock: ManualClock, request_: bytes
) -> None:
    made = []
    for front in (False, True):
        service = Service(MemoryStore(), clock, job_config(BACKUP, unknown=None))
        await service.start()
        async with opened(service, clock, front=front) as door:
            status, headers, body = await door.answer(request_)
            assert bool(door.ceremonies) is not front
        del headers["Date"]
        made.append((status, headers, body))

    assert made[0] == made[1]


def user(name: str, password: str) -> str:
    code = b64encode(f"{name}:{password}".encode()).decode()
    return f"Authorization: Basic {code}"


#: What is sent to a daemon with locks; whether that takes the express way.
LOCKED: dict[str, tuple[bytes, bool]] = {
    "a token": (post(OK, "/ping/backup", "Authorization: Bearer pinger"), True),
    "a token as a password": (post(OK, "/ping/backup", user("x", "pinger")), True),
    "a token as a user": (post(OK, "/ping/backup", user("pinger", "")), True),
    "no JSON": (post(b"{", "/ping/backup", "Authorization: Bearer pinger"), True),
    "another job": (post(OK, "/ping/nobody", "Authorization: Bearer pinger"), True),
    "a bad report of another job": (
        post(b"{", "/ping/nobody", "Authorization: Bearer pinger"),
        True,
    ),
    "another scope": (post(OK, "/ping/backup", "Authorization: Bearer reader"), False),
    "no token": (post(OK), False),
    "a wrong token": (post(OK, "/ping/backup", "Authorization: Bearer wrong"), False),
    "a wrong user": (post(OK, "/ping/backup", user("anna", "wrong")), False),
    "a user": (post(OK, "/ping/backup", user("anna", "secret")), False),
    "a key": (post(OK, "/ping/backup", "X-Api-Key: pinger"), False),
    "a browser": (
        post(
            OK,
            "/ping/backup",
            "Authorization: Bearer pinger",
            "Sec-Fetch-Site: cross-site",
        ),
        False,
    ),
    "a browser with a password": (
        post(
            OK, "/ping/backup", user("x", "pinger"), "Origin: https://elsewhere.example"
        ),
        False,
    ),
}


@pytest.mark.parametrize(("request_", "express_way"), LOCKED.values(), ids=LOCKED)
async def test_with_locks_too_it_answers_as_the_application_would(
    clock: ManualClock, request_: bytes, express_way: bool
) -> None:
    """With the headers, too, that an operator adds."""
    made = []
    for front in (False, True):
        service = Service(MemoryStore(), clock, job_config(BACKUP))
        await service.start()
        security = locked(
            pinger=token(Scope.PING, jobs="backup"), reader=token(Scope.READ)
        )
        secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
        security.authenticator.trust_users({"anna": secret})
        security.headers.add({"X-Frame-Options": "deny", "X-XSS-Protection": "0"})
        async with opened(service, clock, front=front, security=security) as door:
            status, headers, body = await door.answer(request_)
            assert bool(door.ceremonies) is not (front and express_way)
        assert headers["X-Frame-Options"] == "deny"
        del headers["Date"]
        made.append((status, headers, body))

    assert made[0] == made[1]


async def test_a_user_who_is_known_needs_no_ceremony(
    service: Service, clock: ManualClock
) -> None:
    """A password is checked once: that takes long, on purpose."""
    security = SecuritySettings()
    secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    security.authenticator.trust_users({"anna": secret})
    async with opened(service, clock, security=security) as door:
        for _ in range(3):
            request = post(OK, "/ping/backup", user("anna", "secret"))
            status, _, _ = await door.answer(request)
            assert status == "HTTP/1.1 200 OK"

        assert door.ceremonies == ["/ping/backup"]


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize(
    ("trusted", "senders", "repeated"),
    [
        ("127.0.0.1/32", ("10.0.0.1", "10.0.0.1"), True),
        ("127.0.0.1/32", ("10.0.0.1", "10.0.0.2"), False),
        ("10.0.0.0/8", ("192.0.2.1", "192.0.2.2"), True),
    ],
)
async def test_a_sender_behind_a_proxy_is_told_from_another(
    clock: ManualClock,
    front: bool,
    trusted: str,
    senders: tuple[str, str],
    repeated: bool,
) -> None:
    """If the proxy is believed. Two machines that say the same are no repeat."""
    service = Service(MemoryStore(), clock, job_config(BACKUP))
    await service.start()
    security = SecuritySettings(proxies=Proxies([trusted]))
    async with opened(service, clock, front=front, security=security) as door:
        answers = [
            await door.answer(post(BROKEN, "/ping/backup", f"X-Forwarded-For: {one}"))
            for one in senders
        ]

    assert [json.loads(body)["duplicate"] for _, _, body in answers] == [
        False,
        repeated,
    ]


async def test_its_date_is_a_date(door: Door) -> None:
    _, headers, _ = await door.answer(post(OK))

    date = headers["Date"]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)


async def test_one_connection_brings_many_reports(
    door: Door, store: MemoryStore
) -> None:
    reader, writer = await door.connect()
    for number in range(5):
        writer.write(post(b'{"run_id": "%d"}' % number))
        status, _, _ = await read(reader)
        assert status == "HTTP/1.1 200 OK"
    writer.close()

    assert [run.run_id for run in await store.runs("backup", 9)] == list("43210")
    assert door.ceremonies == []


CEREMONIES: dict[str, tuple[str, list[bytes]]] = {
    "a plain success": ("200", [b"GET /ping/backup HTTP/1.1\r\nHost: x\r\n\r\n"]),
    "another path": ("405", [post(OK, "/metrics")]),
    "a query": ("200", [post(OK, "/ping/backup?a=b")]),
    "an escaped name": ("200", [post(OK, "/ping/%62ackup")]),
    "a bad name": ("400", [post(OK, "/ping/a%20b")]),
    "one who wants to be asked": (
        "100",
        [post(OK, "/ping/backup", "Expect: 100-continue")],
    ),
    "one who leaves": ("200", [post(OK, "/ping/backup", "Connection: close")]),
    "HTTP/1.0": ("200", [post(OK).replace(b"HTTP/1.1", b"HTTP/1.0")]),
    "a compressed body": (
        "200",
        [post(gzip.compress(OK), "/ping/backup", "Content-Encoding: gzip")],
    ),
    "a body that is too large": ("413", [post(b" " * 1001)]),
    "what is no HTTP": ("400", [b"hello\r\n\r\n"]),
    "a second request behind it": ("200", [post(OK) + post(BROKEN)]),
    "a body in two pieces": ("200", [post(OK)[:-10], post(OK)[-10:]]),
    "headers first": ("200", [post(OK).partition(b"{")[0], OK]),
}


@pytest.mark.parametrize(
    ("status", "pieces"), CEREMONIES.values(), ids=CEREMONIES.keys()
)
async def test_everything_else_is_left_to_aiohttp(
    store: MemoryStore, clock: ManualClock, status: str, pieces: list[bytes]
) -> None:
    service = Service(store, clock, job_config(BACKUP, body_bytes=1000))
    async with opened(service, clock) as door:
        made, _, _ = await door.answer(*pieces)

    assert made.split()[1] == status


async def test_a_connection_that_was_handed_over_goes_on(
    door: Door, store: MemoryStore
) -> None:
    reader, writer = await door.connect()
    for request in (
        post(b'{"run_id": "1"}'),
        b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b'{"run_id": "2"}'),
    ):
        writer.write(request)
        assert "200" in (await read(reader))[0]
    writer.close()

    assert [run.run_id for run in await store.runs("backup", 9)] == ["2", "1"]
    assert door.ceremonies == ["/-/healthy", "/ping/backup"]


async def test_reports_in_a_row_are_all_answered_in_their_order(door: Door) -> None:
    reader, writer = await door.connect()
    writer.write(b"".join(post(b'{"run_id": "%d"}' % n) for n in range(40)))
    answered = [json.loads((await read(reader))[2])["run_id"] for _ in range(40)]
    writer.close()

    assert answered == [str(n) for n in range(40)]


class FullStore(MemoryStore):
    """A store on a disk that is full."""

    def update_all(self, changes: Any) -> Any:
        raise StorageError(f"the disk is full: {len(changes)}")


async def test_what_cannot_be_stored_is_to_be_sent_again(
    clock: ManualClock,
) -> None:
    service = Service(FullStore(), clock, job_config(BACKUP))
    async with opened(service, clock) as door:
        status, headers, body = await door.answer(post(OK))

    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["Retry-After"] == "5"
    assert headers["Content-Type"].startswith("application/problem+json")
    assert "nothing was recorded: send it again" in json.loads(body)["detail"]


async def test_an_error_of_ours_is_told_without_its_insides(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> dict[str, Any]:
        raise RuntimeError("insides")

    monkeypatch.setattr(Reports, "record", fail)
    status, _, body = await door.answer(post(OK))

    assert status == "HTTP/1.1 500 Internal Server Error"
    assert b"insides" not in body


class SlowStore(MemoryStore):
    """A store that commits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    def update_all(self, changes: Any) -> Awaitable[Any]:
        return self._later(changes)

    async def _later(self, changes: list[Change]) -> Any:
        self.asked.set()
        await self.go.wait()
        return await super().update_all(changes)


@pytest.fixture
def slow() -> SlowStore:
    return SlowStore()


async def test_a_stop_waits_for_the_answer_and_closes_the_connection(
    slow: SlowStore, clock: ManualClock
) -> None:
    async with opened(Service(slow, clock, job_config(BACKUP)), clock) as door:
        reader, writer = await door.connect()
        writer.write(post(OK))
        await slow.asked.wait()
        stopped = asyncio.create_task(door.in_flight.drain(5))
        await yield_to_loop()
        slow.go.set()
        status, headers, _ = await read(reader)
        await stopped
        assert await reader.read() == b""
        writer.close()

    assert status == "HTTP/1.1 200 OK"
    assert headers["Connection"] == "close"


async def test_a_report_counts_although_its_sender_hangs_up(
    slow: SlowStore, clock: ManualClock
) -> None:
    async with opened(Service(slow, clock, job_config(BACKUP)), clock) as door:
        _, writer = await door.connect()
        writer.write(post(OK))
        await slow.asked.wait()
        writer.close()
        await writer.wait_closed()
        slow.go.set()
        await door.in_flight.drain(5)

    (run,) = await slow.runs("backup", 9)
    assert run.run_id == "a"


async def test_an_aiohttp_that_is_too_different_does_it_all(
    service: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and all limits hold."""
    monkeypatch.setattr(fast_path, "NEEDED_ATTRIBUTES", ("_gone_in_aiohttp_4",))
    with capture_logs() as lines:
        async with opened(service, clock, limits=Limits(connections=1)) as door:
            status, _, _ = await door.answer(post(OK))
            while len(door.limiter):
                await yield_to_loop()
            _, writer = await door.connect()
            while not len(door.limiter):
                await yield_to_loop()
            refused, _, _ = await door.answer(post(OK))
            writer.close()

    assert status == "HTTP/1.1 200 OK"
    assert door.ceremonies == ["/ping/backup"]
    assert refused == "HTTP/1.1 503 Service Unavailable"
    (told,) = (line for line in lines if line["log_level"] == "error")
    assert (told["event"], told["missing"]) == (
        "fast_path_unfit",
        "_gone_in_aiohttp_4",
    )
