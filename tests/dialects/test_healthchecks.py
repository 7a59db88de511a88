"""Healthchecks' pinging API over HTTP, and what its pings become."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from afterrun_exporter.core.model import FAILURES, Kind
from afterrun_exporter.dialects.cronitor.telemetry import speaks_cronitor
from afterrun_exporter.dialects.healthchecks.signals import SignalReport, ping_of
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError, StorageError
from afterrun_exporter.ingest.forms import URLENCODED
from afterrun_exporter.ingest.reports import MAX_MESSAGE
from tests.copies import replace
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client

UUID = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"
RID = "5cf57b8e-2f0a-4b1c-9d3e-7a6b5c4d3e2f"
SLUG = "/ping/a-key/quick"


def pinged(said: SignalReport) -> Any:
    ping, _ = ping_of("quick", said, at=1.0, fingerprint=b"", metrics_limit=50)
    return ping


async def runs(store: MemoryStore, job: str = "quick") -> list[str]:
    """Return the outcomes of the runs of *job*, the newest first."""
    return [run.outcome for run in await store.runs(job, 9)]


async def test_a_ping_is_answered_as_healthchecks_does(client: Client) -> None:
    response = await client.get(SLUG)

    assert (response.status, await response.text()) == (200, "OK")
    assert int(response.headers["Ping-Body-Limit"]) > 10_000
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "no-cache" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("path", "job"),
    [
        (f"/ping/{UUID}", UUID),
        (f"/ping/{UUID}/", UUID),
        (f"/{UUID}", UUID),
        (f"/{UUID}/", UUID),
        (f"/ping/{UUID.upper()}", UUID),
        ("/ping/a-key/quick", "quick"),
        ("/ping/a-key/quick/", "quick"),
        (f"/ping/{UUID}/0", UUID),
        (f"/{UUID}/0/", UUID),
        ("/ping/a-key/quick/0", "quick"),
        ("/ping/quick/0", "quick"),
        ("/ping/a-key/Nightly%20Sync", "Nightly-Sync"),
    ],
)
async def test_a_job_is_named_by_a_uuid_or_a_slug(
    client: Client, store: MemoryStore, path: str, job: str
) -> None:
    response = await client.get(path)

    assert response.status == 200
    assert await runs(store, job) == ["ok"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", [f"/ping/{UUID}", f"/{UUID}", f"/ping/key/{UUID}"])
async def test_any_method_is_a_ping(
    client: Client, store: MemoryStore, method: str, path: str
) -> None:
    response = await client.request(method, path)

    assert response.status == 200
    assert response.headers["Content-Length"] == "2"
    assert await runs(store, UUID) == ["ok"]


@pytest.mark.parametrize("path", [f"/ping/{UUID}", f"/{UUID}/start", SLUG])
async def test_a_preflight_is_no_ping(
    client: Client, store: MemoryStore, path: str
) -> None:
    response = await client.options(path)

    assert response.status == 204
    assert not any(state.last_ping_at for state in store.states.values())


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("", ["ok"]),
        ("/fail", ["fail"]),
        ("/start", []),
        ("/log", []),
        ("/0", ["ok"]),
        ("/000", ["ok"]),
        ("/1", ["fail"]),
        ("/255", ["fail"]),
    ],
)
@pytest.mark.parametrize("base", [SLUG, "/ping/quick"])
async def test_the_end_of_the_path_says_what_happened(
    client: Client, store: MemoryStore, base: str, signal: str, expected: list[str]
) -> None:
    response = await client.post(base + signal)

    assert response.status == 200
    assert await runs(store) == expected


@pytest.mark.parametrize("status", ["256", "999", "1000", "9" * 5000])
async def test_more_than_an_exit_status_is_refused(
    client: Client, store: MemoryStore, status: str
) -> None:
    response = await client.get(f"{SLUG}/{status}")

    assert (response.status, await response.text()) == (400, "invalid url format")
    assert await runs(store) == []


@pytest.mark.parametrize(
    "path", [f"/ping/{UUID}/abc", f"/ping/{UUID}/-1", "/ping/a-key/quick/succes"]
)
async def test_a_verb_that_is_none_is_not_found(client: Client, path: str) -> None:
    response = await client.get(path)

    assert (response.status, await response.text()) == (404, "not found")


async def test_a_verb_is_no_slug(client: Client, service: Service) -> None:
    await client.get("/ping/quick/start?create=1")

    assert service.job("start") is None


async def test_a_slug_of_which_nothing_is_left_is_refused(client: Client) -> None:
    response = await client.get("/ping/a-key/---")

    assert (response.status, await response.text()) == (400, "invalid url format")


async def test_a_job_that_is_created_is_told_so_once(client: Client) -> None:
    answers = [await client.get("/ping/a-key/new-job?create=1") for _ in range(2)]

    told = [(answer.status, await answer.text()) for answer in answers]
    assert told == [(201, "Created"), (200, "OK")]


async def test_an_unknown_job_is_not_found_where_they_are_rejected(
    client: Client, service: Service
) -> None:
    service.job_config = replace(service.job_config, unknown=None)
    response = await client.get("/ping/a-key/new-job?create=1")

    assert (response.status, await response.text()) == (404, "not found")
    assert service.pings["healthchecks", "rejected"] == 1


class TestARunId:
    async def test_pairs_a_start_with_its_end(
        self, client: Client, clock: ManualClock, store: MemoryStore
    ) -> None:
        await client.get(f"{SLUG}/start?rid={RID}")
        clock.show(clock.now() + 90)
        await client.get(f"{SLUG}?rid={RID.upper()}")

        (run,) = await store.runs("quick", 9)
        assert (run.run_id, run.duration) == (RID, 90)

    async def test_makes_a_retry_known_however_late(
        self, client: Client, clock: ManualClock, store: MemoryStore
    ) -> None:
        for _ in range(3):
            await client.get(f"{SLUG}/fail?rid={RID}")
            clock.show(clock.now() + 100)

        assert await runs(store) == ["fail"]

    @pytest.mark.parametrize("rid", ["x", RID.replace("-", ""), f"{RID}&rid=x"])
    async def test_that_is_no_uuid_is_refused(
        self, client: Client, store: MemoryStore, rid: str
    ) -> None:
        response = await client.get(f"{SLUG}?rid={rid}")

        assert (response.status, await response.text()) == (400, "invalid uuid format")
        assert await runs(store) == []

    async def test_that_is_empty_is_none(self, client: Client) -> None:
        response = await client.get(f"{SLUG}?rid=")

        assert response.status == 200


async def test_a_start_and_an_end_without_a_run_id_are_one_run(
    client: Client, clock: ManualClock, store: MemoryStore
) -> None:
    await client.get(f"{SLUG}/start")
    clock.show(clock.now() + 5)
    await client.get(f"{SLUG}/1")

    (run,) = await store.runs("quick", 9)
    assert (run.duration, run.exit_code, run.outcome) == (5, 1, "fail")


async def test_the_same_ping_within_seconds_is_a_retry(
    client: Client, store: MemoryStore
) -> None:
    for _ in range(3):
        await client.post(SLUG, data="all is well")

    assert await runs(store) == ["ok"]


class TestABody:
    async def test_that_is_too_long_is_cut(
        self, client: Client, service: Service, store: MemoryStore
    ) -> None:
        service.job_config = replace(service.job_config, body_bytes=5)
        response = await client.post(SLUG, data="123456789")

        assert response.status == 200
        assert response.headers["Ping-Body-Limit"] == "5"
        (run,) = await store.runs("quick", 9)
        assert run.message == "12389"

    async def test_of_megabytes_keeps_its_end(
        self, client: Client, store: MemoryStore
    ) -> None:
        """There stands what went wrong."""
        log = b"copied\n" * 300_000 + b"the error"
        response = await client.post(f"{SLUG}/fail", data=BytesIO(log))

        assert response.status == 200
        (run,) = await store.runs("quick", 9)
        assert len(run.message) == MAX_MESSAGE
        assert run.message.endswith("copied\nthe error")

    async def test_of_megabytes_does_not_cost_the_ping(
        self, client: Client, store: MemoryStore
    ) -> None:
        response = await client.post(SLUG, data=BytesIO(b"x" * 3_000_000))

        assert response.status == 200
        assert await runs(store) == ["ok"]

    async def test_that_is_no_utf_8_does_not_cost_the_ping(
        self, client: Client, store: MemoryStore
    ) -> None:
        response = await client.post(SLUG, data=b"\xff\0ok")

        assert response.status == 200
        assert await runs(store) == ["ok"]

    async def test_that_is_not_compressed_as_it_says_does_not_cost_the_ping(
        self, client: Client, store: MemoryStore
    ) -> None:
        response = await client.post(
            SLUG, data=b"plain", headers={"Content-Encoding": "gzip"}
        )

        assert response.status == 200
        assert await runs(store) == ["ok"]

    async def test_that_a_client_calls_json_may_be_text(
        self, client: Client, store: MemoryStore
    ) -> None:
        await client.post(
            SLUG, data="{rows: 5", headers={"Content-Type": "application/json"}
        )

        (run,) = await store.runs("quick", 9)
        assert (run.outcome, run.message) == ("ok", "{rows: 5")


@pytest.mark.parametrize(
    "path",
    [
        "/ping/k/%00",
        "/ping/k/%ff",
        "/ping/%ED%A0%80/%ED%A0%80",
        "/ping/k/a%2Fb",
        "/ping/k//",
        "/ping//quick",
        # A digit, and none of ASCII's.
        "/ping/k/quick/%D9%A1",
        "/ping/k/quick?%ff=%00&rid=%ff",
        "/ping/k/quick?a=1&a=2&=5&b=%ED%A0%80&c=1e999&d=nan",
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b'{"\\ud800": 1, "x": 1e999}',
        b'{"x": ' + b"9" * 5000 + b"}",
        b'{"x":' * 2000,
        b"%ff=3&a%00=4&%ED%A0%80=5;;=&&&",
    ],
    ids=["half a character", "digits", "depth", "form"],
)
async def test_no_request_is_an_error_of_ours(
    client: Client, path: str, body: bytes
) -> None:
    for kind in (URLENCODED, "multipart/form-data; boundary=x", 'a;b="'):
        response = await client.post(
            URL(path, encoded=True), data=body, headers={"Content-Type": kind}
        )

        assert response.status < 500


async def test_a_ping_that_cannot_be_stored_is_to_be_sent_again(
    client: Client, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(store, "update_all", full)
    response = await client.get(SLUG)

    assert response.status == 503
    assert "Retry-After" in response.headers


@pytest.mark.parametrize(
    ("said", "metrics"),
    [
        (SignalReport(text='{"rows": 5, "ok": true, "host": "a"}'), {"rows": 5}),
        (SignalReport(text='{"metrics": {"rows": 5}, "size": 9}'), {"rows": 5, "size": 9}),
        (SignalReport(text='{"metrics": [1], "rows": NaN}'), {}),
        (SignalReport(text='{"rows": '), {}),
        (SignalReport(text='["rows", 5]'), {}),
        (SignalReport(text="rows_processed=42&bytes=10", form=True),
         {"rows_processed": 42, "bytes": 10}),
        (SignalReport(text="rows=42&host=a&bytes=", form=True), {"rows": 42}),
        (SignalReport(text="rows=42"), {}),
        # What a job says is no form, whatever curl calls it.
        (SignalReport(text="total size=42", form=True), {}),
        (SignalReport(query=(("rows", "7"), ("rid", RID), ("create", "1"))), {"rows": 7}),
        (SignalReport(query=(("timeout", "60"), ("grace", "5"))), {}),
        (SignalReport(query=(("rows", "7"),), text='{"rows": 8}'), {"rows": 8}),
    ],
)  # fmt: skip
def test_numbers_that_clients_send_are_metrics(
    said: SignalReport, metrics: dict[str, float]
) -> None:
    assert pinged(said).metrics == metrics


@pytest.mark.parametrize(
    "said",
    [
        SignalReport(text='{"duration_ms": 1500}'),
        SignalReport(text='{"duration_seconds": 1.5}'),
        SignalReport(text="duration_ms=1500", form=True),
        SignalReport(query=(("duration_seconds", "1.5"),)),
    ],
)
def test_a_duration_is_taken(said: SignalReport) -> None:
    ping = pinged(said)

    assert (ping.duration, ping.metrics) == (1.5, {})


def test_the_verb_wins_over_the_body() -> None:
    ping = pinged(SignalReport(signal="fail", text='{"status": "ok"}'))

    assert ping.outcome == "fail"


@pytest.mark.parametrize(
    ("signal", "text", "outcome"),
    [
        ("", '{"status": "fail"}', "fail"),
        ("", '{"status": "Timed_Out", "rows": 1}', "timeout"),
        ("", '{"exit_code": 3}', "fail"),
        ("", '{"exit_code": 0, "status": "done"}', "ok"),
        ("", '{"error": "disk full"}', "fail"),
        ("", '{"status": "canceled"}', "canceled"),
        ("", '{"status": "fail", "log": "cut in the mid', "fail"),
        ("", '[{"status": "fail"}]', "fail"),
        ("", '{"status": "running"}', "ok"),
        *(("", word, "fail") for word in ("FAILED", "failed\n", '"error"')),
        *((signal, "FAILED", "ok") for signal in ("start", "log")),
        ("", '{"status": {"a": 1}}', "ok"),
        ("0", '{"status": "fail"}', "fail"),
        ("0", '{"exit_code": 3}', "fail"),
        ("3", '{"exit_code": 0}', "fail"),
        # A run that goes on has no outcome yet.
        ("start", '{"status": "fail"}', "ok"),
        ("log", '{"level": "error"}', "ok"),
        ("fail", '{"status": "ok"}', "fail"),
    ],
)
def test_what_failed_by_its_body_is_no_success(
    signal: str, text: str, outcome: str
) -> None:
    assert pinged(SignalReport(signal, text=text)).outcome == outcome


def test_a_mark_before_the_body_costs_no_metrics() -> None:
    assert pinged(SignalReport(text='\ufeff{"rows": 5}')).metrics == {"rows": 5.0}


def test_a_schedule_is_not_silently_lost() -> None:
    (warning,) = pinged(SignalReport(query=(("grace", "60"),))).warnings

    assert warning == "grace is ignored: it applies only to a new job, with create=1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "run"}, True),
        ({"series": "1", "host": "a"}, True),
        ({"metric": "count:5"}, True),
        ({"stamp": "1795316454.5"}, True),
        ({"rid": RID, "create": "1"}, False),
        ({}, False),
    ],
)
def test_cronitors_clients_are_known_by_their_parameters(
    query: dict[str, str], expected: bool
) -> None:
    assert speaks_cronitor(query) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
REPORTS = st.dictionaries(
    st.sampled_from(["duration_ms", "metrics", "status", "exit_code"]) | st.text(), JSON
)
TEXTS = st.text() | JSON.map(json.dumps) | REPORTS.map(json.dumps)


@given(
    said=st.builds(
        SignalReport,
        st.sampled_from(["", "start", "fail", "log", "0", "3", "255"]),
        st.lists(st.tuples(st.text(), st.text())).map(
            lambda pairs: tuple(pair for pair in pairs if pair[0] != "rid")
        ),
        TEXTS,
        st.booleans(),
    )
)
def test_no_body_and_no_query_loses_a_ping(said: SignalReport) -> None:
    failed = said.signal in {"fail", "3", "255"}
    try:
        ping = pinged(said)
    except PingError:
        # It is recorded as a run that is invalid.
        assert said.signal in {"", "0"}
        return

    assert (ping.kind is Kind.START) == (said.signal == "start")
    assert (ping.kind is Kind.LOG) == (said.signal == "log")
    assert not failed or ping.outcome in FAILURES
    ping.message.encode()


@pytest.mark.parametrize("body", ['{"status": "kaputt"}', '{"exit_code": ""}'])
async def test_a_claim_that_cannot_be_read_is_a_run_that_is_invalid(
    client: Client, store: MemoryStore, body: str
) -> None:
    await client.get(SLUG)
    response = await client.post(SLUG, data=body)

    assert response.status == 400
    assert await runs(store) == ["invalid", "ok"]


@given(status=st.integers(256).map(str), zeros=st.integers(0, 5))
def test_no_number_over_255_is_an_exit_status(status: str, zeros: int) -> None:
    with pytest.raises(PingError, match=r"^invalid url format$"):
        pinged(SignalReport("0" * zeros + status))


@given(rid=st.text(min_size=1))
def test_no_text_but_a_uuid_is_a_run_id(rid: str) -> None:
    with pytest.raises(PingError, match=r"^invalid uuid format$"):
        pinged(SignalReport(query=(("rid", rid),)))
