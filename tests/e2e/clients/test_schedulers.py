"""Records of schedulers, posted to a real daemon as those would post them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tests.e2e.clients.clients import curl, jobs, runs
from tests.e2e.daemon.daemon import Daemon

RECORD = {
    "job_id": "daily-report",
    "status": "success",
    "started_at": "2026-01-24T08:00:00Z",
    "ended_at": "2026-01-24T08:00:05Z",
    "duration_ms": 5000,
    "metadata": {
        "script_source": "manifest",
        "git_sha": "abc123def456",
        "loaded_at": "2026-01-24T07:00:00Z",
    },
}
TASK = {
    "id": "2b1e8c0a",
    "name": "Ingest A",
    "kind": "data-processing",
    "timeout": 60,
    "status": "Running",
    "metadata": {"tenant_id": "acme"},
}

UPDATES = 2000
AT_ONCE = 8


def test_rows_of_a_table_of_runs_keep_their_times(daemon: Daemon) -> None:
    partial = {**RECORD, "status": "partial", "started_at": "2026-01-25T08:00:00Z"}
    for _ in range(2):
        answer = daemon.post("/runs", [RECORD, partial])
        assert answer.status == 200

    good, bad = runs(daemon, "daily-report")
    assert (good["outcome"], bad["outcome"]) == ("ok", "partial")
    assert good["started_at"] == "2026-01-24T08:00:00Z"
    assert good["duration"] == 5
    assert good["metadata"]["git_sha"] == "abc123def456"


def test_events_of_a_worker_are_runs(daemon: Daemon) -> None:
    for kind, more in (
        ("job.completed", {"durationMs": 1500}),
        ("job.failed", {"error": "no quests"}),
        ("daily.digest", {}),
    ):
        payload = {"jobId": "daily.questmaster", "executionId": kind, **more}
        answer = daemon.post("/events", {"type": kind, "payload": payload})
        assert answer.status == 200

    good, bad = runs(daemon, "daily.questmaster")
    assert (good["outcome"], good["duration"]) == ("ok", 1.5)
    assert (bad["outcome"], bad["message"]) == ("fail", "no quests")


def test_counts_of_items_add_up_exactly_under_load_and_over_a_restart(
    daemon: Daemon,
) -> None:
    daemon.post("/hooks/task/start", TASK)
    update = json.dumps({"task_id": TASK["id"], "new_success": 3, "new_failures": 1})

    def send(count: int) -> None:
        with closing(daemon.connect()) as connection:
            for _ in range(count):
                connection.request("PUT", "/task", update)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200

    with ThreadPoolExecutor(AT_ONCE) as senders:
        list(senders.map(send, [UPDATES // 2 // AT_ONCE] * AT_ONCE))
    daemon.kill()
    daemon.start()
    with ThreadPoolExecutor(AT_ONCE) as senders:
        list(senders.map(send, [UPDATES // 2 // AT_ONCE] * AT_ONCE))
    daemon.post("/hooks/task/success", {**TASK, "status": "Success"})

    (run,) = runs(daemon, "Ingest-A")
    assert run["outcome"] == "ok"
    assert run["metrics"] == {"items_succeeded": 3 * UPDATES, "items_failed": UPDATES}


def test_a_task_is_changed_by_curl(daemon: Daemon) -> None:
    task = f"{daemon.url}/task/{TASK['id']}"
    curl("-d", json.dumps({**TASK, "status": "Pending"}), f"{daemon.url}/task")
    changes: list[dict[str, object]] = [
        {"status": "Running", "new_success": 10},
        {"status": "Running", "new_success": 10, "new_failures": 1},
        {"status": "Failure", "failure_reason": "no space", "new_success": 1},
        {"status": "Running"},
        {"status": "Success", "new_success": 10},
    ]
    for change in changes:
        curl("-X", "PATCH", "-d", json.dumps(change), task)

    bad, good = runs(daemon, "Ingest-A")
    assert (bad["outcome"], bad["attempt"], bad["message"]) == ("fail", 1, "no space")
    assert bad["metrics"] == {"items_succeeded": 21, "items_failed": 1}
    assert (good["outcome"], good["attempt"]) == ("ok", 2)
    assert good["metrics"] == {"items_succeeded": 10}
    late = json.loads(curl("-X", "PATCH", "-d", '{"new_success": 5}', task))
    assert (
        "there is no run whose metrics it could add to"
        in late["results"][0]["warnings"][0]
    )
    assert runs(daemon, "Ingest-A") == [bad, good]


def test_a_task_is_paused_and_canceled_by_curl(daemon: Daemon) -> None:
    curl("-d", json.dumps(TASK), f"{daemon.url}/task")
    curl("-X", "PATCH", f"{daemon.url}/task/pause/{TASK['id']}")
    assert jobs(daemon) == {"Ingest-A": 1}
    curl("-X", "DELETE", f"{daemon.url}/task/{TASK['id']}")

    (run,) = runs(daemon, "Ingest-A")
    assert (run["outcome"], run["run_id"]) == ("canceled", TASK["id"])
    assert jobs(daemon) == {"Ingest-A": 0}
