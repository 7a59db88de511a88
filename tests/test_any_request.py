"""Whatever is sent to whatever is there: no error of ours, and no report is lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_from_bytes, urlencode

import pytest
from aiohttp import hdrs
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from tests.copies import replace
from tests.core.jobs import BACKUP, at
from tests.examples import examples
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened
from tests.http import whole_app
from tests.services import job_config

#: Requests to each address.
EXAMPLES: Final = 10
#: Seconds after which an answer is one that never comes.
PATIENCE: Final = 120.0

UUID: Final = "6c6eb1c4-6b0f-4d63-9d6e-31ba0c2c1a3a"

#: What stands at each place of a path; what leads somewhere comes first, and is so
#: what every address is tried with.
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "job": ("backup", UUID, "job/backup", "job@base64/YmFja3Vw", "job/"),
    "uuid": (UUID, UUID[:-1] + "b"),
    "version": ("3", "1"),
    "project": ("42", "٣"),
    "number": ("1", "0", "999999999"),
    "hours": ("1", "0", "999999999"),
    "how": ("fail", "0", "999", "٣"),
    "event": ("start", "success"),
    "kind": ("traces",),
    "slash": ("", "/"),
    "task": ("t1", "pause"),
    "name": ("afterrun.css", "..%2f..%2fafterrun.yml"),
    "id": ("1", "0", "9" * 30),
    "signal": ("start", "fail", "log", "255", "256"),
    "state": ("run", "complete", "dead"),
    "key": ("a-key", ""),
    "receiver": ("1", "9" * 30),
}
#: Paths of regular expressions that one word does not fit.
FIRST: Final = {"/metrics/{job}": "job/backup"}
UUID_FIRST: Final = re.compile(r"^(/ping)?/\{job\}(/\{signal\})?\{slash\}$")

WORDS: Final = [
    "ok",
    "fail",
    "start",
    "running",
    "progress",
    "log",
    "success",
    "in_progress",
    "error",
    "up",
    "down",
    "complete",
    "name",
    "slug",
    "status",
    "run_id",
    "attempt",
    "max_attempts",
    "metrics",
    "duration_ms",
    "message",
    "exit_code",
    "metadata",
    "started_at",
    "ended_at",
    "job",
    "job_id",
    "id",
    "kind",
    "type",
    "payload",
    "jobId",
    "executionId",
    "durationMs",
    "result",
    "task_id",
    "new_success",
    "new_failures",
    "failures",
    "monitor_slug",
    "check_in_id",
    "monitor_config",
    "schedule",
    "value",
    "unit",
    "crontab",
    "interval",
    "timezone",
    "checkin_margin",
    "max_runtime",
    "tz",
    "timeout",
    "grace",
    "tags",
    "desc",
    "unique",
    "channels",
    "manual_resume",
    "methods",
    "api_key",
    "monitors",
    "assertions",
    "schedules",
    "grace_seconds",
    "note",
    "limit",
    "before",
    "after",
    "tag",
    "label",
    "q",
    "state",
    "project",
    "page",
    "per_page",
    "shard",
    "shards",
    "name[]",
    "metric",
    "series",
    "stamp",
    "env",
    "host",
    "rid",
    "create",
    "msg",
    "ping",
    "m",
    "s",
    "receiver",
    "url",
    "expr",
    "rules",
    "window",
    "severity",
    "confirm",
]
TEXTS: Final = (
    *WORDS,
    *(
        "",
        " ",
        "0",
        "-1",
        "1e400",
        "nan",
        "9" * 30,
        "1_000",
        "٣",
        "@daily",
        "* * * * *",
    ),
    *(UUID, "2026-11-22T02:00:00Z", "1795316454.5", "[", "{", "a:b:c", "../x", "a\0b"),
    *("\ud800", "ä", "x" * 300, "duration < 5 min", "rows > 0", "UTC", "Mars/Base"),
)
texts = st.sampled_from(TEXTS) | st.text(max_size=5)
JSON: Final = st.recursive(
    texts
    | st.sampled_from([None, True, 0, -1, 1.5, 10**30, float("nan"), float("inf")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(WORDS), JSON, max_size=6)
pairs = st.lists(st.tuples(texts, texts), max_size=4)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def form(told: list[tuple[str, str]]) -> bytes:
    return urlencode(told, errors="surrogatepass").encode()


BODIES: Final = st.one_of(
    st.just(b""),
    objects.map(encoded),
    JSON.map(encoded),
    st.lists(objects, max_size=4).map(lambda items: b"\n".join(map(encoded, items))),
    pairs.map(form),
    objects.map(lambda told: b'{}\n{"type":"check_in"}\n' + encoded(told)),
    st.sampled_from(
        [
            *(b"rows 1\n", b'# TYPE rows gauge\nrows{a="b"} NaN\n', b"rows{", b"\n"),
            *(b"jobs:\n  a: {every: 1h}\n", b"[" * 5000, b"{" * 5000, b"\xff\xfe\0"),
            *(b'{"status": 1e999}', b"\x0a\x05\x0a\x03abc", b"[1, 2", b'{"a":1}' * 99),
        ]
    ),
    st.binary(max_size=20),
)
SQUEEZED: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"identity": bytes,
}
ENCODINGS: Final = (
    b"gzip",
    b"deflate",
    b"identity",
    b"br",
    b"zstd",
    b"gzip, gzip",
    b"x",
)
HEADERS: Final[Mapping[bytes, tuple[bytes, ...]]] = {
    b"Content-Type": (
        *(b"application/json", b"application/x-www-form-urlencoded", b"text/html"),
        *(b"multipart/form-data", b"multipart/form-data; boundary=x", b"text/plain;"),
        *(b"application/json; charset=none", b"text/plain; charset=utf-16", b"/", b";"),
    ),
    b"Accept": (b"text/html", b"*/*;q=x", b"application/openmetrics-text", b",", b""),
    b"Accept-Encoding": (b"gzip", b"gzip;q=nan", b"*;q=0", b"\xff", b","),
    b"X-Api-Key": (b"", b"\xff", b"key"),
    b"Authorization": (b"Basic", b"Basic !", b"Bearer \xff"),
    b"Idempotency-Key": (b"one", b"\xff", b"x" * 999),
    b"X-Sentry-Auth": (b"Sentry sentry_key=a", b"\xff"),
    b"If-None-Match": (b"*", b'W/"', b'"a', b'"a", W/"b"', b"\xff"),
    b"If-Modified-Since": (b"yesterday", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    b"Range": (b"bytes=9-1", b"bytes=a-", b"bytes=0-0"),
    b"Expect": (b"100-continue", b"x"),
    b"Connection": (b"close", b"keep-alive", b"upgrade"),
    b"Upgrade": (b"h2c", b"websocket"),
    b"Cookie": (b"=", b"a=\xff; ;", b'a="'),
    b"Origin": (b"null", b"http://evil.example"),
    b"Sec-Fetch-Site": (b"cross-site", b"x"),
    b"X-Forwarded-For": (b"x", b"1.2.3.4"),
    b"X-Forwarded-Proto": (b"ftp",),
}
NO_HOSTS: Final = (b"", b"[", b"x:abc", b"x:99999", b"\xff", b"a b")
HOSTS: Final = (
    *(b"x", *NO_HOSTS, b"x:80", b"]", b"[::1]", b"[::1", b"x:", b"a/b", b"a@b", b"a?b"),
    *(b"x" * 300, b"xn--", "ä".encode()),
)
METHODS: Final = (*sorted(hdrs.METH_ALL - {hdrs.METH_CONNECT}), "BREW")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, as bytes."""

    method: str
    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __bytes__(self) -> bytes:
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), self.path)]
        lines += [b"%b: %b" % header for header in self.headers]
        lines += [b"Content-Length: %d" % len(self.body), b"", b""]
        return b"\r\n".join(lines) + self.body


@st.composite
def sent_to(draw: st.DrawFn, address: str, methods: tuple[str, ...]) -> Sent:
    """Return any request to *address*, which takes *methods*; the first is a good one."""

    def place(name: str) -> str:
        return draw(st.sampled_from(plausible(address, name)) | texts.map(quoted))

    path = filled(address, place)
    query = draw(st.just(b"") | pairs.map(form) | texts.map(raw))
    body = draw(BODIES)
    headers = [(b"Host", draw(st.sampled_from(HOSTS)))] * draw(st.sampled_from([1, 0]))
    names = draw(st.lists(st.sampled_from(list(HEADERS)), max_size=4, unique=True))
    headers += [(name, draw(st.sampled_from(HEADERS[name]))) for name in names]
    if draw(st.sampled_from([False, False, True])):
        encoding = draw(st.sampled_from(ENCODINGS))
        headers.append((b"Content-Encoding", encoding))
        if draw(st.booleans()):
            body = SQUEEZED.get(encoding, bytes)(body)
    method = draw(st.sampled_from(methods) | st.sampled_from(METHODS))
    return Sent(method, path + (b"?" + query if query else b""), tuple(headers), body)


def plausible(address: str, name: str) -> tuple[str, ...]:
    """Return what may stand at a place of *address*, a good one first."""
    if name == "job" and UUID_FIRST.match(address):
        return (UUID, *PLACES[name])
    return (FIRST[address], *PLACES[name]) if address in FIRST else PLACES[name]


def filled(address: str, place: Callable[[str], str]) -> bytes:
    """Return the path of *address* with its places filled in."""
    path = re.sub(r"\{(\w+)\}", lambda found: place(found[1]), address)
    return path.encode("utf-8", "surrogatepass")


def raw(text: str) -> bytes:
    """Return *text* as a client sends it that has never heard of %20."""
    return re.sub(rb"[\s#]", b"", text.encode("utf-8", "surrogatepass"))


def quoted(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"))


async def status_of(door: Door, sent: bytes) -> int:
    """Return the status of the answer to *sent*, which is read to its end.

    Raises TimeoutError where that does not come.
    """
    async with asyncio.timeout(PATIENCE):
        return await _status_of(door, sent)


async def _status_of(door: Door, sent: bytes) -> int:
    reader, writer = await door.connect()
    writer.write(sent)
    head = b"HTTP/1.1 100 Continue"
    while b" 100 " in head.partition(b"\r\n")[0]:
        head = await reader.readuntil(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
    elif (length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head)) is not None:
        await reader.readexactly(0 if sent.startswith(b"HEAD ") else int(length[1]))
    writer.close()
    return int(head.split()[1])


@asynccontextmanager
async def daemon() -> AsyncIterator[tuple[Door, Service]]:
    """Yield a daemon with all that it has."""
    clock, store = ManualClock(at("21 12:00")), MemoryStore()
    backup = replace(BACKUP, ping_uuid=UUID)
    service = Service(store, clock, job_config(backup))
    await service.start()
    app = whole_app(service, store, clock, SecuritySettings())
    async with opened(service, clock, app=app) as door:
        yield door, service


def addresses(door: Door) -> dict[str, tuple[str, ...]]:
    """Return the addresses that there are, and the methods that each takes."""
    found: dict[str, set[str]] = {}
    for resource in door.app.router.resources():
        methods = {route.method for route in resource}
        known = found.setdefault(resource.canonical, set())
        known.update(METHODS if hdrs.METH_ANY in methods else methods)
    return {address: tuple(sorted(methods)) for address, methods in found.items()}


@pytest.mark.thorough
def test_no_request_is_an_error_of_ours_or_keeps_reports_from_being_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with asyncio.Runner() as runner:
        opening = daemon()
        door, service = runner.run(opening.__aenter__())
        try:
            there = addresses(door)
            reached = {
                address
                for address, methods in there.items()
                if tried_out(runner, door, service, sent_to(address, methods))
                - {404, 405}
            }
        finally:
            runner.run(opening.__aexit__(None, None, None))

    assert there.keys() == reached
    assert caplog.records == []


def tried_out(
    runner: asyncio.Runner,
    door: Door,
    service: Service,
    requests: st.SearchStrategy[Sent],
) -> set[int]:
    """Return the statuses of the answers to any of *requests*."""
    statuses = set()

    def answered(sent: Sent) -> int:
        return runner.run(status_of(door, bytes(sent)))

    @settings(max_examples=examples(EXAMPLES))
    @given(requests)
    def law(sent: Sent) -> None:
        status = answered(sent)
        statuses.add(status)
        assert status < 500

        before = service.state("afterwards")
        so_far = before.runs_total if before else 0
        report = json.dumps({"run_id": str(so_far)}).encode()
        ping = Sent("POST", b"/ping/afterwards", ((b"Host", b"x"),), report)
        assert answered(ping) == 200
        state = service.state("afterwards")
        assert state is not None
        assert state.runs_total == so_far + 1

    law()
    return statuses


@pytest.mark.thorough
async def test_no_host_is_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """It may become a part of an answer, wherever clients are told an address."""
    bad = []
    async with daemon() as (door, _):
        for address, methods in addresses(door).items():
            path = filled(address, lambda name: plausible(address, name)[0])  # noqa: B023
            for host in NO_HOSTS:
                for method in methods:
                    sent = Sent(method, path, ((b"Host", host),), b"{}")
                    if await status_of(door, bytes(sent)) >= 500:
                        bad.append(sent)

    assert bad == []
    assert caplog.records == []
