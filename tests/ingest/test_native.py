"""``/ping/{job}`` and ``/ping`` over HTTP."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import ClientResponse
from structlog.testing import capture_logs

from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import GOOD, at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client

REPORT = {"status": "ok", "duration_ms": 5000, "metrics": GOOD, "run_id": "a"}


async def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Return the problem that *response* carries."""
    assert response.status == status
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = await response.json(content_type=None)
    assert body["status"] == status
    assert body["title"]
    return body


async def test_the_answer_tells_the_job_what_was_made_of_its_report(
    client: Client,
) -> None:
    report = {**REPORT, "metrics": {"rows": 0, "size": 48211}}
    response = await client.post("/ping/backup", json=report)

    assert response.status == 200
    assert await response.json() == {
        "job": "backup",
        "kind": "finish",
        "run_id": "a",
        "outcome": "violated",
        "duplicate": False,
        "warnings": [],
        "violations": [{"rule": "rows > 0", "metric": "rows", "value": 0}],
        "deadline": "2026-11-22T02:30:00Z",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_request_that_says_nothing_is_a_plain_success(
    client: Client, store: MemoryStore, method: str
) -> None:
    response = await client.request(method, "/ping/quick")

    assert response.status == 200
    (run,) = await store.runs("quick", 9)
    assert run.outcome == "ok"


async def test_the_content_type_does_not_matter(client: Client) -> None:
    """``curl -d`` calls everything a form."""
    response = await client.post(
        "/ping/backup",
        data=json.dumps(REPORT),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert (await response.json())["outcome"] == "ok"


async def test_a_start_and_its_finish_are_one_run(
    client: Client, clock: ManualClock, store: MemoryStore
) -> None:
    await client.post("/ping/backup", json={"status": "start", "run_id": "a"})
    clock.show(clock.now() + 90)
    await client.post("/ping/backup", json={"run_id": "a", "metrics": GOOD})

    (run,) = await store.runs("backup", 9)
    assert run.duration == 90


async def test_a_repeat_is_answered_with_the_first_verdict(client: Client) -> None:
    first = await client.post("/ping/backup", json={**REPORT, "metrics": {}})
    again = await client.post("/ping/backup", json=REPORT)

    assert (await first.json())["outcome"] == "violated"
    told = await again.json()
    assert told["duplicate"] is True
    assert told["outcome"] == "violated"
    assert len(told["violations"]) == 2


@pytest.mark.parametrize("at_once", [1, 7, 100])
async def test_a_spool_that_is_sent_again_counts_once(
    client: Client, store: MemoryStore, at_once: int
) -> None:
    """Every run of it is answered with what was recorded first."""
    spool = [
        {**REPORT, "job": "backup", "run_id": f"run-{number}", "metrics": {"rows": 1}}
        for number in range(100)
    ]
    await client.post("/ping", json=spool)
    results = []
    for first in range(0, 100, at_once):
        batch = [{**one, "metrics": GOOD} for one in spool[first : first + at_once]]
        response = await client.post("/ping", json=batch)
        results += (await response.json())["results"]

    assert {(one["duplicate"], one["outcome"]) for one in results} == {
        (True, "violated")
    }
    assert [one["run_id"] for one in results] == [one["run_id"] for one in spool]
    assert store.states["backup"].runs_total == 100
    assert store.states["backup"].duplicates_total == 100


async def test_the_idempotency_key_is_as_good_as_a_run_id(client: Client) -> None:
    key = {"Idempotency-Key": "k1"}
    await client.post("/ping/backup", json={"metrics": GOOD}, headers=key)
    again = await client.post("/ping/backup", json={"metrics": {}}, headers=key)

    assert (await again.json())["duplicate"] is True


async def test_the_same_words_within_seconds_are_a_repeat(
    client: Client, clock: ManualClock
) -> None:
    answers = []
    for _ in range(3):
        response = await client.post("/ping/backup", json={"metrics": GOOD})
        answers.append((await response.json())["duplicate"])
        clock.show(clock.now() + 6)

    assert answers == [False, True, False]


async def test_warnings_reach_the_job(client: Client) -> None:
    response = await client.post(
        "/ping/backup", json={"metrics": {"rows": None, "size": 9999}}
    )

    told = await response.json()
    assert told["outcome"] == "violated"
    assert told["warnings"] == [
        "metric 'rows' is null, not a finite number: it counts as missing"
    ]


class TestAnUnreadableReport:
    BODY = b'{"metrics": {"rows": ,"size": 5}}'

    async def test_of_a_known_job_is_refused_and_recorded(
        self, client: Client, store: MemoryStore
    ) -> None:
        response = await client.post("/ping/backup", data=self.BODY)

        told = await problem(response, 400)
        assert told["recorded"] is True
        assert told["outcome"] == "invalid"
        assert "is a variable of the script empty?" in told["detail"]
        (run,) = await store.runs("backup", 9)
        assert run.outcome == "invalid"
        assert run.message == told["detail"]
        (alert,) = await store.alerts()
        assert alert.key.condition == "failing"

    async def test_of_an_unknown_job_is_only_refused(
        self, client: Client, service: Service
    ) -> None:
        response = await client.post("/ping/nobody", data=self.BODY)

        assert (await problem(response, 400))["recorded"] is False
        assert service.job("nobody") is None

    async def test_ends_the_run_that_was_open(
        self, client: Client, store: MemoryStore
    ) -> None:
        await client.post("/ping/backup", json={"status": "start"})
        await client.post("/ping/backup", data=self.BODY)

        assert store.states["backup"].open_runs == ()

    async def test_sent_again_is_one_run(
        self, client: Client, store: MemoryStore
    ) -> None:
        for _ in range(5):
            await client.post("/ping/backup", data=self.BODY)

        assert store.states["backup"].runs_total == 1

    @pytest.mark.parametrize("body", [b"[]", b"5", b'{"status": "sucess"}'])
    async def test_can_be_unreadable_in_more_ways(
        self, client: Client, body: bytes
    ) -> None:
        response = await client.post("/ping/backup", data=body)

        assert (await problem(response, 400))["outcome"] == "invalid"


class TestARefusal:
    async def test_of_a_bad_name_says_how_names_are(self, client: Client) -> None:
        response = await client.get("/ping/-rf")

        assert "cannot be the name of a job" in (await problem(response, 400))["detail"]

    async def test_of_an_unknown_job_suggests_the_one_that_was_meant(
        self, client: Client, service: Service
    ) -> None:
        service.job_config = replace(service.job_config, unknown=None)
        response = await client.post("/ping/backpu", json=REPORT)

        told = await problem(response, 404)
        assert told["detail"] == "unknown job 'backpu'; did you mean 'backup'?"

    @pytest.mark.parametrize("packed", [False, True])
    async def test_of_a_body_that_is_too_large_comes_at_once(
        self, client: Client, service: Service, packed: bool
    ) -> None:
        """A zip bomb too: what counts is what it unpacks to."""
        service.job_config = replace(service.job_config, body_bytes=1000)
        body = b'{"message": "' + b"x" * 1_000_000 + b'"}'
        response = await client.post(
            "/ping/backup",
            data=gzip.compress(body) if packed else body,
            headers={"Content-Encoding": "gzip"} if packed else {},
        )

        assert "limits.body_bytes" in (await problem(response, 413))["detail"]

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    async def test_of_another_method_names_those_there_are(
        self, client: Client, store: MemoryStore, method: str
    ) -> None:
        response = await client.request(method, "/ping/backup")

        told = await problem(response, 405)
        assert told["detail"].endswith("use one of GET, HEAD, OPTIONS, POST")
        assert response.headers["Allow"]
        assert store.states["backup"].runs_total == 0

    async def test_of_a_path_that_is_nothing_says_where_jobs_report(
        self, client: Client
    ) -> None:
        response = await client.get("/pings/backup")

        assert "/ping/{job}" in (await problem(response, 404))["detail"]


async def test_options_is_never_a_ping(client: Client, store: MemoryStore) -> None:
    response = await client.options("/ping/backup")

    assert response.status == 204
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert store.states["backup"].runs_total == 0


async def test_a_compressed_report_is_read(client: Client) -> None:
    response = await client.post(
        "/ping/backup",
        data=gzip.compress(json.dumps(REPORT).encode()),
        headers={"Content-Encoding": "gzip"},
    )

    assert (await response.json())["outcome"] == "ok"


class TestABatch:
    ITEMS = (
        {"job": "backup", "run_id": "1", "metrics": GOOD},
        {"job": "other", "run_id": "1"},
        {"job": "backup", "run_id": "2", "metrics": {}},
    )

    async def outcomes(self, response: ClientResponse) -> list[str]:
        assert response.status == 200
        return [result["outcome"] for result in (await response.json())["results"]]

    async def test_may_be_an_array(self, client: Client) -> None:
        response = await client.post("/ping", json=self.ITEMS)

        assert await self.outcomes(response) == ["ok", "ok", "violated"]

    async def test_may_be_lines(self, client: Client) -> None:
        lines = "\n".join(json.dumps(item) for item in self.ITEMS) + "\n\n"
        response = await client.post("/ping", data=lines)

        assert await self.outcomes(response) == ["ok", "ok", "violated"]

    async def test_may_be_one_object_over_many_lines(self, client: Client) -> None:
        """As ``jq .`` prints it."""
        response = await client.post("/ping", data=json.dumps(self.ITEMS[0], indent=2))

        assert await self.outcomes(response) == ["ok"]

    async def test_a_bad_item_does_not_harm_the_others(
        self, client: Client, store: MemoryStore
    ) -> None:
        lines = [
            '{"job": "backup", "run_id": "1", "metrics": ',
            '{"run_id": "1"}',
            '{"job": "a b"}',
            '{"job": "backup", "status": "sucess"}',
            '{"job": "nobody", "status": "sucess"}',
            "[]",
            '{"job": "other"}',
        ]
        response = await client.post("/ping", data="\n".join(lines))

        told = await response.json()
        assert (told["accepted"], told["rejected"]) == (3, 4)
        assert [result.get("recorded") for result in told["results"]] == [
            True, False, False, True, False, False, None,
        ]  # fmt: skip
        runs = await store.runs("backup", 9)
        assert [run.outcome for run in runs] == ["invalid", "invalid"]

    @pytest.mark.parametrize(
        "broken",
        [
            '{"job":"backup","metrics":{"rows":,}}',
            '{"metrics":{"rows":},"job" : "backup"}',
            '{"job":"backup","metadata":{"hosts":[{"a":1}]},"exit_code":}',
            '{"job":"backup","message":"half a mess',
            '{"job":"backup","run_id":"7" "status":"ok"}',
        ],
    )
    @pytest.mark.parametrize("place", [0, 1, 2])
    @pytest.mark.parametrize("layout", ["lines", "array", "pretty array"])
    async def test_an_item_that_is_not_json_counts_for_the_job_that_it_names(
        self, client: Client, store: MemoryStore, broken: str, place: int, layout: str
    ) -> None:
        """And every other item counts as it would alone."""
        items = [json.dumps({"job": "other", "run_id": str(n)}) for n in range(2)]
        items.insert(place, broken)
        if layout == "lines":
            body = "\n".join(items)
        else:
            gap = "," if layout == "array" else ",\n  "
            body = f"[{gap.join(items)}]"

        response = await client.post("/ping", data=body)

        answer = await response.json()
        assert (answer["accepted"], answer["rejected"]) == (3, 0), answer
        assert answer["results"][place]["outcome"] == "invalid"
        (run,) = await store.runs("backup", 9)
        assert run.outcome == "invalid"
        assert store.states["other"].runs_total == 2

    async def test_a_broken_item_that_names_two_jobs_counts_for_neither(
        self, client: Client, store: MemoryStore
    ) -> None:
        body = '{"job":"backup","rows":, "metadata":{"job":"other"}}\n{"job":"other"}'

        answer = await (await client.post("/ping", data=body)).json()

        assert (answer["accepted"], answer["rejected"]) == (1, 1)
        assert not await store.runs("backup", 9)

    async def test_sent_again_is_recognised_item_by_item(
        self, client: Client, store: MemoryStore
    ) -> None:
        await client.post("/ping", json=self.ITEMS)
        response = await client.post("/ping", json=self.ITEMS)

        results = (await response.json())["results"]
        assert [result["duplicate"] for result in results] == [True] * 3
        assert store.states["backup"].runs_total == 2

    @pytest.mark.parametrize("body", [b"", b" \n", b"[]"])
    async def test_without_items_is_refused(self, client: Client, body: bytes) -> None:
        response = await client.post("/ping", data=body)

        await problem(response, 400)

    async def test_has_a_bounded_number_of_items(self, client: Client) -> None:
        response = await client.post("/ping", data=b"{}\n" * 10_001)

        assert "at most 10000 at once" in (await problem(response, 400))["detail"]


async def test_pings_are_counted_by_what_became_of_them(
    client: Client, service: Service
) -> None:
    await client.post("/ping/backup", json=REPORT)
    await client.post("/ping/backup", json=REPORT)
    await client.post("/ping/backup", data=b"{")
    await client.post("/ping/nobody", data=b"{")
    await client.post("/ping/backup", json={"metrics": {"a": "b", "": 1}})

    # The unreadable report of a known job is recorded, as the failure it is.
    assert service.pings == {
        ("native", "accepted"): 3,
        ("native", "duplicate"): 1,
        ("native", "rejected"): 1,
    }
    assert service.dropped == {"not_a_number": 1, "name": 1}


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/ping/-rf", b"", "cannot be the name of a job"),
        ("/ping/backup", b"x" * 1001, "limits.body_bytes"),
        ("/ping", b"x" * 1001, "limits.body_bytes"),
        ("/ping", b"", "the batch is empty"),
        ("/ping", b"[{]", "the report is not JSON"),
    ],
)
async def test_a_request_refused_as_a_whole_is_counted_once_and_told(
    client: Client, service: Service, path: str, body: bytes, reason: str
) -> None:
    service.job_config = replace(service.job_config, body_bytes=1000)
    with capture_logs() as lines:
        await client.post(path, data=body)

    assert service.pings == {("native", "rejected"): 1}
    (line,) = lines
    assert line["event"] == "ping_refused"
    assert reason in line["reason"]


async def test_a_plain_ping_of_a_bad_name_is_counted_too(
    client: Client, service: Service
) -> None:
    await client.get("/ping/-rf")

    assert service.pings == {("native", "rejected"): 1}


async def test_the_sweeper_runs_beside_the_handlers(
    client: Client, clock: ManualClock, store: MemoryStore
) -> None:
    await client.post("/ping/backup", json=REPORT)
    await clock.advance(at("22 02:30:01") - clock.now())

    assert store.states["backup"].missed_total == 1


async def test_half_a_character_in_a_name_costs_no_other_report(
    client: Client,
) -> None:
    body = rb'[{"job": "a\ud800"}, {"job": "b", "status": "fail", "message": "x"}]'
    response = await client.post("/ping", data=body)

    assert response.status == 200
    assert (await response.json())["accepted"] == 1
