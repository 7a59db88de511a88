"""The history of alerts over the API, and alerts for a test."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.timestamps import END, EPOCH, format_time, instant
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP, at
from tests.fakes import ManualClock
from tests.http import Client
from tests.services import job_config

GOOD = {"metrics": {"rows": 120, "size": 48211}}
EMPTY = {"metrics": {"rows": 0, "size": 48211}}
FAILED = {"status": "fail", "message": "disk full"}
SYNC = Job(name="sync", severity="critical")


@pytest.fixture
async def history(client: Client, clock: ManualClock, service: Service) -> Client:
    """An alert that is over after a minute, one after three, and one still open."""
    await service.reconfigure(job_config(BACKUP, SYNC))
    await client.post("/ping/sync", json=FAILED)
    await clock.advance(60)
    await client.post("/ping/sync", json={"status": "ok"})
    await client.post("/ping/backup", json=EMPTY)
    await clock.advance(180)
    await client.post("/ping/backup", json=GOOD)
    await client.post("/ping/sync", json={**FAILED, "run_id": "2"})
    return client


async def asked(client: Client, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def kinds(client: Client, query: str) -> list[tuple[str, str, str]]:
    answer = await asked(client, f"/api/v1/alerts{query}")
    return [(one["job"], one["kind"], one["state"]) for one in answer["alerts"]]


SYNC_OPEN = ("sync", "failing", "open")
BACKUP_OVER = ("backup", "violated", "resolved")
SYNC_OVER = ("sync", "failing", "resolved")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [SYNC_OPEN, BACKUP_OVER, SYNC_OVER]),
        ("?limit=2", [SYNC_OPEN, BACKUP_OVER]),
        ("?job=sync", [SYNC_OPEN, SYNC_OVER]),
        ("?state=open", [SYNC_OPEN]),
        ("?state=resolved", [BACKUP_OVER, SYNC_OVER]),
        ("?kind=violated", [BACKUP_OVER]),
        ("?severity=critical", [SYNC_OPEN, SYNC_OVER]),
        ("?severity=info", []),
        ("?since=3m", [SYNC_OPEN, BACKUP_OVER]),
        ("?since=2026-11-21T12:01:01Z", [SYNC_OPEN]),
        ("?since=3m&job=sync&state=open&limit=1", [SYNC_OPEN]),
        # Longer than there have been alerts, or years.
        ("?since=9999999d", [SYNC_OPEN, BACKUP_OVER, SYNC_OVER]),
    ],
)
async def test_alerts_come_newest_first_as_far_as_they_are_asked_for(
    history: Client, query: str, found: list[tuple[str, str, str]]
) -> None:
    """All that is asked for must hold."""
    assert await kinds(history, query) == found


async def test_alerts_come_a_page_at_a_time(history: Client) -> None:
    """Each one once, and `next` is null where there are no more."""
    pages, before = [], ""
    for _ in range(3):
        answer = await asked(history, f"/api/v1/alerts?limit=1{before}")
        pages += [(one["job"], one["kind"], one["state"]) for one in answer["alerts"]]
        before = f"&before={answer['next']}"

    assert pages == [SYNC_OPEN, BACKUP_OVER, SYNC_OVER]
    assert before == "&before=None"
    whole = await asked(history, "/api/v1/alerts?limit=3")
    assert (len(whole["alerts"]), whole["next"]) == (3, None)


async def test_pages_are_of_what_was_asked_for(history: Client) -> None:
    """The other parameters hold for each of them."""
    first = await asked(history, "/api/v1/alerts?job=sync&limit=1")

    found = await kinds(history, f"?job=sync&limit=1&before={first['next']}")

    assert found == [SYNC_OVER]
    assert await kinds(history, "?before=999999") == []


async def test_an_alert_is_told_whole(history: Client) -> None:
    """Under the name by which Prometheus knows it too."""
    (alert,) = (await asked(history, "/api/v1/alerts?job=backup"))["alerts"]

    assert alert.pop("id") > 0
    assert alert == {
        "job": "backup",
        "kind": "violated",
        "alertname": "AfterRunJobRuleViolated",
        "rule": "rows > 0",
        "severity": "warning",
        "summary": "rows was 0, expected > 0",
        "state": "resolved",
        "opened_at": "2026-11-21T12:01:00Z",
        "resolved_at": "2026-11-21T12:04:00Z",
        "run": 1,
    }


async def test_statistics_say_what_went_wrong_most(history: Client) -> None:
    """And how long it took to mend, which is nobody's guess while it is open."""
    assert await asked(history, "/api/v1/alerts/stats") == {
        "since": "2026-11-14T12:04:00Z",
        "alerts": 3,
        "by_kind": {"failing": 2, "violated": 1},
        "by_severity": {"critical": 2, "warning": 1},
        "by_state": {"open": 1, "resolved": 2},
        "jobs": [{"job": "sync", "alerts": 2}, {"job": "backup", "alerts": 1}],
        "seconds_to_resolve": {"mean": 120.0, "median": 120.0},
        "open_now": 1,
    }


async def test_statistics_of_a_quiet_time(history: Client, clock: ManualClock) -> None:
    """Open is what is open now, however long ago it opened."""
    await clock.advance(60)

    stats = await asked(history, "/api/v1/alerts/stats?since=30s")

    assert (stats["alerts"], stats["open_now"]) == (0, 1)
    assert stats["seconds_to_resolve"] == {"mean": None, "median": None}


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("?state=closed", 400, "unknown state 'closed': use one of open, resolved"),
        (
            "?before=x",
            400,
            ("before: expected a whole number, not 'x'"),
        ),
        (
            "?since=yesterday",
            400,
            (
                "since: 'yesterday' is neither a duration nor a time: write it like 7d or "
                "2026-11-22T02:00:00Z"
            ),
        ),
        ("?job=bakup", 404, "unknown job 'bakup': it has no recorded alerts"),
        ("?jobs=backup", 400, "unknown parameter 'jobs'; did you mean 'job'?"),
        ("/stats?limit=3", 400, "unknown parameter 'limit': use since"),
        (
            "?limit=99999",
            400,
            "limit: 99999 is too large: at most 1000",
        ),
    ],
)
async def test_a_question_that_cannot_be_answered_says_why(
    client: Client, path: str, status: int, detail: str
) -> None:
    """The value, and the way out."""
    response = await client.get(f"/api/v1/alerts{path}")

    assert response.status == status
    assert (await response.json(content_type=None))["detail"] == detail


@given(text=st.one_of(st.text(), st.datetimes().map(str), st.from_regex(r"\d+[dw]")))
def test_since_is_an_instant_that_can_be_told_or_is_refused(text: str) -> None:
    """Whatever somebody writes there."""
    try:
        found = instant(text, at("21 12:00"))
    except ValueError:
        return

    assert EPOCH <= found <= END
    assert format_time(found)


async def test_a_test_alert_belongs_to_the_job_that_is_named(client: Client) -> None:
    """It looks like any other, and says when it will be over."""
    body = {"job": "backup", "severity": "critical", "for": "1m"}
    response = await client.post("/api/v1/alerts/test", json=body)
    answer = await response.json()

    assert response.status == 202
    assert (answer["job"], answer["alertname"]) == ("backup", "AfterRunTest")
    assert (answer["severity"], answer["state"]) == ("critical", "open")
    assert answer["until"] == "2026-11-21T12:01:00Z"


async def test_a_test_alert_ends_by_itself(client: Client, clock: ManualClock) -> None:
    """It is stored and exposed meanwhile, as any other is."""
    await client.post("/api/v1/alerts/test", json={"job": "backup"})
    exposed = await (await client.get("/metrics")).text()
    before = await kinds(client, "?kind=test")

    await clock.advance(121)

    line = 'afterrun_job_test_alert{job_name="backup",severity="warning"} 1'
    assert line in exposed
    assert before == [("backup", "test", "open")]
    assert await kinds(client, "?kind=test") == [("backup", "test", "resolved")]


async def test_without_a_job_a_test_alert_has_one_of_its_own(client: Client) -> None:
    """An empty body is enough."""
    response = await client.post("/api/v1/alerts/test")

    assert response.status == 202
    assert (await response.json())["job"] == "afterrun-test"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ('{"job": "bakup"}', 404, "unknown job 'bakup'; did you mean 'backup'?"),
        (
            '{"for": "5"}',
            400,
            "for: '5' is not a duration; write 5s or 5m",
        ),
        ('{"for": "2h"}', 400, "for: '2h' is out of range: use 10s to 1h"),
        (
            '{"for": 120}',
            400,
            "for: 120 is not a duration: write 120s or 2m",
        ),
        (
            '{"severity": "none"}',
            400,
            (
                "severity: 'none' is reserved for alerts without notifications; for a job "
                "without alerts write enabled: false"
            ),
        ),
        (
            '{"jobs": "backup"}',
            400,
            "jobs: unknown key; did you mean 'job'?",
        ),
        ('{"job": "a", "job": "b"}', 400, "'job' is sent twice: send it once"),
        ('{"for": NaN}', 400, "the body is not JSON: NaN is not a JSON number"),
        ("[]", 400, "the body is not a JSON object: send {...}"),
        (
            '{"job": ,}',
            400,
            (
                "the body is not JSON: expecting value at line 1 column 9, near "
                "'{\"job\": ,}'; is a variable of the script empty?"
            ),
        ),
        ("[" * 100_000, 400, "the body is not valid JSON"),
    ],
)
async def test_a_test_alert_that_cannot_be_opened_says_why(
    client: Client, body: str, status: int, detail: str
) -> None:
    """And opens none."""
    response = await client.post("/api/v1/alerts/test", data=body)

    assert response.status == status
    assert (await response.json(content_type=None))["detail"] == detail
    assert await kinds(client, "") == []


async def test_a_body_that_is_too_long_is_refused(client: Client) -> None:
    """Before it has eaten memory."""
    response = await client.post("/api/v1/alerts/test", data=BytesIO(b" " * 2**21))

    assert response.status == 413
