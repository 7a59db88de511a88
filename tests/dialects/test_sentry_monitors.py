"""What Sentry's clients say of their monitors."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Calendar, Every, parse_cron
from afterrun_exporter.dialects.sentry.monitors import description_of
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP
from tests.dialects.test_sentry import envelope
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

NIGHTLY = {
    "schedule": {"type": "crontab", "value": " 0  2 * * *\n"},
    "timezone": "Europe/Riga",
    "checkin_margin": 5,
    "max_runtime": 30,
    "failure_issue_threshold": 3,
    "recovery_threshold": 2,
    "owner": "team:data",
}


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    """A service that goes by an empty file."""
    service = Service(MemoryStore(), clock, parse("{}").job_config)
    await service.start()
    return service


async def check_in(client: Client, config: Any, status: str = "ok") -> int:
    told = {"monitor_slug": "nightly", "status": status, "monitor_config": config}
    answer = await client.post("/api/42/envelope/", data=envelope(told))
    return answer.status


def nightly(service: Service) -> Job:
    job = service.job("nightly")
    assert job is not None
    return job


async def test_a_check_in_brings_its_monitor_along(
    client: Client, service: Service
) -> None:
    assert await check_in(client, NIGHTLY, "in_progress") == 200

    job = nightly(service)
    assert isinstance(job.schedule, Calendar)
    assert (job.schedule.text, job.schedule.zone) == ("0 2 * * *", "Europe/Riga")
    assert (job.grace, job.max_runtime) == (300.0, 1800.0)
    assert (job.after_failures, job.recover_after) == (3, 2)
    state = service.state("nightly")
    assert state is not None
    assert len(state.open_runs) == 1


@pytest.mark.parametrize("value", ["0 2 * * 5L", "0 2 L * *", "0 2 * * MON#1"])
async def test_days_may_be_counted_within_their_month(
    client: Client, service: Service, value: str
) -> None:
    """Sentry reads crontabs with cronsim, too."""
    schedule = {"schedule": {"type": "crontab", "value": value}}
    assert await check_in(client, schedule) == 200

    assert nightly(service).schedule == parse_cron(value, "UTC")


async def test_a_monitor_that_is_changed_changes_the_job(
    client: Client, service: Service
) -> None:
    await check_in(client, NIGHTLY)
    hourly = {"schedule": {"type": "interval", "value": 2, "unit": "hour"}}
    await check_in(client, hourly)

    job = nightly(service)
    assert job.schedule == Every(7200.0)
    assert job.after_failures == 1


async def test_a_url_with_a_body_brings_it_along_too(
    client: Client, service: Service
) -> None:
    told = {"status": "ok", "monitor_config": NIGHTLY}
    answer = await client.post("/api/42/cron/nightly/key", data=json.dumps(told))

    assert answer.status == 202
    assert nightly(service).grace == 300.0


async def test_a_monitor_that_cannot_be_costs_no_check_in(
    client: Client, service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    config = {"schedule": {"type": "crontab", "value": "soon"}, "max_runtime": 5}

    assert await check_in(client, config) == 200

    state = service.state("nightly")
    assert state is not None
    assert state.runs_total == 1
    assert nightly(service).schedule is None
    assert "description_refused" in capfd.readouterr().out


async def test_what_stands_in_the_file_counts_for_more(
    service: Service, client: Client
) -> None:
    text = "jobs: {nightly: {every: 1d}}"
    await service.reconfigure(parse(text).job_config)

    assert await check_in(client, NIGHTLY) == 200
    assert nightly(service).schedule == Every(86400.0)


async def test_where_no_job_may_be_registered_the_check_in_is_refused(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    job_config = parse("unknown_jobs: reject").job_config
    service = Service(MemoryStore(), clock, job_config)
    await service.start()
    client: Client = await aiohttp_client(app_of(service, clock))

    assert await check_in(client, NIGHTLY) == 404
    assert not list(service.watched())
    assert BACKUP.name not in service.job_config.jobs


@pytest.mark.parametrize(
    ("value", "unit", "every"),
    [
        (90, "minute", "90m"),
        (1, "hour", "60m"),
        (2, "day", "2880m"),
        (1, "week", "10080m"),
        # The longest that there are: a late alert is better than a false one.
        (1, "month", "44640m"),
        (1, "year", "527040m"),
    ],
)
def test_an_interval_is_how_often(value: int, unit: str, every: str) -> None:
    told = {"schedule": {"type": "interval", "value": value, "unit": unit}}

    assert description_of(told) == ({"every": every}, [])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, {}),
        ({"checkin_margin": 0}, {"grace": "1m"}),
        ({"checkin_margin": None, "max_runtime": None}, {}),
        ({"failure_issue_threshold": 0}, {"alerts": {"after_failures": 1}}),
        ({"schedule": None, "timezone": "Europe/Riga"}, {}),
    ],
)
def test_what_is_not_said_is_left_to_the_defaults(
    told: dict[str, Any], words: dict[str, Any]
) -> None:
    assert description_of(told) == (words, [])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"checkin_margin": "5"}, "checkin_margin is '5': use a whole number"),
        ({"max_runtime": True}, "max_runtime is True: use a whole number"),
        ({"max_runtime": 10**9}, "max_runtime is 1000000000: use at most 527040"),
        ({"recovery_threshold": -1}, "recovery_threshold is -1: use at most"),
        ({"schedule": "0 2 * * *"}, "schedule is '0 2 * * *': use a crontab"),
        ({"schedule": {"type": "interval", "value": 0, "unit": "day"}}, "schedule is"),
        ({"schedule": {"type": "interval", "value": 1, "unit": []}}, "schedule is"),
        ({"schedule": {"type": "interval", "value": 9, "unit": "second"}}, "schedule"),
        ({"schedule": {"type": "crontab", "value": 5}}, "schedule is"),
    ],
)
def test_what_cannot_be_says_why(told: dict[str, Any], why: str) -> None:
    _, problems = description_of(told)

    assert why in "; ".join(problems)


def test_everything_that_cannot_be_is_told_at_once() -> None:
    told = {"checkin_margin": "a", "max_runtime": "b", "schedule": "c"}

    words, problems = description_of(told)

    assert words == {}
    assert [one.split()[0] for one in problems] == [*told]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "value", "unit"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from([*NIGHTLY]), JSON))
def test_whatever_a_monitor_is_it_is_understood_or_refused(
    told: dict[str, Any],
) -> None:
    unknown = parse("{}").job_config.unknown
    assert unknown is not None
    with suppress(ValueError):
        unknown("x", json.dumps(description_of(told)[0]))
