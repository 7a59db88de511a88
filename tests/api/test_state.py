"""The state of all jobs together; disabling and enabling jobs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from afterrun_exporter.core.model import Job, Kind
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.engine.service import Service
from tests.api.test_jobs import asked, refused
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock
from tests.http import Client
from tests.services import job_config


async def test_jobs_are_counted_by_what_is_expected_of_them(
    client: Client, service: Service, clock: ManualClock
) -> None:
    hourly = Job(name="hourly", schedule=parse_cron("0 * * * *", "UTC"), grace=1800.0)
    await service.reconfigure(
        job_config(
            BACKUP,
            hourly,
            Job(name="missed", schedule=Every(60.0), grace=60.0),
            Job(name="long", max_runtime=7200.0),
            Job(name="off", schedule=Every(60.0), enabled=False),
        )
    )
    await service.record(ping("21 12:00", Kind.START, job="long", run_id="r1"))
    await clock.advance(3605.0)
    await service.sweep()

    state = await asked(client, "/api/v1/state")

    assert state["time"] == "2026-11-21T13:00:05Z"
    jobs = {name: count for name, count in state["jobs"].items() if count}
    assert jobs == {"missed": 1, "running": 1, "new": 2, "paused": 1}
    counts = {name: n for name, n in state.items() if isinstance(n, int)}
    assert counts == {
        "unobserved": 0,
        "open_runs": 1,
        "retrying": 0,
        "waiting": 1,
        "due": 1,
        "missed": 1,
    }
    assert state["upcoming"] == [
        {
            "job": "backup",
            "slot": "2026-11-22T02:00:00Z",
            "deadline": "2026-11-22T02:30:00Z",
        }
    ]
    assert state["config_commit"] == ""


async def test_the_soonest_slots_are_listed(client: Client, service: Service) -> None:
    many = [Job(name=f"j{n}", schedule=Every(60.0 * n)) for n in range(30, 0, -1)]
    await service.reconfigure(job_config(*many))

    state = await asked(client, "/api/v1/state?limit=3")

    assert [one["job"] for one in state["upcoming"]] == ["j1", "j2", "j3"]
    assert state["waiting"] == 30
    assert len((await asked(client, "/api/v1/state"))["upcoming"]) == 10


async def test_the_commit_in_use_is_there(client: Client, service: Service) -> None:
    service.note_revision("abc-dirty")

    assert (await asked(client, "/api/v1/state"))["config_commit"] == "abc-dirty"


async def test_a_wrong_limit_is_refused(client: Client) -> None:
    status, detail = await refused(client, "/api/v1/state?limit=0")

    assert (status, "limit" in detail) == (400, True)


async def test_a_disabled_job_is_paused_until_it_is_enabled(
    client: Client, service: Service
) -> None:
    """Both may be repeated, and a pause with an end becomes one without."""
    await client.post("/api/v1/jobs/backup/pause", json={"for": "1h"})
    for _ in range(2):
        response = await client.post("/api/v1/jobs/backup/disable")
        job = await response.json()
        assert (response.status, job["state"], job["enabled"]) == (200, "paused", True)
        assert (job["paused_until"], job["resumes_on_ping"]) == (None, False)

    await service.reconfigure(job_config(BACKUP))
    assert (await asked(client, "/api/v1/jobs/backup"))["state"] == "paused"

    for _ in range(2):
        response = await client.post("/api/v1/jobs/backup/enable")
        job = await response.json()
        assert (response.status, job["state"], job["paused_at"]) == (200, "new", None)


async def test_what_afterrun_yml_disables_is_enabled_there(
    client: Client, service: Service
) -> None:
    off = Job(name="off", enabled=False)
    await service.reconfigure(job_config(BACKUP, off))

    response = await client.post("/api/v1/jobs/off/enable")

    assert response.status == 409
    problem = await response.json(content_type=None)
    assert problem["type"].endswith(":configured-job")
    assert "'enabled: false' in afterrun.yml" in problem["detail"]
    assert (await client.post("/api/v1/jobs/off/disable")).status == 200


async def test_an_unknown_job_is_neither(client: Client) -> None:
    for what in ("enable", "disable"):
        response = await client.post(f"/api/v1/jobs/bakup/{what}")
        assert response.status == 404


async def test_the_state_is_as_documented(
    client: Client, service: Service, clock: ManualClock
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    found = re.search(r"v1/state\?limit=1'\n(\{.*?\})\n```", text, re.DOTALL)
    assert found is not None
    await clock.advance(at("22 03:00") - clock.now())
    await service.record(ping("22 03:00"))
    await clock.advance(at("22 12:00") - clock.now())

    shown = json.loads(found[1].replace("\n", ""))

    assert await asked(client, "/api/v1/state?limit=1") == shown
