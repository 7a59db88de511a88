"""Jobs are paused, resumed and removed over the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.test_jobs import GOOD, asked, names, refused
from tests.fakes import ManualClock
from tests.http import Client


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
