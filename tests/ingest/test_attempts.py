"""Attempts over HTTP: what the job is told, and what becomes of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from afterrun_exporter.core.model import Outcome, SuccessRatio
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import BACKUP, GOOD, at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client
from tests.services import job_config

FAILED = {"run_id": "a", "attempt": 1, "max_attempts": 3, "status": "fail"}
OK = {**FAILED, "attempt": 2, "status": "ok", "metrics": GOOD}


async def send(client: Client, report: Mapping[str, Any]) -> dict[str, Any]:
    """Send a report of the backup and return the answer."""
    response = await client.post("/ping/backup", json=report)
    assert response.status == 200
    answer: dict[str, Any] = await response.json()
    return answer


def totals(service: Service) -> tuple[int, int, int]:
    """Return runs, failures and attempts of the backup."""
    state = service.state("backup")
    assert state is not None
    return state.runs_total, state.failures_total, state.attempts_total


async def test_the_answer_says_that_the_run_waits_and_until_when(
    client: Client, service: Service
) -> None:
    answer = await send(client, FAILED)
    assert answer["outcome"] == "fail"
    assert answer["retrying"] is True
    assert answer["retry_by"] == "2026-11-21T14:00:00Z"

    again = await send(client, FAILED)
    assert (again["duplicate"], again["retrying"]) == (True, True)

    assert "retrying" not in await send(client, OK)
    assert totals(service) == (1, 0, 1)


async def test_the_clock_judges_what_is_not_tried_again(
    client: Client, service: Service, clock: ManualClock, store: MemoryStore
) -> None:
    await send(client, {**FAILED, "message": "disk full", "exit_code": 4})
    await clock.advance(7200)
    await service.sweep()
    assert totals(service) == (0, 0, 1)

    await clock.advance(1)
    await service.sweep()

    assert totals(service) == (1, 1, 1)
    (alert,) = await store.alerts()
    assert alert.summary.endswith("was reported by 2026-11-21T14:00:00Z: disk full")
    run, attempt = await store.runs("backup", 9)
    assert (run.number, run.exit_code, run.is_retried) == (2, 4, False)
    assert (attempt.number, attempt.is_retried) == (1, True)
    assert (await send(client, OK))["duplicate"] is False
    assert service.state("backup").alerts == ()  # type: ignore[union-attr]


@pytest.mark.parametrize("lines", [True, False])
async def test_all_attempts_may_come_in_one_batch(
    client: Client, service: Service, lines: bool
) -> None:
    reports = [
        {
            "job": "backup",
            **FAILED,
            "attempt": number,
            "ended_at": at(f"21 11:0{number}"),
        }
        for number in (1, 2, 3)
    ]
    reports = [reports[2], reports[0], reports[1], reports[0]]
    body = (
        "\n".join(json.dumps(report) for report in reports)
        if lines
        else json.dumps(reports)
    )
    response = await client.post("/ping", data=body)

    results = (await response.json())["results"]
    assert [one.get("retrying", False) for one in results] == [False, True, True, True]
    assert [one["duplicate"] for one in results] == [False, False, False, True]
    assert totals(service) == (1, 1, 2)


async def test_a_record_of_a_run_may_be_of_an_attempt(
    client: Client, service: Service
) -> None:
    record = {**FAILED, "job_id": "backup", "started_at": at("21 11:00")}
    await client.post("/runs", json=[record, {**record, "attempt": 2}])

    assert totals(service) == (0, 0, 2)


async def test_an_event_may_be_of_an_attempt(client: Client, service: Service) -> None:
    payload = {"jobId": "backup", "executionId": "e", "attempt": 1, "maxAttempts": 2}
    await client.post("/events", json={"type": "job.failed", "payload": payload})

    assert totals(service) == (0, 0, 1)


async def test_what_is_in_the_configuration_holds_for_every_dialect(
    client: Client, service: Service
) -> None:
    await service.reconfigure(job_config(replace(BACKUP, max_attempts=3)))
    for way in ("fail", "1"):
        await client.post(f"/ping/backup/{way}")
    assert totals(service) == (0, 0, 2)

    await client.post("/ping/backup/2")

    assert totals(service) == (1, 1, 2)


async def test_a_restart_forgets_no_attempt_and_counts_none(
    client: Client, service: Service, store: MemoryStore, clock: ManualClock
) -> None:
    """Neither in the states nor in the history that is made of the stored runs."""
    job = replace(BACKUP, success_ratio=SuccessRatio(below=1, over=86400.0))
    await service.reconfigure(job_config(job))
    for number in range(5):
        for report in (FAILED, {**FAILED, "attempt": 2}, {**OK, "attempt": 3}):
            await send(client, {**report, "run_id": f"r{number}"})
            await clock.advance(60)
    await send(client, FAILED)

    again = Service(store, clock, job_config(job))
    await again.start()

    state = again.state("backup")
    assert state is not None
    assert state.success_ratio is not None
    assert (state.success_ratio.ok, state.success_ratio.runs) == (5, 5)
    assert len(state.retries) == 1
    ended = (await store.endings(["backup"], 20))["backup"]
    assert [one.outcome for one in ended] == [Outcome.OK] * 5


@pytest.mark.parametrize(
    "key", ["scheduled_time", "scheduled_at", "scheduledTime", "scheduledFor"]
)
class TestAScheduledTime:
    RECORD: ClassVar = {"job_id": "backup", "status": "success"}

    async def test_is_the_key_of_a_record_without_an_id(
        self, client: Client, store: MemoryStore, key: str
    ) -> None:
        same = ["2026-11-21T02:00:00Z", "2026-11-21T04:00:00+02:00", at("21 02:00")]
        records = [
            {**self.RECORD, key: due, "started_at": at("21 02:00") + place}
            for place, due in enumerate(same)
        ]
        other = {**self.RECORD, key: "2026-11-20T02:00:00Z"}
        response = await client.post("/runs", json=[*records, other])

        results = (await response.json())["results"]
        assert [one["duplicate"] for one in results] == [False, True, True, False]
        assert results[0]["run_id"] == "2026-11-21T02:00:00Z"
        assert [dict(run.metrics) for run in await store.runs("backup", 9)] == [{}, {}]

    async def test_is_that_of_all_attempts_of_a_run(
        self, client: Client, service: Service, key: str
    ) -> None:
        record = {**self.RECORD, "max_attempts": 3, key: at("21 02:00")}
        failed = {**record, "status": "failed"}
        await client.post(
            "/runs",
            json=[
                {**failed, "attempt": 1},
                {**failed, "attempt": 1},
                {**record, "attempt": 2},
            ],
        )

        state = service.state("backup")
        assert state is not None
        assert (state.runs_total, state.attempts_total) == (1, 1)
        assert state.duplicates_total == 1
        assert state.failures_total == 0

    async def test_is_no_key_where_there_is_an_id(
        self, client: Client, key: str
    ) -> None:
        records = [
            {**self.RECORD, "run_id": run_id, key: at("21 02:00")} for run_id in "ab"
        ]
        response = await client.post("/runs", json=records)

        results = (await response.json())["results"]
        assert [one["duplicate"] for one in results] == [False, False]

    async def test_joins_the_start_and_the_end_of_a_run(
        self, client: Client, store: MemoryStore, key: str
    ) -> None:
        record = {**self.RECORD, key: at("21 02:00"), "started_at": at("21 02:01")}
        await client.post("/runs", json={**record, "status": "running"})
        await client.post("/runs", json={**record, "ended_at": at("21 02:03")})

        (run,) = await store.runs("backup", 9)
        assert run.duration == 120
        assert store.states["backup"].open_runs == ()


async def test_a_scheduled_time_that_is_none_is_a_key_all_the_same(
    client: Client,
) -> None:
    records = [
        {"job_id": "backup", "status": "success", "scheduled_time": due}
        for due in ("nightly", "nightly", 1.5, 1.25, True, None, "")
    ]
    response = await client.post("/runs", json=records)

    answers = (await response.json())["results"]
    assert [one["run_id"] for one in answers[:4]] == [
        "nightly",
        "nightly",
        "1.5",
        "1.25",
    ]
    assert [one["duplicate"] for one in answers[:4]] == [False, True, False, False]
