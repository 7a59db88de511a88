"""Every way to say that a run failed, by every way to report it: none is ok."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from tests.fakes import MemoryStore
from tests.http import Client
from tests.ingest.claimed_outcomes import NOT_OK, OK, UNREADABLE

URLENCODED: Final = {"Content-Type": "application/x-www-form-urlencoded"}
PLAIN: Final = {"Content-Type": "text/plain"}
MULTIPART: Final = {"Content-Type": 'multipart/form-data; boundary="xyz"'}


def part(name: str, value: str, *, file: bool = False) -> str:
    more = '; filename="a.log"' if file else ""
    head = f'Content-Disposition: form-data; name="{name}"{more}'
    return f"--xyz\r\n{head}\r\n\r\n{value}\r\n"


def multipart(*parts: str) -> bytes:
    return f"{''.join(parts)}--xyz--\r\n".encode()


#: Bodies, and the headers that they come with, of runs that failed.
FAILED: Final[tuple[tuple[bytes, dict[str, str]], ...]] = (
    # forms
    *((body, URLENCODED) for body in (b"status=fail", b"STATUS=Failed", b"exit_code=3")),
    *((body, URLENCODED) for body in (b"exit_code=3&rows=5", b"success=0", b"ok=false")),
    *((body, URLENCODED) for body in (b"status=ok&exit_code=1", b"error=disk+full")),
    *((body, URLENCODED) for body in (b"error=disk full", b"errors=3", b"errors[]=x")),
    *((body, URLENCODED) for body in (b"status=fail&status=ok", b"status=ok&status=fail")),
    *((body, URLENCODED) for body in (b"metrics[exit_code]=3", b"rc=1&status=ok")),
    *((body, URLENCODED) for body in (b"message=no space left&status=fail",)),
    *((body, URLENCODED) for body in (b"message=caf\xe9&status=fail", b"a=%E9&rc=9")),
    *((body, URLENCODED) for body in (b"message=a=b&exit_code=1", b"run[status]=failed")),
    *((body, URLENCODED) for body in (b'payload={"status":"fail"}', b"exitCode=137")),
    (urlencode({"payload": '{"build": {"status": "FAILURE"}}'}).encode(), URLENCODED),
    (urlencode({'{"status":"fail"}': ""}).encode(), URLENCODED),
    (b"status=fail", {}),
    (b"status=fail\n", PLAIN),
    # JSON that is called something else
    (b'{"status":"fail"}', URLENCODED),
    (b'{"status":"fail"}', PLAIN),
    (b'{"status":"fail","message":"Ger\xe4t"}', {}),
    (b'\xef\xbb\xbf{"status":"fail"}', {}),
    ('\ufeff{"status":"fail"}'.encode("utf-16-le"), {}),
    ('{"status":"fail"}'.encode("utf-16-le"), {}),
    ('{"status":"fail"}'.encode("utf-16"), {"Content-Type": "application/json"}),
    (b'{"status":"fail","status":"ok"}', {}),
    (b'{"exit_code":3,"exit_code":0}', {}),
    (b'{"st\\u0061tus":"fail","status":"ok"}', {}),
    (b'{"status":"fail","rows":' + b"9" * 5000 + b"}", {}),
    (b'{"status":"fail","metrics":{"rows":1e999,"x":NaN}}', {}),
    (b'{"status":"fail","message":"\\ud800"}', {}),
    (b'{"status":"fail","message":"line 1\n\tline 2\0"}', {}),
    (b'{"status":"fail","metadata":' + b'{"a":' * 90 + b"1" + b"}" * 90 + b"}", {}),
    (gzip.compress(b'{"status":"fail"}', mtime=0), {"Content-Encoding": "gzip"}),
    # multipart
    (multipart(part("status", "fail")), MULTIPART),
    (multipart(part("exit_code", "3"), part("rows", "5")), MULTIPART),
    (multipart(part("success", "0")).replace(b"\r\n", b"\n"), MULTIPART),
    (multipart(part("log", "boom", file=True), part("rc", "1")), MULTIPART),
    # texts
    *((body, PLAIN) for body in (b"fail", b"FAILED\n", b"status: fail\nrows: 3\n")),
    *((body, URLENCODED) for body in (b"fail", b"Failed", b"exit_code: 3")),
)  # fmt: skip

#: The same for runs that may have failed: nobody can read them.
BROKEN: Final[tuple[tuple[bytes, dict[str, str]], ...]] = (
    (b'{"status":"fail"', {}),
    (b'{"rows": ,"exit_code": 3}', PLAIN),
    (b'\'{"status":"fail"}\'', URLENCODED),
    (b'"status":"fail"}', URLENCODED),
    (b"backup failed", URLENCODED),
    (b"Command exited with non-zero status 1", URLENCODED),
    (b"Exit status: 3", URLENCODED),
    (b"exit 1", URLENCODED),
    (b"bash: dump: command not found", URLENCODED),
    (b"write error: No space left on device", URLENCODED),
    (b"<status>failed</status> <x/>", {"Content-Type": "text/xml"}),
    (b"rows=3&stauts=fail", URLENCODED),
    (b"fail&rows=3", URLENCODED),
    (b"kaputt", URLENCODED),
    (b"exit_code=", URLENCODED),
    (b"status=&rows=3", URLENCODED),
    (b"status[]=fail", URLENCODED),
    (b"stauts=fail", URLENCODED),
    (b"success=", URLENCODED),
    (b"5", URLENCODED),
    (b"[1]", {}),
    (b"null", {}),
    (b"not JSON", {"Content-Type": "application/json"}),
    (b"status=fail", {"Content-Type": "application/json"}),
    (b"no parts", MULTIPART),
    (b'{"a":' * 100_000, {}),
)

#: The same of runs that were ok.
SUCCEEDED: Final[tuple[tuple[bytes, dict[str, str]], ...]] = (
    (b"", {}),
    (b"\n", URLENCODED),
    (b"rows_processed=5&exit_code=0", URLENCODED),
    (b"rows_processed=&exit_code=0", URLENCODED),
    (b"errors=0&status=ok", URLENCODED),
    (b"metrics[errors]=3&metrics[rows]=4", URLENCODED),
    (b'metrics={"errors": 3}', URLENCODED),
    (b"failed_rows=3&host=db1", URLENCODED),
    (b"error=&status=success", URLENCODED),
    (b"message=0 errors", URLENCODED),
    (b"all is well", URLENCODED),
    (b"copied 5 files, 0 failed", URLENCODED),
    (b"backup failed, they say", PLAIN),
    (b"[2026-11-22 02:00] done", PLAIN),
    (b"ok", URLENCODED),
    (b"status: ok\nrows: 3\n", PLAIN),
    (multipart(part("rows", "5"), part("exit_code", "0")), MULTIPART),
    (multipart(part("log", "error: x", file=True)), MULTIPART),
)  # fmt: skip

QUERIES: Final = (
    *(
        "status=fail",
        "exit_code=3",
        "success=false",
        "error=disk%20full",
        "rc=1&rows=3",
    ),
    *(
        "fail",
        "rows=3&FAILED",
        "status=ok&exit_code=3",
        "result=failed",
        "STATUS=FAIL",
        "status=fail&status=ok",
    ),
)


async def outcome(client: Client, path: str, **request: Any) -> str | None:
    """Return the outcome that the native API answers a report with."""
    response = await client.post(path, **request)
    answer = await response.json()
    assert response.status in {200, 400}, answer
    kind = answer.get("kind", "finish")
    return answer["outcome"] if kind == "finish" else str(kind)


async def test_no_report_that_says_otherwise_is_ok(client: Client) -> None:
    """Not by itself, nor in an array, nor on a line among others."""
    named = [
        {"job": "backup", "run_id": str(number), **fields}
        for number, fields in enumerate(NOT_OK + UNREADABLE)
    ]
    array = await client.post("/ping", data=json.dumps(named))
    many = [one.get("outcome") for one in (await array.json())["results"]]
    lines = await client.post("/ping", data="\n".join(map(json.dumps, named)))
    repeated = [one.get("outcome") for one in (await lines.json())["results"]]
    alone = [
        await outcome(client, "/ping/backup", json={**fields, "run_id": f"a{number}"})
        for number, fields in enumerate(NOT_OK + UNREADABLE)
    ]

    assert alone == many
    assert not {"ok", None} & {*alone, *many, *repeated}


async def test_no_report_of_a_success_is_a_false_alarm(client: Client) -> None:
    outcomes = [
        await outcome(client, "/ping/quick", json={**fields, "run_id": str(number)})
        for number, fields in enumerate(OK)
    ]
    batch = [{"job": "many", **fields} for fields in OK]
    answer = await (await client.post("/ping", data=json.dumps(batch))).json()

    assert set(outcomes) == {"ok"}
    assert {one["outcome"] for one in answer["results"]} == {"ok"}


async def test_healthchecks_clients_are_read_the_same(
    client: Client, store: MemoryStore
) -> None:
    outcomes: list[str] = []
    for group in (NOT_OK, OK):
        for number, fields in enumerate(group):
            job = f"hc-{len(outcomes)}-{number}"
            await client.get(f"/ping/a-key/{job}/start")
            await client.post(f"/ping/a-key/{job}", json=fields)
            outcomes.append((await store.runs(job, 1))[0].outcome)

    bad, good = outcomes[: len(NOT_OK)], outcomes[len(NOT_OK) :]
    assert [
        fields for fields, one in zip(NOT_OK, bad, strict=True) if one == "ok"
    ] == []
    assert [fields for fields, one in zip(OK, good, strict=True) if one != "ok"] == []


@pytest.mark.parametrize(("body", "headers"), FAILED, ids=lambda v: repr(v)[:60])
async def test_a_failure_in_any_format_is_a_failure(
    client: Client, store: MemoryStore, body: bytes, headers: dict[str, str]
) -> None:
    request: dict[str, Any] = {"data": body, "headers": headers}
    if not headers:
        request["skip_auto_headers"] = ["Content-Type"]

    assert await outcome(client, "/ping/backup", **request) == "fail"
    # A log is what Healthchecks' clients send as a text.
    text = headers in (PLAIN, URLENCODED) and not any(mark in body for mark in b"={")
    if not text and b'"{' not in body and b"%7B%22" not in body:
        await client.get("/ping/a-key/hc/start")
        await client.post("/ping/a-key/hc", **request)
        assert (await store.runs("hc", 1))[0].outcome == "fail"


@pytest.mark.parametrize(("body", "headers"), BROKEN, ids=lambda v: repr(v)[:60])
async def test_what_may_be_a_failure_is_no_success(
    client: Client, body: bytes, headers: dict[str, str]
) -> None:
    request: dict[str, Any] = {"data": body, "headers": headers}
    if not headers:
        request["skip_auto_headers"] = ["Content-Type"]

    response = await client.post("/ping/backup", **request)

    assert response.status == 400
    assert (await response.json())["recorded"] is True


@pytest.mark.parametrize(("body", "headers"), SUCCEEDED, ids=lambda v: repr(v)[:60])
async def test_a_success_in_any_format_is_a_success(
    client: Client, store: MemoryStore, body: bytes, headers: dict[str, str]
) -> None:
    assert await outcome(client, "/ping/quick", data=body, headers=headers) == "ok"
    await client.post("/ping/a-key/hc", data=body, headers=headers)
    assert (await store.runs("hc", 1))[0].outcome == "ok"


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_failure_in_the_query_is_a_failure(
    client: Client, store: MemoryStore, method: str, query: str
) -> None:
    for job in ("native", "a-key/slug"):
        await client.request(method, f"/ping/{job}?{query}")
        await client.post(f"/ping/{job}?{query}", json={"status": "ok", "x": 1})
        runs = await store.runs(job.rpartition("/")[2], 9)
        assert [run.outcome for run in runs] == ["fail", "fail"]


async def test_the_first_example_of_the_readme(
    client: Client, store: MemoryStore
) -> None:
    """``curl $U/ping/backup -d rows_processed=$ROWS -d exit_code=$?``."""
    response = await client.post(
        "/ping/quick", data="rows_processed=120&exit_code=0", headers=URLENCODED
    )
    assert (await response.json())["warnings"] == []
    (run,) = await store.runs("quick", 1)
    assert (run.outcome, run.metrics, run.exit_code) == (
        "ok",
        {"rows_processed": 120},
        0,
    )

    response = await client.post(
        "/ping/quick", data="rows_processed=&exit_code=0", headers=URLENCODED
    )
    assert (await response.json())["warnings"] == [
        "metric 'rows_processed' is the text '', not a finite number: it counts as missing"
    ]


async def test_every_field_can_be_in_a_form(client: Client, store: MemoryStore) -> None:
    texts = {
        "status": "partial",
        "duration_ms": "1500",
        "run_id": "7",
        "attempt": "2",
        "max_attempts": "2",
        "started_at": "2026-11-20T00:00:00Z",
        "ended_at": "1795132801.5",
        "message": "two of three",
        "metrics[rows]": "3",
        "size": "4.5e3",
        "metadata[host]": "db1",
        "git_sha": "abc",
    }
    parts = multipart(*(part(name, text) for name, text in texts.items()))
    for job, request in (
        ("urlencoded", {"data": texts}),
        ("multipart", {"data": parts, "headers": MULTIPART}),
        ("query", {"params": texts}),
    ):
        response = await client.post(f"/ping/{job}", **request)
        assert (await response.json())["warnings"] == []
        (run,) = await store.runs(job, 1)
        assert (run.outcome, run.run_id, run.attempt) == ("partial", "7", 2)
        assert (run.duration, run.message) == (1.5, "two of three")
        assert run.metrics == {"rows": 3, "size": 4500}
        assert json.loads(run.metadata) == {"host": "db1", "git_sha": "abc"}


async def test_the_body_wins_over_the_query(client: Client, store: MemoryStore) -> None:
    await client.post(
        "/ping/quick?rows=1&size=2&run_id=a&message=x",
        json={"metrics": {"rows": 5}, "run_id": "b"},
    )

    (run,) = await store.runs("quick", 1)
    assert (run.run_id, run.message) == ("b", "x")
    assert run.metrics == {"rows": 5, "size": 2}


async def test_a_file_is_the_message(client: Client, store: MemoryStore) -> None:
    """The end of it, as of any long message."""
    log = "line\n" * 20_000 + "the error\n"
    body = multipart(part("log", log, file=True), part("exit_code", "1"))
    for path in ("/ping/native", "/ping/a-key/hc"):
        await client.post(path, data=body, headers=MULTIPART)
        (run,) = await store.runs(path.rpartition("/")[2], 1)
        assert (run.outcome, run.message[-15:]) == ("fail", "line\nthe error\n")


async def test_of_a_long_multipart_body_fields_and_end_are_kept(
    client: Client, store: MemoryStore
) -> None:
    log = "line\n" * 400_000 + "the error"
    parts = (part("rows", "5"), part("log", log, file=True), part("rc", "1"))
    await client.post(
        "/ping/a-key/hc", data=BytesIO(multipart(*parts)), headers=MULTIPART
    )

    (run,) = await store.runs("hc", 1)
    assert (run.outcome, run.metrics, run.exit_code) == ("fail", {"rows": 5}, 1)
    assert run.message.endswith("line\nthe error")


async def test_one_bad_byte_in_a_batch_harms_nobody(client: Client) -> None:
    lines = b'{"job":"a"}\n{"job":"b","status":"fail","message":"\xe4"}\n{"job":"c"}\n'
    array = b"[" + lines.strip().replace(b"\n", b",\n") + b"]"
    for body in (lines, array, array.decode("latin-1").encode("utf-16")):
        answer = await (await client.post("/ping", data=body)).json()
        outcomes = [one["outcome"] for one in answer["results"]]
        assert outcomes == ["ok", "fail", "ok"]
