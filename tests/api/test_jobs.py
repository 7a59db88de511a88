"""Jobs and runs over the API."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.service import Service
from afterrun_exporter.testing import ManualClock
from tests.changed import replace
from tests.core.jobs import BACKUP
from tests.http import Client
from tests.services import catalogue

GOOD = {"metrics": {"rows": 120, "size": 48211}}


async def asked(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def refused(client: Client, path: str) -> tuple[int, str]:
    response = await client.get(path)
    assert response.content_type == "application/problem+json"
    return response.status, (await response.json(content_type=None))["detail"]


async def test_a_job_that_never_ran_has_every_field(client: Client) -> None:
    """None stands for what has not happened."""
    answer = await asked(client, "/api/v1/jobs")

    assert answer == {
        "jobs": [
            {
                "name": "backup",
                "state": "new",
                "severity": "warning",
                "labels": {},
                "project": "",
                "tags": [],
                "schedule": "0 2 * * *",
                "timezone": "UTC",
                "last_run": None,
                "last_outcome": None,
                "last_success": None,
                "next_slot": "2026-11-22T02:00:00Z",
                "deadline": "2026-11-22T02:30:00Z",
                "paused_at": None,
                "paused_until": None,
                "running": 0,
                "consecutive_failures": 0,
                "alerts": [],
            }
        ],
        "next": None,
    }


async def test_a_job_shows_what_is_wrong_with_it(client: Client) -> None:
    """The conditions that hold, each under the name of its alert."""
    await client.post("/ping/backup", json={"metrics": {"rows": 0, "size": 48211}})

    (job,) = (await asked(client, "/api/v1/jobs"))["jobs"]

    assert (job["state"], job["last_outcome"]) == ("violated", "violated")
    assert job["alerts"] == [
        {
            "kind": "violated",
            "alertname": "AfterRunJobRuleViolated",
            "rule": "rows > 0",
            "opened_at": "2026-11-21T12:00:00Z",
        }
    ]


async def test_one_job_tells_more_of_itself(client: Client) -> None:
    """What a list would be too long for."""
    await client.post("/ping/backup", json=GOOD)

    job = await asked(client, "/api/v1/jobs/backup")

    assert job["name"] == "backup"
    assert job["rules"] == ["rows > 0", "size > 1KiB"]
    assert job["metrics"] == {"rows": 120, "size": 48211}
    assert (job["runs"], job["missed_runs"]) == (1, 0)


async def test_the_list_is_read_page_by_page(client: Client, service: Service) -> None:
    """By name; each page says where the next one begins, the last one nothing."""
    jobs = [replace(BACKUP, name=f"job-{n:02}") for n in range(5)]
    await service.reconfigure(catalogue(*reversed(jobs)))

    pages, after = [], ""
    while True:
        page = await asked(client, f"/api/v1/jobs?limit=2{after}")
        pages.append([job["name"] for job in page["jobs"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert pages == [["job-00", "job-01"], ["job-02", "job-03"], ["job-04"]]


async def test_jobs_can_be_chosen_by_their_state(
    client: Client, service: Service
) -> None:
    """A page of them is full even where most jobs are in another state."""
    jobs = [Job(name=f"job-{n:04}", enabled=n % 700 != 0) for n in range(2101)]
    await service.reconfigure(catalogue(*jobs))

    page = await asked(client, "/api/v1/jobs?state=paused&limit=3")

    assert [job["name"] for job in page["jobs"]] == ["job-0000", "job-0700", "job-1400"]
    assert page["next"] == "job-1400"


async def test_runs_come_newest_first(client: Client, clock: ManualClock) -> None:
    """With what was reported and what was made of it."""
    await client.post("/ping/backup", json=GOOD)
    await clock.advance(60)
    report = {
        "run_id": "second",
        "duration_seconds": 1.5,
        "metrics": {"rows": 0},
        "message": "nothing to do?",
        "metadata": {"host": "db1"},
    }
    await client.post("/ping/backup", json=report)

    answer = await asked(client, "/api/v1/jobs/backup/runs")

    assert answer["job"] == "backup"
    assert [run["number"] for run in answer["runs"]] == [2, 1]
    assert answer["runs"][0] == {
        "number": 2,
        "run_id": "second",
        "attempt": 1,
        "max_attempts": None,
        "outcome": "violated",
        "started_at": "2026-11-21T12:00:58Z",
        "finished_at": "2026-11-21T12:01:00Z",
        "received_at": "2026-11-21T12:01:00Z",
        "duration": 1.5,
        "exit_code": None,
        "metrics": {"rows": 0},
        "violations": [
            {"rule": "rows > 0", "metric": "rows", "value": 0, "expected": "> 0"},
            {
                "rule": "size > 1KiB",
                "metric": "size",
                "value": None,
                "expected": "> 1024",
            },
        ],
        "message": "nothing to do?",
        "metadata": {"host": "db1"},
    }


async def test_as_many_runs_as_are_asked_for(client: Client) -> None:
    """And 20 otherwise."""
    for n in range(25):
        await client.post("/ping/backup", json={**GOOD, "run_id": str(n)})

    usual = await asked(client, "/api/v1/jobs/backup/runs")
    few = await asked(client, "/api/v1/jobs/backup/runs?limit=3")

    assert (len(usual["runs"]), len(few["runs"])) == (20, 3)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("jobs?stat=ok", 400, "unknown parameter 'stat'; did you mean 'state'?"),
        (
            "jobs?x=1",
            400,
            "unknown parameter 'x': use state, label, project, tag, q, limit, after",
        ),
        ("jobs/backup?x=1", 400, "unknown parameter 'x': none is read here"),
        (
            "jobs?state=broken",
            400,
            (
                "unknown state 'broken': use one of paused, missed, failing, violated, "
                "new, ok"
            ),
        ),
        ("jobs?limit=0", 400, "limit '0' is out of range: use a number from 1 to 1000"),
        (
            "jobs?limit=1001",
            400,
            "limit '1001' is out of range: use a number from 1 to 1000",
        ),
        (
            "jobs/backup/runs?limit=-1",
            400,
            "limit '-1' is out of range: use a number from 1 to 1000",
        ),
        (
            "jobs?limit=\u0665",
            400,
            "limit '\u0665' is out of range: use a number from 1 to 1000",
        ),
        (
            "jobs?limit=1&limit=2",
            400,
            "parameter 'limit' is given 2 times: give it once",
        ),
        (
            "jobs?state=",
            400,
            "parameter 'state' is empty: give it a value or leave it out",
        ),
        ("jobs/bakup", 404, "unknown job 'bakup'; did you mean 'backup'?"),
        (
            "jobs/x/runs",
            404,
            "unknown job 'x': `afterrun jobs` or GET /api/v1/jobs lists those there are",
        ),
    ],
)
async def test_what_cannot_be_answered_says_why(
    client: Client, path: str, status: int, detail: str
) -> None:
    """The value, and the way out."""
    assert await refused(client, f"/api/v1/{path}") == (status, detail)
