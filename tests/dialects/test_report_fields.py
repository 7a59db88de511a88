"""Whatever a request says in its query, its body or its message: the worst counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import ClientResponse
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.dialects.report_fields import fields_of, with_claimed_outcome
from tests.fakes import MemoryStore
from tests.http import Client

#: Addresses that say nothing but that the job ran well.
GOOD = {
    "Uptime Kuma": "/api/push/job",
    "Dead Man's Snitch": "/snitch/job",
    "Better Stack": "/api/v1/heartbeat/job",
    "Better Stack, exit code": "/api/v1/heartbeat/job/0",
    "Cronitor": "/p/key/job",
    "Cronitor, Node": "/ping/key/job?state=complete",
    "Cronitor, path": "/p/key/job/complete",
    "Sentry": "/api/4/cron/job/key?status=ok",
}
FAILED = [
    {"exit_code": "3"},
    {"outcome": "failed"},
    {"error": "the disk is full"},
    {"conclusion": "failure"},
    {"success": "false"},
]


@pytest.mark.parametrize("how", ["query", "form", "multipart", "JSON"])
@pytest.mark.parametrize("path", GOOD.values(), ids=GOOD)
async def test_nothing_that_says_failed_is_ok(
    client: Client, store: MemoryStore, path: str, how: str
) -> None:
    for claim in FAILED:
        answer = await report(client, path, claim, how)

        assert answer.status in {200, 202}
    runs = await store.runs("job", 9)
    assert [run.outcome for run in runs] == ["fail"] * len(FAILED)


async def report(
    client: Client, path: str, claim: dict[str, str], how: str
) -> ClientResponse:
    """Return the answer to a report with *claim* in its query or body."""
    bodies: dict[str, dict[str, Any]] = {
        "form": {"data": claim},
        "multipart": {
            "data": multipart(claim),
            "headers": {"Content-Type": 'multipart/form-data; boundary="b"'},
        },
        "JSON": {"json": claim},
    }
    more = bodies.get(how, {})
    if how == "query":
        pairs = "&".join(f"{name}={value}" for name, value in claim.items())
        path += f"{'&' if '?' in path else '?'}{pairs}"
    return await client.post(path, **more)


def multipart(fields: dict[str, str]) -> bytes:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return ("".join(parts) + "--b--\r\n").encode()


OWN = {
    "Kuma, twice": ("/api/push/job?status=up&status=down", None),
    "Kuma, other way": ("/api/push/job?status=down&status=up", None),
    "Kuma, form": ("/api/push/job?status=up", {"status": "down"}),
    "Kuma, word": ("/api/push/job?status=up&msg=FAILED", None),
    "snitch, form": ("/snitch/job", {"s": "1"}),
    "snitch, spaces": ("/snitch/job", "m=it broke&s=1"),
    "Cronitor, spaces": ("/p/k/job", "msg=it broke&state=fail"),
    "snitch, twice": ("/snitch/job?s=1&s=0", None),
    "snitch, both": ("/snitch/job?s=0", {"s": "2"}),
    "Cronitor, twice": ("/p/k/job?state=fail&state=complete", None),
    "Cronitor, path": ("/p/k/job/fail?state=complete", None),
    "Cronitor, query": ("/p/k/job/complete?state=fail", None),
    "Cronitor, form": ("/p/k/job/complete", {"state": "fail"}),
    "Cronitor, exit": ("/p/k/job/complete?status_code=2", None),
    "Sentry, form": ("/api/4/cron/job?status=ok", {"status": "error"}),
    "Sentry, twice": ("/api/4/cron/job?status=error&status=ok", None),
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("path", "form"), OWN.values(), ids=OWN)
async def test_of_a_dialects_own_words_the_worst_counts(
    client: Client,
    store: MemoryStore,
    path: str,
    form: dict[str, str] | str | None,
    as_json: bool,
) -> None:
    more: dict[str, Any] = {}
    if isinstance(form, str):
        # As curl sends it.
        kind = "application/x-www-form-urlencoded"
        more = {"data": form, "headers": {"Content-Type": kind}}
    elif form is not None:
        more = {"json": form} if as_json else {"data": form}
    answer = await client.post(path, **more)

    assert answer.status in {200, 202}
    (run,) = await store.runs("job", 9)
    assert run.outcome == "fail"


@pytest.mark.parametrize("path", GOOD.values(), ids=GOOD)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"copied 42 rows without errors",
        b'{"rows": 0, "message": "done"}',
        b'{"status": 200}',
        b'{"status": "finalizing"}',
        b"[1, 2]",
        b'{"a"',
        b"\xff\xfe",
    ],
)
async def test_output_is_no_claim(
    client: Client, store: MemoryStore, path: str, body: bytes
) -> None:
    """A body may be anything that the job printed."""
    strict = "cron" in path or "/p/" in path or "state=" in path
    if strict and b"status" in body:
        pytest.skip("a status that it does not know is refused there")

    answer = await client.post(path, data=body)

    assert answer.status in {200, 202}
    (run,) = await store.runs("job", 9)
    assert run.outcome == "ok"


async def test_output_that_curl_calls_a_form_is_no_claim(
    client: Client, store: MemoryStore
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/api/v1/heartbeat/job"
    await client.post(
        path, data="error=0 of 9 files\nexit_code=1 of tar", headers=headers
    )

    (run,) = await store.runs("job", 9)
    assert run.outcome == "ok"


@given(
    st.lists(st.tuples(st.sampled_from("abs"), st.text(max_size=9)), max_size=5),
    st.text(max_size=60) | st.dictionaries(st.text(), st.text()).map(json.dumps),
    st.sampled_from(
        ["", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
    ),
)
def test_whatever_is_said_a_failure_stays_one(
    query: list[tuple[str, str]], body: str, kind: str
) -> None:
    fields = fields_of(query, body, kind)
    for outcome in set(Outcome) - {Outcome.INVALID}:
        ping = Ping(job="x", kind=Kind.FINISH, at=0.0, outcome=outcome)
        made = with_claimed_outcome(ping, fields, (), strict=False)
        if outcome in FAILURES:
            assert made.outcome in FAILURES
