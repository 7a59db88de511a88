"""Runs and alerts of one job, over the API."""

from __future__ import annotations

from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.service import Service
from tests.api.test_jobs import GOOD, asked, names, refused
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock
from tests.http import Client
from tests.services import job_config


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
                "actual": "0",
                "expected": "> 0",
            },
            {
                "rule": "size > 1KiB",
                "metric": "size",
                "value": None,
                "text": None,
                "actual": None,
                "expected": "> 1 KiB",
            },
        ],
        "message": "nothing to do?",
        "metadata": {"host": "db1"},
        "config_commit": "",
    }


async def test_as_many_runs_as_are_asked_for(client: Client) -> None:
    """And 20 otherwise."""
    for n in range(25):
        await client.post("/ping/backup", json={**GOOD, "run_id": str(n)})

    usual = await asked(client, "/api/v1/jobs/backup/runs")
    few = await asked(client, "/api/v1/jobs/backup/runs?limit=3")

    assert (len(usual["runs"]), len(few["runs"])) == (20, 3)


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


async def test_runs_are_selected_by_their_outcome(
    client: Client, clock: ManualClock
) -> None:
    """Those of one job, and those of all."""
    for status in ("ok", "timeout", "fail"):
        await client.post("/ping/backup", json={**GOOD, "status": status})
        await clock.advance(60)
    await client.post("/ping/sync", json={"status": "timeout"})

    own = await asked(client, "/api/v1/jobs/backup/runs?outcome=timeout&outcome=ok")
    every = await asked(client, "/api/v1/runs?outcome=timeout")
    page = await asked(client, "/api/v1/runs?limit=1")
    assert page["runs_per_job"] == 1000
    following = await asked(client, f"/api/v1/runs?limit=9&before={page['next']}")

    assert [run["outcome"] for run in own["runs"]] == ["timeout", "ok"]
    assert [run["job"] for run in every["runs"]] == ["sync", "backup"]
    assert [run["job"] for run in page["runs"]] == ["sync"]
    assert [run["number"] for run in following["runs"]] == [3, 2, 1]
    assert following["next"] is None
    code, detail = await refused(client, "/api/v1/runs?outcome=fial")
    assert (code, detail[:22]) == (400, "unknown outcome 'fial'")


async def test_the_open_runs_of_all_jobs_are_listed(client: Client) -> None:
    """By the names of the jobs, those of one job on the same page."""
    for job, run in (("sync", "1"), ("backup", "1"), ("sync", "2")):
        body = {"status": "start", "run_id": run}
        await client.post(f"/ping/{job}", json=body)

    page = await asked(client, "/api/v1/runs/open?limit=1")
    following = await asked(client, f"/api/v1/runs/open?limit=1&after={page['next']}")

    assert [(run["job"], run["run_id"]) for run in page["runs"]] == [("backup", "1")]
    assert page["next"] == "backup"
    assert [run["run_id"] for run in following["runs"]] == ["1", "2"]
    assert following["next"] is None


async def test_a_page_of_runs_with_long_texts_is_short(client: Client) -> None:
    """Each takes a turn of the event loop; the rest is on the next pages."""
    for n in range(5):
        report = {**GOOD, "run_id": str(n), "metadata": {"log": "x" * 900_000}}
        await client.post("/ping/backup", json=report)

    for where in ("/api/v1/jobs/backup/runs", "/api/v1/runs"):
        pages, before = [], ""
        while True:
            answer = await asked(client, f"{where}?limit=1000{before}")
            pages.append([run["run_id"] for run in answer["runs"]])
            if answer["next"] is None:
                break
            before = f"&before={answer['next']}"

        assert pages == [["4", "3", "2"], ["1", "0"]]
