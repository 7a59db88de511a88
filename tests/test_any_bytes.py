"""Reports with any bytes in them: none is an error of ours, and none is lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Ping
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import fast_parser, reports
from afterrun_exporter.ingest.report_parsing import read_report
from tests.examples import examples
from tests.fast_path import Door
from tests.test_any_request import (
    UUID,
    Sent,
    addresses,
    daemon,
    filled,
    plausible,
    status_of,
)

#: Requests to each address.
EXAMPLES: Final = 12

REPORT: Final = {
    "status": "ok",
    "message": "disk",
    "metrics": {"rows": 5, "size": 1.5},
    "run_id": "7",
    "metadata": {"host": "db1"},
}
ENVELOPE: Final = (
    b'{"sent_at":"2026-11-21T12:00:00Z"}\n{"type":"check_in","length":%b}\n'
    b'{"check_in_id":"%b","monitor_slug":"backup","status":"error"}\n'
)
#: Bodies as they should be, in every format that is read anywhere.
VALID: Final = (
    json.dumps(REPORT).encode(),
    json.dumps({"job": "backup", **REPORT}).encode(),
    b"\n".join(json.dumps({"job": job, **REPORT}).encode() for job in ("backup", "b")),
    json.dumps([{"job": "backup", "status": "fail", "message": "x"}]).encode(),
    b"status=fail&rows=5&message=disk+full&metrics[a]=3&errors[]=x",
    b'--x\r\nContent-Disposition: form-data; name="rows"\r\n\r\n5\r\n--x--\r\n',
    b'# TYPE rows gauge\nrows 5\nrows_total{a="b"} 6 1795316454000\n',
    ENVELOPE % (b"84", UUID.replace("-", "").encode()),
    ENVELOPE % (b"1e23", UUID.replace("-", "").encode()),
    json.dumps({"task_id": "t1", "status": "success", "error": None}).encode(),
    b"monitors:\n  - key: backup\n    schedule: '@daily'\n",
    b"backup done\n0 errors\n",
)
#: What is put into them.
BAD: Final = (
    *(
        b"\xff",
        b"\xe4",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\0",
        b"\\ud800",
    ),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"9" * 5000, b"1e23", b"1" + b"0" * 400, b"NaN"),
    *(b"-Infinity", b"1e999", b'"', b"{", b"[" * 3000, b"\\", b"\\u0000", b"%ff", b"%"),
    *(b",", b'"status":"fail",', b"&status=fail&", b"\r\n\r\n", b"--x", b"\n", b"="),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a body with something in it that does not belong there, or cut off."""
    body = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        gone = draw(st.sampled_from([0, 0, 1, 4]))
        body = body[:at] + draw(st.sampled_from(BAD)) + body[at + gone :]
    return body[: draw(st.integers(0, len(body)))] if draw(st.booleans()) else body


TYPES: Final = (
    *(b"application/json", b"application/x-www-form-urlencoded", b"text/plain"),
    *(b"multipart/form-data; boundary=x", b"application/x-sentry-envelope", b""),
    *(
        b"text/plain; charset=utf-16",
        b"application/json; charset=latin-1",
        b"text/yaml",
    ),
)


def sent(path: bytes, body: bytes, kind: bytes) -> Sent:
    headers = [(b"Host", b"x"), *([(b"Content-Type", kind)] if kind else [])]
    return Sent("POST", path, tuple(headers), body)


def test_no_bytes_are_an_error_of_ours_anywhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with asyncio.Runner() as runner:
        opening = daemon()
        door, _ = runner.run(opening.__aenter__())
        try:
            for address, methods in addresses(door).items():
                if "POST" in methods:
                    path = filled(address, lambda name: plausible(address, name)[0])  # noqa: B023
                    check_address(runner, door, path)
        finally:
            runner.run(opening.__aexit__(None, None, None))

    assert caplog.records == []


def check_address(runner: asyncio.Runner, door: Door, path: bytes) -> None:
    @settings(max_examples=examples(EXAMPLES))
    @given(damaged(), st.sampled_from(TYPES))
    def law(body: bytes, kind: bytes) -> None:
        assert runner.run(status_of(door, bytes(sent(path, body, kind)))) < 500

    law()


def test_no_report_of_a_job_that_is_known_is_lost() -> None:
    """It is a run, or the answer says that it is recorded as one that is invalid."""
    with asyncio.Runner() as runner:
        opening = daemon()
        door, service = runner.run(opening.__aenter__())

        @settings(max_examples=examples(60))
        @given(damaged(), st.sampled_from(TYPES))
        @example(b'{"message":"Ger\xe4t"}', b"")
        @example(b'{"rows":' + b"9" * 5000 + b"}", b"application/json")
        @example(b'{"a":' * 100_000, b"")
        @example('{"status":"fail"}'.encode("utf-16"), b"")
        def law(body: bytes, kind: bytes) -> None:
            before = service.state("backup")
            answer = runner.run(answer_to(door, sent(b"/ping/backup", body, kind)))
            after = service.state("backup")

            assert before is not None
            assert after is not None
            assert answer.get("recorded", True)
            assert (
                after != before
                or answer["duplicate"]
                or answer["kind"] in {"log", "progress"}
            )

        try:
            runner.run(status_of(door, bytes(sent(b"/ping/backup", b"", b""))))
            law()
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def answer_to(door: Door, request: Sent) -> dict[str, Any]:
    """Return the answer to *request*, which is JSON."""
    reader, writer = await door.connect()
    writer.write(bytes(request))
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    body = await reader.readexactly(int(length))
    writer.close()
    answer: dict[str, Any] = json.loads(body)
    return answer


def long_way(body: bytes) -> Ping | None:
    """Return what the slow path makes of *body*; None where it refuses it."""
    try:
        ping, _ = reports.ping_of(
            "job", read_report(body), at=1.8e9, fingerprint=b"", metrics_limit=3
        )
    except PingError:
        return None
    return ping


@settings(max_examples=examples(300))
@given(damaged(), st.sampled_from([b"", b"\\u0073", b'"status":"fail",', b'"rc":1,']))
def test_the_fast_path_and_the_slow_path_agree_on_any_bytes(
    body: bytes, more: bytes
) -> None:
    body = body.replace(b"{", b"{" + more, 1)
    short = fast_parser.read("job", body, 1.8e9, b"", 3)

    assert short is None or short == long_way(body)
