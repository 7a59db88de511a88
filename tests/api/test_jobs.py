"""Jobs and runs over the API."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.service import Service
from afterrun_exporter.testing import ManualClock
from tests.changed import replace
from tests.core.jobs import BACKUP
from tests.http import Client
from tests.services import job_config

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
                "retrying": 0,
                "consecutive_failures": 0,
                "unobserved": None,
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


async def test_one_job_tells_what_runs_now(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """And until when it may run, or be silent."""
    job = replace(BACKUP, max_runtime=600.0, heartbeat=120.0)
    await service.reconfigure(job_config(job))
    await client.post("/ping/backup", json={"status": "start", "run_id": "a"})
    (before,) = (await asked(client, "/api/v1/jobs/backup"))["open_runs"]
    await clock.advance(60)
    sign = {
        "status": "progress",
        "run_id": "a",
        "metrics": {"rows": 7},
        "metadata": {"step": 2},
    }
    await client.post("/ping/backup", json=sign)

    found = await asked(client, "/api/v1/jobs/backup")
    (after,) = found["open_runs"]

    assert (found["max_runtime"], found["heartbeat"]) == (600, 120)
    assert (before["last_sign_of_life"], before["deadline"]) == (
        None,
        "2026-11-21T12:10:00Z",
    )
    assert after == {
        "run_id": "a",
        "attempt": 1,
        "started_at": "2026-11-21T12:00:00Z",
        "last_sign_of_life": "2026-11-21T12:01:00Z",
        "deadline": "2026-11-21T12:03:00Z",
        "metrics": {"rows": 7},
        "metadata": {"step": 2},
    }


async def test_the_list_is_read_page_by_page(client: Client, service: Service) -> None:
    """By name; each page says where the next one begins, the last one nothing."""
    jobs = [replace(BACKUP, name=f"job-{n:02}") for n in range(5)]
    await service.reconfigure(job_config(*reversed(jobs)))

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
    await service.reconfigure(job_config(*jobs))

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
        "retrying": False,
        "outcome": "violated",
        "started_at": "2026-11-21T12:00:58Z",
        "finished_at": "2026-11-21T12:01:00Z",
        "received_at": "2026-11-21T12:01:00Z",
        "duration": 1.5,
        "exit_code": None,
        "metrics": {"rows": 0},
        "violations": [
            {
                "rule": "rows > 0",
                "metric": "rows",
                "value": 0,
                "text": None,
                "expected": "> 0",
            },
            {
                "rule": "size > 1KiB",
                "metric": "size",
                "value": None,
                "text": None,
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
        (
            "jobs/backup?x=1",
            400,
            "unknown parameter 'x': no parameters are allowed here",
        ),
        (
            "jobs?state=borken",
            400,
            "unknown state 'borken'; did you mean 'broken'?",
        ),
        ("jobs?limit=0", 400, "limit: 0 is too small: at least 1"),
        (
            "jobs?limit=1001",
            400,
            "limit: 1001 is too large: at most 1000",
        ),
        (
            "jobs/backup/runs?limit=-1",
            400,
            "limit: -1 is too small: at least 1",
        ),
        (
            "jobs?limit=\u0665",
            400,
            "limit: expected a whole number, not '\u0665'",
        ),
        (
            "jobs?limit=1&limit=2",
            400,
            "parameter 'limit' is sent 2 times: send it once",
        ),
        (
            "jobs?state=",
            400,
            "parameter 'state' is empty: set a value or leave it out",
        ),
        ("jobs/bakup", 404, "unknown job 'bakup'; did you mean 'backup'?"),
        (
            "jobs/x/runs",
            404,
            "unknown job 'x': `afterrun jobs` and GET /api/v1/jobs list all jobs",
        ),
    ],
)
async def test_what_cannot_be_answered_says_why(
    client: Client, path: str, status: int, detail: str
) -> None:
    """The value, and the way out."""
    assert await refused(client, f"/api/v1/{path}") == (status, detail)


async def test_a_failed_attempt_is_shown_and_is_no_run(client: Client) -> None:
    report = {"run_id": "r7", "attempt": 1, "max_attempts": 3, "status": "fail"}
    await client.post("/ping/backup", json=report)

    (run,) = (await asked(client, "/api/v1/jobs/backup/runs"))["runs"]
    assert (run["outcome"], run["attempt"], run["retrying"]) == ("fail", 1, True)
    job = await asked(client, "/api/v1/jobs/backup")
    assert (job["state"], job["retrying"], job["alerts"]) == ("retrying", 1, [])
    assert (job["runs"], job["failed_runs"], job["failed_attempts"]) == (0, 0, 1)
    assert job["last_outcome"] is None
    assert await names(client, "state=retrying") == ["backup"]
    assert await names(client, "state=new") == []


async def names(client: Client, query: str) -> list[str]:
    answer = await asked(client, f"/api/v1/jobs?{query}")
    return [job["name"] for job in answer["jobs"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("label=team=data", ["load", "sync"]),
        ("label=team=data&label=env=prod", ["load"]),
        ("label=url=https://x", ["sync"]),
        ("label=team=", []),
        ("project=shop", ["sync"]),
        ("tag=db&tag=big", ["load"]),
        ("q=LO", ["load"]),
        ("q=o&state=paused", ["off"]),
        ("q=nothing", []),
        ("label=team=data&limit=1", ["load"]),
        ("label=team=data&limit=1&after=load", ["sync"]),
    ],
)
async def test_jobs_can_be_chosen_by_what_describes_them(
    client: Client, service: Service, query: str, found: list[str]
) -> None:
    """All that is asked for must hold, on every page."""
    jobs = (
        Job(
            name="load", labels=(("team", "data"), ("env", "prod")), tags=("db", "big")
        ),
        Job(
            name="sync", labels=(("team", "data"), ("url", "https://x")), project="shop"
        ),
        Job(name="off", labels=(("team", "web"),), tags=("db",), enabled=False),
    )
    await service.reconfigure(job_config(*jobs))

    assert await names(client, query) == found


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("label=team", "label 'team' is not a label: write it like team=data"),
        ("label=a:b&label=:x", "label ':x' is not a label: write it like team=data"),
        (
            "tag=db&tag=",
            "parameter 'tag' is empty: set a value or leave it out",
        ),
        ("labels=a:b", "unknown parameter 'labels'; did you mean 'label'?"),
    ],
)
async def test_a_choice_that_cannot_be_made_says_why(
    client: Client, query: str, detail: str
) -> None:
    assert await refused(client, f"/api/v1/jobs?{query}") == (400, detail)


async def test_runs_are_read_page_by_page(client: Client) -> None:
    """Each one once, also where new ones come in between."""
    for n in range(5):
        await client.post("/ping/backup", json={**GOOD, "run_id": str(n)})

    first = await asked(client, "/api/v1/jobs/backup/runs?limit=2")
    await client.post("/ping/backup", json={**GOOD, "run_id": "new"})
    pages = [first]
    while before := pages[-1]["next"]:
        more = f"/api/v1/jobs/backup/runs?limit=2&before={before}"
        pages.append(await asked(client, more))

    numbers = [[run["number"] for run in page["runs"]] for page in pages]
    assert numbers == [[5, 4], [3, 2], [1]]


async def test_the_alerts_of_a_job_are_its_own(
    client: Client, service: Service
) -> None:
    """The same as where all alerts are asked for those of one job."""
    await service.reconfigure(job_config(BACKUP, Job(name="sync")))
    await client.post("/ping/backup", json={"metrics": {"rows": 0, "size": 48211}})
    await client.post("/ping/sync", json={"status": "fail"})

    own = await asked(client, "/api/v1/jobs/backup/alerts?state=open")

    assert [alert["rule"] for alert in own["alerts"]] == ["rows > 0"]
    assert own == await asked(client, "/api/v1/alerts?job=backup")
    status, detail = await refused(client, "/api/v1/jobs/nobody/alerts")
    assert (status, detail) == (404, "unknown job 'nobody': it has no recorded alerts")


async def acted(client: Client, path: str, body: Any = None) -> Any:
    response = await client.post(f"/api/v1/jobs/{path}", json=body)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_job_is_paused_until_it_is_resumed(
    client: Client, clock: ManualClock
) -> None:
    """Nothing is expected of it, and it does not alert. Asking twice is as good."""
    await client.post("/ping/backup", json={"status": "fail"})
    await clock.advance(60)

    response = await client.post("/api/v1/jobs/backup/pause")
    paused = await response.json()
    again = await acted(client, "backup/pause", {})
    await clock.advance(2 * 86_400)
    later = await asked(client, "/api/v1/jobs/backup")
    resumed = await acted(client, "backup/resume")

    assert response.status == 200
    assert (paused["state"], paused["paused_at"]) == ("paused", "2026-11-21T12:01:00Z")
    assert (paused["paused_until"], paused["alerts"]) == (None, [])
    assert (paused["deadline"], paused["enabled"]) == (None, True)
    assert again == paused
    assert (later["state"], later["missed_runs"]) == ("paused", 0)
    assert (resumed["paused_at"], resumed["state"]) == (None, "failing")
    assert resumed["deadline"] == "2026-11-24T02:30:00Z"
    assert await acted(client, "backup/resume") == resumed


@pytest.mark.parametrize(
    ("body", "until"),
    [
        ({"for": "2h"}, "2026-11-21T14:00:00Z"),
        ({"until": "2026-11-21T15:30:00+01:00"}, "2026-11-21T14:30:00Z"),
        ({"until": "9999-12-31T23:59:59Z"}, "9999-12-31T00:00:00Z"),
    ],
)
async def test_a_pause_can_end_by_itself(
    client: Client, clock: ManualClock, body: dict[str, str], until: str
) -> None:
    """At the time that the answer says."""
    paused = await acted(client, "backup/pause", body)
    await clock.advance(3 * 3600)
    state = (await asked(client, "/api/v1/jobs/backup"))["state"]

    assert paused["paused_until"] == until
    assert state == ("paused" if until > "2026-11-21T15" else "new")


async def test_a_report_ends_a_pause_if_it_is_to(client: Client) -> None:
    """Else the job stays paused, whatever it reports."""
    await acted(client, "backup/pause")
    await client.post("/ping/backup", json={**GOOD, "run_id": "1"})
    still = await asked(client, "/api/v1/jobs/backup")
    asked_for = await acted(client, "backup/pause", {"resume_on_ping": True})
    await client.post("/ping/backup", json={**GOOD, "run_id": "2"})

    assert (still["state"], still["resumes_on_ping"]) == ("paused", False)
    assert asked_for["resumes_on_ping"] is True
    assert (await asked(client, "/api/v1/jobs/backup"))["state"] == "ok"


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("bakup/pause", {}, 404, "unknown job 'bakup'; did you mean 'backup'?"),
        ("bakup/resume", {}, 404, "unknown job 'bakup'; did you mean 'backup'?"),
        (
            "backup/pause",
            {"for": "soon"},
            400,
            "for: 'soon' is not a duration; write it like 90s, 15m, 1h30m or 7d",
        ),
        (
            "backup/pause",
            {"for": "10000d"},
            400,
            "for: '10000d' is out of range: use 1s to 3660d",
        ),
        (
            "backup/pause",
            {"until": "tomorrow"},
            400,
            "until: 'tomorrow' is not a time; write it like 2026-11-22T02:00:00Z",
        ),
        (
            "backup/pause",
            {"until": "2026-11-21T11:59:59Z"},
            400,
            "until: '2026-11-21T11:59:59Z' is in the past: use a future time",
        ),
        (
            "backup/pause",
            {"for": "1h", "until": "2026-11-22T00:00:00Z"},
            400,
            "'for' and 'until' cannot be combined: send one of them",
        ),
        (
            "backup/pause",
            {"resume_on_ping": "yes"},
            400,
            "resume_on_ping: expected true or false, not 'yes'",
        ),
        (
            "backup/resume",
            {"now": True},
            400,
            "now: unknown key: remove it",
        ),
    ],
)
async def test_a_pause_that_cannot_be_says_why(
    client: Client, path: str, body: dict[str, Any], status: int, detail: str
) -> None:
    """And the job goes on as it was."""
    response = await client.post(f"/api/v1/jobs/{path}", json=body)

    assert response.status == status
    assert (await response.json(content_type=None))["detail"] == detail
    assert (await asked(client, "/api/v1/jobs/backup"))["paused_at"] is None


async def test_a_job_that_pings_named_can_be_removed(client: Client) -> None:
    """With its alerts; a report brings it back."""
    await client.post("/ping/other", json={"status": "fail"})

    removed = await client.delete("/api/v1/jobs/other")

    assert removed.status == 204
    assert await refused(client, "/api/v1/jobs/other") == (
        404,
        "unknown job 'other': `afterrun jobs` and GET /api/v1/jobs list all jobs",
    )
    (alert,) = (await asked(client, "/api/v1/jobs/other/alerts"))["alerts"]
    assert alert["state"] == "resolved"
    assert (await client.delete("/api/v1/jobs/other")).status == 404
    await client.get("/ping/other")
    assert await names(client, "q=other") == ["other"]


async def test_a_job_of_the_configuration_is_removed_there(client: Client) -> None:
    """Or it would be back with the next reload."""
    response = await client.delete("/api/v1/jobs/backup")

    assert response.status == 409
    problem = await response.json(content_type=None)
    assert problem["type"] == "urn:afterrun:problem:configured-job"
    assert problem["detail"] == (
        "job 'backup' is defined in afterrun.yml; remove it there"
    )
    assert await names(client, "") == ["backup"]
