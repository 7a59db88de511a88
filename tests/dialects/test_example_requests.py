"""What the systems send whose users this serves: each example is accepted whole."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

WEBHOOK: Final = {
    "kind": "Webhook",
    "trigger": "Start",
    "params": {"url": "https://example.com/webhook", "verb": "Post"},
}
CONCURRENCY: Final = {
    "Concurency": {
        "matcher": {"kind": "data-processing", "status": "Running", "fields": []},
        "max_concurency": 5,
    }
}
CREATE: Final = {
    "id": "local-id-1",
    "name": "My Task",
    "kind": "data-processing",
    "timeout": 60,
    "metadata": {"key": "value"},
    "on_start": WEBHOOK,
    "dependencies": [{"id": "local-id-0", "requires_success": True}],
    "on_success": [WEBHOOK],
    "on_failure": [WEBHOOK],
    "rules": [CONCURRENCY],
}
GRAPH: Final = [
    {"id": "ingest-1", "name": "Ingest A"},
    {"id": "ingest-2", "name": "Ingest B"},
    {
        "id": "cluster",
        "name": "Cluster",
        "dependencies": [
            {"id": "ingest-1", "requires_success": True},
            {"id": "ingest-2", "requires_success": False},
        ],
    },
]
RECORD: Final = {
    "job_id": "daily-report",
    "status": "success",
    "started_at": "2026-11-21T11:00:00Z",
    "ended_at": "2026-11-21T11:00:05Z",
    "duration_ms": 5000,
    "metadata": {
        "script_source": "manifest",
        "git_sha": "abc123def456...",
        "loaded_at": "2026-01-24T07:00:00Z",
    },
}
REPORT: Final = {"status": "success", "rows_processed": 42}
COUNT: Final = {"status": "success", "count": 7}
BACKUP: Final = {
    "status": "success",
    "backup_size_mb": 42.5,
    "duration_seconds": 12.5,
    "destination": "s3://bucket/",
}
PARTLY: Final = {"status": "partial", "processed": 3, "errors": ["a: no", "b: no"]}
WHOLLY: Final = {"status": "success", "processed": 3, "errors": []}
PING: Final = {
    "status": "ok",
    "duration_ms": 17,
    "metrics": {"rows_processed": 120, "file_size_bytes": 48211},
}


@pytest.fixture
async def client(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    return await aiohttp_client(app_of(service, clock))


async def post(client: Client, path: str, told: Any) -> list[dict[str, Any]]:
    answer = await client.post(path, data=json.dumps(told))
    assert answer.status == 200, await answer.text()
    made = await answer.json()
    results: list[dict[str, Any]] = made.get("results", [made])
    return results


RETURNED: Final = {
    "report": (REPORT, {"rows_processed": 42}, {}, ""),
    "count": (COUNT, {"count": 7}, {}, ""),
    "backup": (
        BACKUP,
        {"backup_size_mb": 42.5},
        {"destination": "s3://bucket/"},
        "",
    ),
    "partly": (PARTLY, {"processed": 3}, {"errors": None}, "a: no\nb: no"),
    "wholly": (WHOLLY, {"processed": 3}, {}, ""),
}


@pytest.mark.parametrize(
    ("returned", "metrics", "metadata", "message"), RETURNED.values(), ids=RETURNED
)
async def test_all_that_a_job_returns_is_kept_of_its_record(
    client: Client,
    store: MemoryStore,
    returned: dict[str, Any],
    metrics: dict[str, float],
    metadata: dict[str, Any],
    message: str,
) -> None:
    record = {**RECORD, **returned}
    if "duration_seconds" in returned:
        del record["duration_ms"], record["ended_at"]
    (result,) = await post(client, "/runs", record)

    assert result["warnings"] == []
    (run,) = await store.runs("daily-report", 9)
    assert run.outcome == ("partial" if returned is PARTLY else "ok")
    assert dict(run.metrics) == metrics
    assert run.message == message
    kept = {name: value for name, value in metadata.items() if value is not None}
    assert json.loads(run.metadata) == {**RECORD["metadata"], **kept}  # type: ignore[dict-item]


async def test_a_ping_of_the_quick_start_is_accepted(client: Client) -> None:
    (result,) = await post(client, "/ping/backup", PING)

    assert result["outcome"] in {"ok", "violated"}
    assert result["warnings"] == []


@pytest.mark.parametrize(
    ("returned", "metadata", "message"),
    [
        (BACKUP, {"destination": "s3://bucket/"}, ""),
        (PARTLY, {}, "a: no\nb: no"),
        (WHOLLY, {}, ""),
        (
            {**BACKUP, "metadata": {"a": 1}},
            {"destination": BACKUP["destination"], "a": 1},
            "",
        ),
        ({**PARTLY, "message": "mine"}, {}, "mine"),
        ({"status": "fail", "error": "no space"}, {}, "no space"),
    ],
)
async def test_all_texts_that_a_job_returns_are_kept_of_a_ping(
    client: Client,
    store: MemoryStore,
    returned: dict[str, Any],
    metadata: dict[str, Any],
    message: str,
) -> None:
    (result,) = await post(client, "/ping/nightly", returned)

    # Numbers belong under "metrics": a warning says so.
    assert all("report numbers" in warning for warning in result["warnings"])
    (run,) = await store.runs("nightly", 9)
    assert run.message == message
    assert json.loads(run.metadata or "{}") == metadata


async def test_a_task_that_is_created_is_pending(
    client: Client, store: MemoryStore
) -> None:
    (result,) = await post(client, "/task", [CREATE])

    assert (result["job"], result["kind"]) == ("My-Task", "log")
    assert [warning.split()[0] for warning in result["warnings"]] == [
        "dependencies",
        "rules",
    ]
    assert not await store.runs("My-Task", 9)
    assert not store.states["My-Task"].open_runs


async def test_a_graph_of_tasks_is_accepted(client: Client) -> None:
    results = await post(client, "/task", GRAPH)

    assert [one["job"] for one in results] == ["Ingest-A", "Ingest-B", "Cluster"]


async def test_an_update_of_a_task_is_accepted_whole(
    client: Client, store: MemoryStore
) -> None:
    """Its failure_reason is that of a failure, and "required if" it is one."""
    await post(client, "/task", {**CREATE, "status": "Running"})
    update = {
        "status": "Success",
        "new_success": 10,
        "new_failures": 2,
        "metadata": {"updated": True},
    }
    batch = {"task_id": "local-id-1", "new_success": 5, "new_failures": 0}
    assert (await client.put("/task", json=batch)).status == 200
    assert (await client.patch("/task/local-id-1", json=update)).status == 200

    (run,) = await store.runs("My-Task", 9)
    assert (run.outcome, dict(run.metrics)) == (
        "ok",
        {"items_succeeded": 15, "items_failed": 2},
    )


@pytest.mark.parametrize("by_patch", [True, False])
async def test_the_timeout_of_a_task_is_the_limit_of_its_run(
    client: Client,
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    by_patch: bool,
) -> None:
    """Also where only its creation said so, and not the start."""
    await post(client, "/task", [CREATE])
    if by_patch:
        answer = await client.patch("/task/local-id-1", json={"status": "Running"})
        assert answer.status == 200
    else:
        await post(client, "/hooks/task/start", CREATE)

    async def after(seconds: float) -> list[str]:
        clock.show(clock.now() + seconds)
        await service.sweep()
        return [alert.key.condition for alert in store.states["My-Task"].alerts]

    assert await after(60) == []
    assert await after(1) == ["overrunning"]
    answer = await client.patch("/task/local-id-1", json={"status": "Success"})
    assert answer.status == 200
    (run,) = await store.runs("My-Task", 9)
    assert run.outcome == "ok"


async def test_the_shorter_limit_counts(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(store, clock, job_config(Job(name="My-Task", max_runtime=30)))
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    await post(client, "/task", {**CREATE, "status": "Running"})
    clock.show(clock.now() + 31)
    await service.sweep()

    (alert,) = store.states["My-Task"].alerts
    assert alert.key.condition == "overrunning"


@pytest.mark.parametrize("limit", ["60", -1, True, [], 1e12])
async def test_a_timeout_that_is_none_costs_no_report(
    client: Client, store: MemoryStore, limit: Any
) -> None:
    told = {"id": "x", "name": "My Task", "status": "Running", "timeout": limit}
    (result,) = await post(client, "/task", told)

    (warning,) = result["warnings"]
    assert warning.startswith("timeout is ")
    (run,) = store.states["My-Task"].open_runs
    assert run.max_runtime == 0


CLAIMS: Final = {
    "a reason": {"failure_reason": "the disk is full"},
    "an error": {"error": "the disk is full"},
    "an exit code": {"exit_code": 3},
    "an outcome": {"outcome": "failed"},
    "inside": {"result": {"status": "failed"}},
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
async def test_nothing_that_says_failed_is_ok(
    client: Client, store: MemoryStore, claim: dict[str, Any]
) -> None:
    task = {"id": "x", "name": "task", "status": "Success"}
    await post(client, "/task", {**task, **claim})
    await client.patch("/task/x", json={"status": "Success", **claim})
    await post(client, "/runs", {"job_id": "row", "status": "success", **claim})
    payload = {"jobId": "event", **claim}
    await post(client, "/events", {"type": "job.completed", "payload": payload})

    for job in ("task", "row", "event"):
        runs = await store.runs(job, 9)
        assert [run.outcome for run in runs] == ["fail"], job
