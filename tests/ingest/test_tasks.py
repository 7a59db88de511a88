"""Tasks of a task runner."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.model import Concurrency, Job
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.tasks import report_of
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import catalogue

TASK = {
    "id": "6f1c",
    "name": "Cluster A",
    "kind": "data-processing",
    "status": "Running",
    "metadata": {"tenant_id": "acme"},
}


async def put(client: Client, *updates: dict[str, Any]) -> int:
    return (await client.put("/task", json=list(updates))).status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("Pending", "log"),
        ("Waiting", "log"),
        ("Paused", "log"),
        ("Running", "start"),
        ("Success", "ok"),
        ("Failure", "fail"),
        ("Canceled", "canceled"),
    ],
)
def test_a_status_is_an_event_of_a_run(status: str, kind: str) -> None:
    job, fields = report_of({**TASK, "status": status}, None)

    assert (job, fields["status"]) == ("Cluster-A", kind)
    assert fields["metadata"] == {"tenant_id": "acme", "kind": "data-processing"}


def test_a_webhook_says_what_its_task_does_not() -> None:
    _, fields = report_of({**TASK, "status": "Running"}, "failure")

    assert fields["status"] == "fail"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": None}, '"name" is missing'),
        ({"name": "///"}, "cannot be the name of a job"),
        ({"status": "Done"}, "unknown status 'Done' of a task"),
        ({"status": "Success", "success": -1}, "success is -1: expected a count"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused(
    more: dict[str, Any], message: str
) -> None:
    with pytest.raises(PingError, match=message):
        report_of({**TASK, **more}, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*TASK, "success", "failure_reason"]), JSON))
def test_a_task_is_a_report_or_refused(task: dict[str, Any]) -> None:
    with contextlib.suppress(PingError):
        report_of(task, None)


async def test_counts_of_items_add_up_during_a_run(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    assert (await client.post("/task", json=TASK)).status == 200
    update = {"task_id": "6f1c", "new_success": 5, "new_failures": 1}
    assert await put(client, update) == 200
    assert await put(client, update, {"task_id": "6f1c", "new_success": 2}) == 200
    clock.show(clock.now() + 60)
    done = {"status": "Success", "new_success": 10, "new_failures": 2}
    assert (await client.patch("/task/6f1c", json=done)).status == 200

    (run,) = await store.runs("Cluster-A", 9)
    assert (run.outcome, run.duration, run.run_id) == ("ok", 60, "6f1c")
    assert dict(run.metrics) == {"items_succeeded": 22, "items_failed": 4}


async def test_no_update_is_lost_among_many(client: Client, store: MemoryStore) -> None:
    await client.post("/task", json=TASK)
    update = {"task_id": "6f1c", "new_success": 1, "new_failures": 2}
    answers = await asyncio.gather(*(put(client, update) for _ in range(200)))
    assert set(answers) == {200}
    await client.post("/hooks/task/success", json={**TASK, "status": "Success"})

    (run,) = await store.runs("Cluster-A", 9)
    assert dict(run.metrics) == {"items_succeeded": 200, "items_failed": 400}


async def test_a_restart_does_not_lose_the_task(
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    store: MemoryStore,
) -> None:
    before = await aiohttp_client(app_of(service, clock))
    await before.post("/task", json=TASK)
    await put(before, {"task_id": "6f1c", "new_success": 5})
    after = await aiohttp_client(app_of(service, clock))
    assert await put(after, {"task_id": "6f1c", "new_success": 5}) == 200
    await after.patch("/task/6f1c", json={"status": "Failure", "failure_reason": "x"})

    (run,) = await store.runs("Cluster-A", 9)
    assert (run.outcome, run.message) == ("fail", "x")
    assert dict(run.metrics) == {"items_succeeded": 10}


async def test_an_unknown_task_is_refused(client: Client) -> None:
    done = {"status": "Success"}
    assert (await client.patch("/task/nobody", json=done)).status == 404
    assert (await client.delete("/task/nobody")).status == 404
    assert await put(client, {"task_id": "nobody", "new_success": 1}) == 400


@pytest.mark.parametrize("body", ["[]", "7", "x", '{"status": "Done"}', "[1, 2]"])
async def test_a_change_that_is_none_is_refused(client: Client, body: str) -> None:
    await client.post("/task", json=TASK)

    assert (await client.patch("/task/6f1c", data=body)).status == 400


async def test_a_task_is_paused_and_canceled(
    client: Client, store: MemoryStore
) -> None:
    await client.post("/task", json=[TASK])
    assert (await client.patch("/task/pause/6f1c")).status == 200
    assert await store.runs("Cluster-A", 9) == []
    assert (await client.delete("/task/6f1c")).status == 200

    (run,) = await store.runs("Cluster-A", 9)
    assert run.outcome == "canceled"


@pytest.mark.parametrize("by", ["tenant_id", "metadata.tenant_id", "kind"])
async def test_tasks_of_one_tenant_may_not_overlap(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient, by: str
) -> None:
    job = Job(name="Cluster-A", concurrency=Concurrency(max=1, by=by))
    service = Service(store, clock, catalogue(job))
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    for number in (1, 2):
        await client.post("/task", json={**TASK, "id": f"t{number}"})

    state = service.state("Cluster-A")
    assert state is not None
    assert [alert.key.condition for alert in state.alerts] == ["overlapping"]
