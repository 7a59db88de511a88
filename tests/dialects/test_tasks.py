"""Tasks of a task runner."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.auth.callers import ANYBODY
from afterrun_exporter.core.model import Concurrency, Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.dialects.tasks.task_fields import report_of
from afterrun_exporter.dialects.tasks.task_index import TaskIndex
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError, UnknownJobError
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

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


async def patch(client: Client, **change: Any) -> dict[str, Any]:
    response = await client.patch("/task/6f1c", json=change)
    assert response.status == 200
    return (await response.json())["results"][-1]  # type: ignore[no-any-return]


async def test_counts_add_up_whatever_status_comes_with_them(
    client: Client, store: MemoryStore
) -> None:
    await client.post("/task", json=TASK)
    for status in ("Running", "Running", "Paused", "Success"):
        answer = await patch(client, status=status, new_success=10)
        assert not answer["duplicate"]

    (run,) = await store.runs("Cluster-A", 9)
    assert dict(run.metrics) == {"items_succeeded": 40}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_counts_may_come_with_the_start_itself(
    client: Client, store: MemoryStore, method: str
) -> None:
    path = {"POST": "/task", "PATCH": "/task/6f1c"}[method]
    await client.post("/task", json={**TASK, "status": "Pending"})
    await client.request(method, path, json={**TASK, "new_failures": 3})
    await patch(client, status="Success", new_success=4)

    (run,) = await store.runs("Cluster-A", 9)
    assert dict(run.metrics) == {"items_succeeded": 4, "items_failed": 3}


@pytest.mark.parametrize(
    ("changes", "items"),
    [
        ([{"status": "Success", "success": 7, "failures": 0}], (7, 0)),
        ([{"success": 7}, {"new_success": 2}, {"status": "Success"}], (9, 1)),
        ([{"status": "Success", "success": 7, "new_success": 2}], (7, 1)),
        ([{"status": "Success", "success": 7, "new_failures": 2}], (7, 3)),
        # The start of a task whose counts came before it.
        ([{"status": "Running", "success": 0}, {"status": "Success"}], (5, 1)),
    ],
)
async def test_totals_stand_for_all_that_was_counted(
    client: Client,
    store: MemoryStore,
    changes: list[dict[str, Any]],
    items: tuple[int, int],
) -> None:
    await client.post("/task", json=TASK)
    await put(client, {"task_id": "6f1c", "new_success": 5, "new_failures": 1})
    for change in changes:
        await patch(client, **change)

    (run,) = await store.runs("Cluster-A", 9)
    succeeded, failed = items
    assert run.metrics == {"items_succeeded": succeeded, "items_failed": failed}


async def test_counts_after_the_end_change_nothing_and_are_told(
    client: Client, store: MemoryStore
) -> None:
    await client.post("/task", json=TASK)
    await patch(client, status="Success", new_success=100)
    answer = await patch(client, new_success=5)

    assert "this is recorded in the log only" in answer["warnings"][0]
    assert store.states["Cluster-A"].metrics == {"items_succeeded": 100}
    (run,) = await store.runs("Cluster-A", 9)
    assert dict(run.metrics) == {"items_succeeded": 100}


def statuses(*words: str) -> list[dict[str, Any]]:
    return [{**TASK, "status": word} for word in words]


@pytest.mark.parametrize("together", [True, False])
async def test_a_task_is_tried_again_under_its_id(
    client: Client, service: Service, store: MemoryStore, together: bool
) -> None:
    tried = statuses("Running", "Failure", "Running", "Canceled", "Running", "Success")
    for tasks in [tried] if together else tried:
        assert (await client.post("/task", json=tasks)).status == 200

    runs = await store.runs("Cluster-A", 9)
    assert [(run.attempt, run.outcome) for run in reversed(runs)] == [
        (1, "fail"),
        (2, "canceled"),
        (3, "ok"),
    ]
    state = service.state("Cluster-A")
    assert state is not None
    assert (state.consecutive_failures, state.alerts, state.open_runs) == (0, (), ())


async def test_a_task_is_tried_again_after_a_restart(
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    store: MemoryStore,
) -> None:
    for status in ("Running", "Failure", "Running", "Success"):
        client = await aiohttp_client(app_of(service, clock))
        await client.post("/task", json=statuses(status))

    runs = await store.runs("Cluster-A", 9)
    assert [run.outcome for run in runs] == ["ok", "fail"]


@pytest.mark.parametrize(
    "words",
    [
        ("Running", "Success", "Running"),
        ("Running", "Failure", "Failure", "Success"),
        ("Running", "Running", "Failure"),
    ],
)
async def test_what_is_sent_twice_or_late_is_no_other_attempt(
    client: Client, service: Service, store: MemoryStore, words: tuple[str, ...]
) -> None:
    for task in statuses(*words):
        await client.post("/task", json=task)

    (run,) = await store.runs("Cluster-A", 9)
    assert run.attempt == 1
    state = service.state("Cluster-A")
    assert state is not None
    assert state.open_runs == ()


async def test_counts_are_of_the_attempt_that_is_under_way(
    client: Client, store: MemoryStore
) -> None:
    for task in statuses("Running", "Failure", "Running"):
        await client.post("/task", json=task)
        await put(client, {"task_id": "6f1c", "new_success": 2})
    await patch(client, status="Success")

    second, first = await store.runs("Cluster-A", 9)
    assert (first.metrics, second.metrics) == ({"items_succeeded": 2},) * 2


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


async def test_a_task_that_was_refused_is_unknown(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(store, clock, job_config(unknown=None))
    client = await aiohttp_client(app_of(service, clock))
    assert (await client.post("/task", json=TASK)).status == 400

    assert (await client.delete("/task/6f1c")).status == 404


@pytest.fixture
def pushed(service: Service, clock: ManualClock) -> PushedMetrics:
    return PushedMetrics(MemoryStore(), service, clock)


async def test_of_tasks_that_were_forgotten_the_open_ones_are_found(
    client: Client, service: Service, clock: ManualClock, pushed: PushedMetrics
) -> None:
    for number in range(9):
        await client.post("/task", json={**TASK, "id": f"t{number}"})
    tasks = TaskIndex(DialectContext(service, clock, pushed), limit=3)
    for number in range(9):
        assert await tasks.job_of(f"t{number}", ANYBODY) == "Cluster-A"
        tasks.note(f"more{number}", "Cluster-A")


async def test_an_unknown_task_is_looked_for_once(
    client: Client,
    service: Service,
    clock: ManualClock,
    pushed: PushedMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or clients with invented ids would keep the daemon busy."""
    await client.post("/task", json=TASK)
    searched, state = list[str](), service.state

    def noted(name: str) -> JobState | None:
        searched.append(name)
        return state(name)

    monkeypatch.setattr(service, "state", noted)
    tasks = TaskIndex(DialectContext(service, clock, pushed))
    for _ in range(3):
        with pytest.raises(UnknownJobError, match="unknown task 'nobody'"):
            await tasks.job_of("nobody", ANYBODY)

    assert sorted(searched) == ["Cluster-A", "backup"]


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
    service = Service(store, clock, job_config(job))
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    for number in (1, 2):
        await client.post("/task", json={**TASK, "id": f"t{number}"})

    state = service.state("Cluster-A")
    assert state is not None
    assert [alert.key.condition for alert in state.alerts] == ["overlapping"]


@pytest.mark.parametrize("status", ["Failure", "FAILED", "error"])
async def test_a_failed_task_is_no_success_whatever_the_webhook(
    client: Client, store: MemoryStore, status: str
) -> None:
    await client.post("/hooks/task/success", json={**TASK, "status": status})

    (run,) = await store.runs("Cluster-A", 9)
    assert run.outcome == "fail"
