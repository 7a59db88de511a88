"""Descriptions of jobs that cannot be used: visible, and never a lost report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from afterrun_exporter.config import parse
from afterrun_exporter.core.crontab import five_fields
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import schedule_invalid
from tests.copies import replace
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> AsyncIterator[Service]:
    """A service that goes by an empty file."""
    service = Service(store, clock, parse("{}").job_config)
    await service.start()
    yield service
    await store.close()


async def sentry(client: Client, cron: str) -> None:
    config = {"schedule": {"type": "crontab", "value": cron}, "max_runtime": 5}
    told = {"status": "error", "monitor_config": config}
    assert (await client.post("/api/4/cron/nightly/k", json=told)).status == 202


async def by_ping(client: Client, cron: str) -> None:
    path = f"/ping/k/nightly/fail?create=1&schedule={quote(cron)}"
    assert (await client.get(path)).ok


async def cronitor(client: Client, cron: str) -> None:
    told = {"key": "nightly", "schedule": cron, "grace_seconds": 120}
    answer = await client.put("/api/monitors", json={"monitors": [told]})
    assert answer.status == 200
    (monitor,) = (await answer.json())["monitors"]
    bad = five_fields(cron).count(" ") != 4
    assert any("schedule" in warning for warning in monitor["warnings"]) is bad
    await client.get("/p/k/nightly/fail")


async def management(client: Client, cron: str) -> None:
    told = {"name": "nightly", "schedule": cron, "unique": ["name"]}
    answer = await client.post("/api/v3/checks/", json=told)
    assert answer.status in {200, 201}


Describe = Callable[[Client, str], Awaitable[None]]
WITH_A_REPORT: dict[str, Describe] = {
    "Sentry": sentry,
    "create=1": by_ping,
    "Cronitor": cronitor,
}


def of(service: Service) -> tuple[Job, JobState]:
    entry = service.job_and_state("nightly")
    assert entry is not None
    return entry


@pytest.mark.parametrize("describe", [*WITH_A_REPORT.values(), management])
@pytest.mark.parametrize("cron", ["0 0 2 * * *", "00 0  2 * * *", "0 2 * * *"])
async def test_seconds_that_are_zero_are_dropped(
    client: Client, service: Service, describe: Describe, cron: str
) -> None:
    await describe(client, cron)

    job, state = of(service)
    assert isinstance(job.schedule, Calendar)
    assert job.schedule.text == "0 2 * * *"
    assert (state.unusable, state.lacks_schedule) == ("", False)


@pytest.mark.parametrize("describe", WITH_A_REPORT.values(), ids=WITH_A_REPORT)
@pytest.mark.parametrize("cron", ["*/30 * * * * *", "5 0 2 * * *", "@reboot", "soon"])
async def test_a_schedule_that_cannot_be_used_is_visible(
    client: Client,
    service: Service,
    capfd: pytest.CaptureFixture[str],
    describe: Describe,
    cron: str,
) -> None:
    """The report counts, and so does everything else that is said of the job."""
    await describe(client, cron)

    job, state = of(service)
    assert (job.schedule, state.failures_total) == (None, 1)
    assert state.unusable.startswith("schedule: ")
    assert schedule_invalid(ExposedJob(job, state, Settings())) == 1
    if describe is sentry:
        assert job.max_runtime == 300
    if describe is cronitor:
        assert job.grace == 120
    else:
        assert "description_refused" in capfd.readouterr().out


@pytest.mark.parametrize("describe", [sentry, cronitor])
async def test_one_that_is_mended_is_no_more_to_be_seen(
    client: Client, service: Service, describe: Describe
) -> None:
    for cron in ("soon", "0 2 * * *"):
        await describe(client, cron)

    job, state = of(service)
    assert job.schedule is not None
    assert (state.unusable, state.lacks_schedule) == ("", False)


@pytest.mark.parametrize("describe", [sentry, cronitor])
async def test_the_last_usable_schedule_stays(
    client: Client, service: Service, describe: Describe
) -> None:
    """A job must not stop being missed for a mistake of its client."""
    for cron in ("0 2 * * *", "soon"):
        await describe(client, cron)

    job, state = of(service)
    assert isinstance(job.schedule, Calendar)
    assert job.schedule.text == "0 2 * * *"
    assert state.lacks_schedule
    assert schedule_invalid(ExposedJob(job, state, Settings())) == 1
    configured = replace(job, configured=True)
    assert schedule_invalid(ExposedJob(configured, state, Settings())) == 0


CONFIGS: dict[str, Any] = {
    "monitor_config": "daily",
    "timezone": {
        "schedule": {"type": "crontab", "value": "0 2 * * *"},
        "timezone": "Mars/Phobos",
    },
    "schedule": {"schedule": {"type": "interval", "value": 30, "unit": "second"}},
    "max_runtime": {"max_runtime": "5"},
}


@pytest.mark.parametrize("field", CONFIGS)
async def test_each_part_of_a_monitor_is_judged_by_itself(
    client: Client, service: Service, field: str
) -> None:
    told = {"status": "ok", "monitor_config": CONFIGS[field]}
    assert (await client.post("/api/4/cron/nightly/k", json=told)).status == 202

    _, state = of(service)
    assert state.unusable.startswith(field)
    assert state.lacks_schedule is (field != "max_runtime")
    assert state.runs_total == 1


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("POST", "/api/v3/checks/", {"name": "x", "schedule": "soon"}),
        ("POST", "/api/v3/checks/", {"name": "x", "timeout": 1}),
        ("PUT", "/api/monitors", {"monitors": [{"key": "x", "grace_seconds": "x"}]}),
    ],
)
async def test_a_description_that_is_refused_is_logged(
    client: Client,
    capfd: pytest.CaptureFixture[str],
    method: str,
    path: str,
    told: Any,
) -> None:
    """Clients often keep the answer to themselves."""
    answer = await client.request(method, path, data=json.dumps(told))

    assert answer.status == 400
    assert "description_refused" in capfd.readouterr().out
