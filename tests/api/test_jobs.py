"""Jobs and runs over the API."""

from __future__ import annotations

from typing import Any

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import (
    Every,
    Schedule,
    parse_cron,
    parse_oncalendar,
)
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock
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
        "last_day": None,
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


@pytest.mark.parametrize(
    ("schedule", "syntax", "expressions", "exclude", "words"),
    [
        (None, None, [], [], ""),
        (Every(3600), "every", [], [], "every 1h"),
        (
            parse_cron(["0 9 * * 1-5", "0 10 * * 6"], "UTC", ("holidays DE-BY",)),
            "cron",
            ["0 9 * * 1-5", "0 10 * * 6"],
            ["holidays DE-BY"],
            (
                "Monday to Friday at 09:00 and Saturday at 10:00, except public holidays "
                "in DE-BY"
            ),
        ),
        (
            parse_oncalendar("weekly", "UTC"),
            "oncalendar",
            ["weekly"],
            [],
            "Monday at 00:00",
        ),
    ],
)
async def test_one_job_tells_the_parts_of_its_schedule(
    client: Client,
    service: Service,
    schedule: Schedule | None,
    syntax: str | None,
    expressions: list[str],
    exclude: list[str],
    words: str,
) -> None:
    await service.reconfigure(job_config(replace(BACKUP, schedule=schedule)))

    job = await asked(client, "/api/v1/jobs/backup")

    assert job["schedule"] == (schedule.text if schedule else None)
    assert (job["schedule_syntax"], job["expressions"]) == (syntax, expressions)
    assert (job["exclude"], job["schedule_in_words"]) == (exclude, words)


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


async def test_a_job_has_figures_of_its_last_day_and_its_alert_settings(
    client: Client, clock: ManualClock
) -> None:
    for number, (status, seconds) in enumerate((("ok", 3), ("canceled", 9), ("ok", 5))):
        report = {**GOOD, "status": status, "duration_seconds": seconds}
        await client.post("/ping/backup", json={**report, "run_id": str(number)})
    await client.post("/ping/backup", json={"status": "fail", "run_id": "x"})

    job = await asked(client, "/api/v1/jobs/backup")
    await clock.advance(86_401)
    later = await asked(client, "/api/v1/jobs/backup")

    assert job["last_day"] == {
        "runs": 4,
        "ok_ratio": 0.666667,
        "median": 4,
        "longest": 5,
    }
    assert (later["last_day"]["runs"], later["last_day"]["ok_ratio"]) == (0, None)
    assert [(one["kind"], one["severity"]) for one in job["alert_settings"]] == [
        ("missed", "warning"),
        ("failing", "warning"),
        ("violated", "warning"),
    ]
    assert job["runs_by_outcome"] == {"ok": 2, "fail": 1, "canceled": 1}
