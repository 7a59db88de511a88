"""Records of runs and events of workers, posted as they are."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.dialects.schedulers import event_report, run_report
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from tests.fakes import MemoryStore
from tests.http import Client

RECORD = {
    "job_id": "daily-report",
    "status": "success",
    "started_at": "2026-11-21T11:00:00Z",
    "ended_at": "2026-11-21T11:00:05Z",
    "duration_ms": 5000,
    "metadata": {"script_source": "manifest", "git_sha": "abc123def456"},
}
EVENT = {
    "type": "job.completed",
    "timestamp": "2026-11-21T11:00:05Z",
    "payload": {
        "jobId": "daily.questmaster",
        "executionId": "e-1",
        "durationMs": 1500,
        "result": {"processedCount": 42, "note": "fine"},
    },
}


async def test_a_record_of_a_run_arrives_whole(
    client: Client, store: MemoryStore
) -> None:
    record = {**RECORD, "rows_processed": 120, "error": None}
    response = await client.post("/runs", json=record)

    assert response.status == 200
    assert (await response.json())["accepted"] == 1
    (run,) = await store.runs("daily-report", 9)
    assert (run.outcome, run.duration) == ("ok", 5.0)
    assert (run.finished_at or 0) - (run.started_at or 0) == 5
    assert dict(run.metrics) == {"rows_processed": 120}
    assert json.loads(run.metadata)["git_sha"] == "abc123def456"


@pytest.mark.parametrize("path", ["/runs", "/ping/daily-report"])
@pytest.mark.parametrize("missing", ["started_at", "ended_at", "duration_ms"])
async def test_two_of_start_end_and_duration_give_the_third(
    client: Client, store: MemoryStore, path: str, missing: str
) -> None:
    record = {name: value for name, value in RECORD.items() if name != missing}
    if path != "/runs":
        del record["job_id"]
    await client.post(path, json=record)

    (run,) = await store.runs("daily-report", 9)
    assert format_time(run.started_at or 0) == RECORD["started_at"]
    assert format_time(run.finished_at) == RECORD["ended_at"]
    assert run.duration == 5.0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        # The worse of the two counts.
        ("success", "fail"),
        ("partial", "partial"),
        ("failed", "fail"),
        ("timeout", "timeout"),
        ("canceled", "canceled"),
    ],
)
async def test_the_status_of_a_record_is_the_outcome(
    client: Client, store: MemoryStore, status: str, outcome: str
) -> None:
    await client.post("/runs", json={**RECORD, "status": status, "error": ["a", 1]})

    (run,) = await store.runs("daily-report", 9)
    assert (run.outcome, run.message) == (outcome, '["a", 1]')


async def test_a_record_that_comes_twice_is_one_run(
    client: Client, store: MemoryStore
) -> None:
    lines = "\n".join(json.dumps(RECORD) for _ in range(3))
    response = await client.post("/runs", data=lines)

    results = (await response.json())["results"]
    assert [one["duplicate"] for one in results] == [False, True, True]
    assert len(await store.runs("daily-report", 9)) == 1


async def test_a_bad_record_does_not_harm_the_others(
    client: Client, store: MemoryStore
) -> None:
    response = await client.post("/runs", json=[{"status": "success"}, 7, RECORD])

    answer = await response.json()
    assert (response.status, answer["accepted"], answer["rejected"]) == (200, 1, 2)
    assert '"job_id" is missing' in answer["results"][0]["detail"]
    assert len(await store.runs("daily-report", 9)) == 1


async def test_nothing_but_bad_records_is_an_error(client: Client) -> None:
    response = await client.post("/runs", json=[{"status": "success"}])

    assert response.status == 400


async def test_an_event_of_a_worker_arrives(client: Client, store: MemoryStore) -> None:
    for _ in range(2):
        assert (await client.post("/events", json=EVENT)).status == 200

    (run,) = await store.runs("daily.questmaster", 9)
    assert (run.outcome, run.duration, run.run_id) == ("ok", 1.5, "e-1")
    assert dict(run.metrics) == {"processedCount": 42}


async def test_a_job_that_failed_says_why(client: Client, store: MemoryStore) -> None:
    payload = {"jobId": "sync", "error": {"message": "no such repo"}}
    await client.post("/events", json={"event": "job.failed", "payload": payload})

    (run,) = await store.runs("sync", 9)
    assert (run.outcome, run.message) == ("fail", "no such repo")


async def test_events_of_other_kinds_are_accepted_and_ignored(
    client: Client, service: Service
) -> None:
    response = await client.post("/events", json=[{"type": "sprint.plan.generated"}])

    assert response.status == 200
    assert not service.pings


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [
        "job_id",
        "status",
        "started_at",
        "metrics",
        "id",
        "error",
        "duration_ms",
        "type",
        "event",
        "payload",
        "jobId",
        "executionId",
        "durationMs",
        "result",
        "timestamp",
    ]
)


@given(st.dictionaries(NAMES, JSON))
def test_a_record_is_read_or_refused(record: dict[str, Any]) -> None:
    for reading in (run_report, event_report):
        with contextlib.suppress(PingError):
            reading({**record, "job_id": record.get("job_id", "a")})


@pytest.mark.parametrize(
    "kind",
    [
        "JOB.FAILED",
        "job_failed",
        "jobFailed",
        "task.failed",
        "job.error",
        "job.crashed",
    ],
)
def test_a_failure_is_one_however_it_is_spelt(kind: str) -> None:
    read = event_report({"type": kind, "jobId": "etl"})

    assert read is not None
    assert read[1]["status"] == "fail"
    assert event_report({"type": "deployment.failed"}) is None
