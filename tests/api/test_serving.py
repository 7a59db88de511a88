"""What all of the API has in common: tags, links, kinds of problems, bodies."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from yarl import URL

from afterrun_exporter.core.model import Job
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.http_problems import KINDS, STATUS, TYPES
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock
from tests.http import Client
from tests.services import job_config

GOOD = {"metrics": {"rows": 120, "size": 48211}}
LISTS = [
    "jobs",
    "jobs/backup",
    "jobs/backup/runs",
    "jobs/backup/alerts",
    "jobs/backup/receivers",
    "receivers",
    "alerts",
    "openapi.json",
    "docs",
    "",
]


@pytest.mark.parametrize("path", LISTS)
async def test_what_has_not_changed_is_not_sent_again(
    client: Client, path: str
) -> None:
    """To who says what they have; nobody keeps it without asking."""
    first = await client.get(f"/api/v1/{path}")
    tag = first.headers["ETag"]

    for known in (tag, f'"other", W/{tag}', "*"):
        again = await client.get(f"/api/v1/{path}", headers={"If-None-Match": known})
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == "no-cache"
    for other in ('"other"', "", "other", f"{tag}x", '"'):
        new = await client.get(f"/api/v1/{path}", headers={"If-None-Match": other})
        assert (new.status, await new.read()) == (200, await first.read())


async def test_what_has_changed_has_another_tag(client: Client) -> None:
    """However little it is."""
    before = await client.get("/api/v1/jobs")
    await client.post("/ping/backup", json=GOOD)

    after = await client.get(
        "/api/v1/jobs", headers={"If-None-Match": before.headers["ETag"]}
    )

    assert after.status == 200
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_a_problem_has_no_tag(client: Client) -> None:
    """Neither has anything that was done: only what is read again has one."""
    unknown = await client.get("/api/v1/jobs/x", headers={"If-None-Match": "*"})
    done = await client.post("/api/v1/jobs/backup/pause")

    assert unknown.status == 404
    assert "ETag" not in unknown.headers
    assert "ETag" not in done.headers


async def followed(client: Client, path: str, member: str) -> list[list[Any]]:
    """Return the lists on all pages from *path* on, by their links."""
    pages = []
    while path:
        response = await client.get(path)
        answer = await response.json()
        pages.append(answer[member])
        link = response.links.get("next")
        assert (link is None) == (answer["next"] is None)
        path = "" if link is None else URL(link["url"]).raw_path_qs
    return pages


async def test_each_page_links_to_the_next(
    client: Client, service: Service, clock: ManualClock
) -> None:
    """With all that was asked for; the last one links to none."""
    jobs = [Job(name=f"job:{n}", labels=(("team", "a&b=c"),)) for n in range(5)]
    await service.reconfigure(job_config(BACKUP, *jobs))
    for n in range(5):
        await client.post("/ping/backup", json={**GOOD, "run_id": str(n)})
        await clock.advance(1)
        await client.post("/ping/backup", json={"status": "fail", "run_id": f"x{n}"})
        await clock.advance(1)

    found = await followed(
        client, "/api/v1/jobs?label=team:a%26b%3Dc&limit=2&q=job:&after=job:0", "jobs"
    )
    runs = await followed(client, "/api/v1/jobs/backup/runs?limit=4", "runs")
    alerts = await followed(client, "/api/v1/alerts?limit=2&state=resolved", "alerts")

    named = [[job["name"] for job in page] for page in found]
    assert named == [["job:1", "job:2"], ["job:3", "job:4"]]
    assert [len(page) for page in runs] == [4, 4, 2]
    assert len({one["id"] for page in alerts for one in page}) == sum(map(len, alerts))
    assert len(alerts) > 1


def test_every_error_has_a_kind_of_its_own() -> None:
    """Which does not change: clients go by it."""
    told = {error.kind: status for error, status in STATUS.items()}

    # To a client, one without a kind is the same as that of its base.
    assert len(told) == len([error for error in STATUS if "kind" in vars(error)])
    assert AfterRunError.kind not in told
    assert not told.keys() & set(KINDS.values())
    assert {kind: int(status) for kind, status in told.items()} == {
        "unreadable-report": 400,
        "bad-request": 400,
        "unreadable-history": 400,
        "invalid-request": 400,
        "invalid-description": 400,
        "unauthorized": 401,
        "forbidden": 403,
        "too-many-logins": 429,
        "unknown-job": 404,
        "unknown-receiver": 404,
        "configured-job": 409,
        "receiver-exists": 409,
        "file-not-generated": 500,
        "invalid-configuration": 500,
        "alertmanager-unavailable": 502,
        "alertmanager-refused": 502,
        "repository-unavailable": 502,
        "stopping": 503,
        "storage-unavailable": 503,
        "storage-unreadable": 503,
        "job-changed": 503,
        "outdated": 503,
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/api/v1/nothing", 404, "not-found"),
        ("PUT", "/api/v1/jobs", 405, "method-not-allowed"),
        ("GET", "/api/v1/jobs/x", 404, "unknown-job"),
        ("GET", "/api/v1/receivers/1", 404, "unknown-receiver"),
        ("GET", "/api/v1/jobs?x=1", 400, "invalid-request"),
        ("POST", "/ping/backup?x=1", 200, ""),
        ("GET", "/ping/-", 400, "unreadable-report"),
    ],
)
async def test_programs_can_tell_problems_apart(
    client: Client, method: str, path: str, status: int, kind: str
) -> None:
    """By a word, whatever the detail says."""
    response = await client.request(method, path)

    assert response.status == status
    problem = await response.json(content_type=None)
    assert problem.get("type", "") == (TYPES + kind if kind else "")
    assert problem.get("status", 200) == status


async def test_a_body_that_is_too_long_is_told_as_such(client: Client) -> None:
    """As soon as that is known."""
    body = BytesIO(b" " * 2**21)
    response = await client.post("/api/v1/jobs/backup/pause", data=body)

    assert response.status == 413
    problem = await response.json(content_type=None)
    assert problem["type"] == f"{TYPES}too-large"
    assert problem["detail"] == "the body is larger than 1048576 bytes: send less"


async def test_a_body_that_cannot_be_decompressed_is_told_as_such(
    client: Client,
) -> None:
    response = await client.post(
        "/api/v1/jobs/backup/pause", data=b"{}", headers={"Content-Encoding": "gzip"}
    )

    assert response.status == 400
    assert (await response.json(content_type=None))["detail"] == (
        "the body cannot be decompressed: it is not 'gzip', as stated in its "
        "Content-Encoding"
    )
