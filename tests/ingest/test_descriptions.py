"""Pings of Healthchecks' clients that say more of a job than how it went."""

from __future__ import annotations

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Calendar, Every
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

UUID = "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
WEB, DB = "web-key-1234", "db-key-12345"

FILE = f"""
projects:
  web: {{ping_key: {WEB}}}
  db: {{ping_key: {DB}}}
jobs:
  nightly: {{ping_uuid: {UUID}, project: web}}
"""


async def service_of(text: str, clock: ManualClock) -> Service:
    service = Service(MemoryStore(), clock, parse(text).job_config)
    await service.start()
    return service


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    """A service that goes by a file without jobs."""
    return await service_of("{}", clock)


@pytest.fixture
async def keyed(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> tuple[Client, Service]:
    """A client of a service whose projects have keys."""
    service = await service_of(FILE, clock)
    return await aiohttp_client(app_of(service, clock)), service


async def answer(client: Client, path: str) -> tuple[int, str]:
    response = await client.get(path)
    return response.status, await response.text()


def job(service: Service, name: str) -> Job:
    found = service.job(name)
    assert found is not None
    return found


class TestCreating:
    async def test_a_job_says_how_often_and_how_late_it_may_run(
        self, client: Client, service: Service
    ) -> None:
        path = "/ping/key/nightly/start?create=1&timeout=3600&grace=120"

        assert await answer(client, path) == (201, "Created")
        made = job(service, "nightly")
        assert (made.schedule, made.grace) == (Every(3600.0), 120.0)

    async def test_a_job_may_have_a_schedule(
        self, client: Client, service: Service
    ) -> None:
        path = "/ping/key/nightly?create=1&schedule=0+2+*+*+*&tz=Europe/Riga"

        assert await answer(client, path) == (201, "Created")
        schedule = job(service, "nightly").schedule
        assert isinstance(schedule, Calendar)
        assert (schedule.text, schedule.zone) == ("0 2 * * *", "Europe/Riga")

    @pytest.mark.parametrize(
        ("query", "why"),
        [
            ("timeout=1h", "timeout is '1h': use a number of seconds"),
            ("grace=59", "grace is too small"),
            ("timeout=31536001", "timeout is too large"),
            ("schedule=soon", "schedule: cron expression 'soon' has 1 field;"),
            ("schedule=0+2+*+*+*&tz=Mars", "timezone: unknown time zone 'Mars'"),
        ],
    )
    async def test_what_cannot_be_used_costs_no_ping_and_is_kept_to_be_seen(
        self, client: Client, service: Service, query: str, why: str
    ) -> None:
        path = f"/ping/key/nightly/fail?create=1&{query}"

        assert await answer(client, path) == (201, "Created")
        state = service.state("nightly")
        assert state is not None
        assert (state.failures_total, job(service, "nightly").schedule) == (1, None)
        assert why in state.unusable
        assert state.lacks_schedule is ("grace" not in query)

    async def test_a_job_that_is_known_stays_what_it_is(
        self, client: Client, service: Service
    ) -> None:
        await client.get("/ping/key/nightly?create=1&timeout=3600")

        again = await answer(client, "/ping/key/nightly?create=1&timeout=60")

        assert again == (200, "OK")
        assert job(service, "nightly").schedule == Every(3600.0)

    async def test_without_asking_for_it_nothing_is_said_of_the_job(
        self, client: Client, service: Service
    ) -> None:
        assert await answer(client, "/ping/key/nightly?timeout=3600") == (200, "OK")
        assert job(service, "nightly").schedule is None


class TestUuids:
    async def test_a_job_is_reached_by_the_uuid_of_the_file(
        self, keyed: tuple[Client, Service]
    ) -> None:
        client, service = keyed

        assert await answer(client, f"/ping/{UUID}") == (200, "OK")
        assert await answer(client, f"/{UUID.upper()}/fail") == (200, "OK")
        state = service.state("nightly")
        assert state is not None
        assert (state.runs_total, state.failures_total) == (2, 1)
        assert service.job(UUID) is None

    async def test_a_uuid_that_is_nobodys_is_the_name_of_a_job(
        self, client: Client, service: Service
    ) -> None:
        await client.get(f"/ping/{UUID}")

        assert job(service, UUID).name == UUID


class TestKeysOfProjects:
    async def test_open_the_jobs_of_their_project_alone(
        self, keyed: tuple[Client, Service]
    ) -> None:
        client, _ = keyed

        assert await answer(client, f"/ping/{WEB}/nightly") == (200, "OK")
        assert await answer(client, f"/ping/{DB}/nightly") == (404, "not found")
        assert await answer(client, "/ping/other-key/nightly") == (404, "not found")

    async def test_give_their_project_to_the_jobs_they_register(
        self, keyed: tuple[Client, Service]
    ) -> None:
        client, service = keyed
        path = f"/ping/{DB}/vacuum?create=1&timeout=3600"

        assert await answer(client, path) == (201, "Created")
        made = job(service, "vacuum")
        assert (made.project, made.schedule) == ("db", Every(3600.0))
        assert await answer(client, f"/ping/{WEB}/vacuum") == (404, "not found")

    async def test_are_not_what_stands_before_a_verb(
        self, keyed: tuple[Client, Service]
    ) -> None:
        """``/ping/JOB/start`` names no key."""
        client, service = keyed

        assert await answer(client, "/ping/nightly/start") == (200, "OK")
        state = service.state("nightly")
        assert state is not None
        assert len(state.open_runs) == 1

    async def test_are_not_told_to_the_log(
        self, keyed: tuple[Client, Service], capfd: pytest.CaptureFixture[str]
    ) -> None:
        client, _ = keyed
        await client.get("/ping/secret-key-77/nightly")
        await client.get(f"/ping/{WEB}/nightly?rid=none")

        told = "".join(capfd.readouterr())
        assert "not found" in told
        assert "secret-key-77" not in told
        assert WEB not in told
