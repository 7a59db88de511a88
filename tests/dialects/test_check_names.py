"""Names of other systems: kept as they were given, and one job for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.config import parse
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.names import aliases, job_slug
from afterrun_exporter.dialects.context import job_name
from afterrun_exporter.engine.job_registry import JobRegistry
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

PROJECTS = """
projects:
  web: {ping_key: web-ping-key, api_key: web-api-key}
  db: {ping_key: db-ping-key, api_key: db-api-key}
"""
NAMES = [
    "backup",
    "db_backup.v2",
    "Nightly Backup",
    "Nightly (DB) dump",
    "Бэкап",
    "🚀",
    "🚀 deploy",
    "São Paulo",
    "a/b#c?d",
    "UPPER",
    "7",
    "fail",
    "x" * 100,
    "<b>bold</b>",
]
#: Names of which no job name can be made: the job is called by its UUID.
NAMELESS = ["-", "...", "!?", " "]


@pytest.fixture
async def service(clock: ManualClock) -> AsyncIterator[Service]:
    """A service that goes by an empty file."""
    store = MemoryStore()
    service = Service(store, clock, parse("{}").job_config)
    await service.start()
    yield service
    await store.close()


async def ask(
    client: Client, method: str, path: str, told: Any = None, key: str = ""
) -> tuple[int, Any]:
    answer = await client.request(
        method,
        f"/api/v3/{path}",
        data=None if told is None else json.dumps(told),
        headers={"X-Api-Key": key} if key else {},
    )
    return answer.status, await answer.json()


def jobs(service: Service) -> set[str]:
    return {job.name for job, _ in service.watched()}


@pytest.mark.parametrize("unique", [[], ["name"]])
@pytest.mark.parametrize("name", [*NAMES, *NAMELESS])
async def test_a_check_keeps_its_name_and_is_found_again(
    client: Client, service: Service, name: str, unique: list[str]
) -> None:
    """A program that creates its check at each start gets the same one."""
    told = {"name": name, "timeout": 3600, "unique": unique}
    first = await ask(client, "POST", "checks/", told)
    again = await ask(client, "POST", "checks/", told)

    assert (first[0], again[0]) == (201, 200)
    assert first[1]["name"] == again[1]["name"] == name
    assert first[1]["uuid"] == again[1]["uuid"]
    assert jobs(service) == {first[1]["uuid"] if name in NAMELESS else job_name(name)}
    _, listed = await ask(client, "GET", "checks/")
    assert [check["name"] for check in listed["checks"]] == [name]


@pytest.mark.parametrize("by_slug", [True, False])
@pytest.mark.parametrize("first", ["ping", "check"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"7", "fail"}])
async def test_pings_and_checks_of_one_name_are_one_job(
    client: Client, service: Service, name: str, first: str, by_slug: bool
) -> None:
    slug = job_slug(Job(name=job_name(name), display_name=name)) if by_slug else name
    ping = f"/ping/key/{quote(slug, safe='')}"
    if first == "ping":
        assert (await client.get(ping)).status == 200
    _, made = await ask(client, "POST", "checks/", {"name": name, "unique": ["name"]})
    for path in (f"/ping/key/{quote(made['slug'], safe='')}", ping):
        assert (await client.get(path)).status == 200
    assert (await client.get(f"/ping/{made['uuid']}/0")).status == 200

    assert len(jobs(service)) == 1
    _, check = await ask(client, "GET", f"checks/{made['uuid']}")
    assert check["name"] == name
    # A repeat within the window is no further run.
    assert check["n_pings"] >= 2


async def test_names_that_are_alike_here_stay_different_checks(
    client: Client, service: Service
) -> None:
    names = ["a b", "a/b", "a  b", "a-b"]
    uuid_index: dict[str, str] = {}
    for _ in range(2):
        for name in names:
            told = {"name": name, "unique": ["name"]}
            _, made = await ask(client, "POST", "checks/", told)
            assert uuid_index.setdefault(name, made["uuid"]) == made["uuid"]
    for name in names:
        await client.get(f"/ping/key/{quote(name, safe='')}/fail")

    assert len(set(uuid_index.values())) == len(jobs(service)) == 4
    for uuid in uuid_index.values():
        _, check = await ask(client, "GET", f"checks/{uuid}")
        assert check["n_pings"] == 1


async def test_a_name_survives_a_restart(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    store = MemoryStore()
    for status in (201, 200):
        service = Service(store, clock, parse("{}").job_config)
        await service.start()
        client = await aiohttp_client(app_of(service, clock))
        told = {"name": "Бэкап", "unique": ["name"]}
        assert (await ask(client, "POST", "checks/", told))[0] == status
        assert (await client.get(f"/ping/key/{quote('Бэкап')}")).status == 200


async def test_a_name_that_is_too_long_is_refused(client: Client) -> None:
    for field in ("name", "slug"):
        answer = await ask(client, "POST", "checks/", {field: "x" * 101})
        error = f"json validation error: {field} is too long"
        assert answer == (400, {"error": error})


async def test_a_deleted_check_gives_its_name_free(
    client: Client, service: Service
) -> None:
    told = {"name": "Nightly Backup"}
    _, made = await ask(client, "POST", "checks/", told)
    await ask(client, "DELETE", f"checks/{made['uuid']}")
    assert not list(service.called("name", "Nightly Backup"))

    status, again = await ask(client, "POST", "checks/", told)

    assert (status, again["name"]) == (201, "Nightly Backup")


async def test_each_project_has_names_of_its_own(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(MemoryStore(), clock, parse(PROJECTS).job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    told = {"name": "Nightly Backup", "unique": ["name"]}
    for project in ("web", "db"):
        for status in (201, 200):
            key = f"{project}-api-key"
            assert (await ask(client, "POST", "checks/", told, key))[0] == status
        for slug in ("nightly-backup", "Nightly%20Backup"):
            path = f"/ping/{project}-ping-key/{slug}/fail?a={slug}"
            assert (await client.get(path)).status == 200

    found = {job.project: state.runs_total for job, state in service.watched()}
    assert found == {"web": 2, "db": 2}


async def test_a_job_of_the_file_is_the_check_of_its_name(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """It is never missed under a second name."""
    text = 'jobs: {nb: {every: 1h, display_name: "Nightly Backup"}, plain: {every: 1h}}'
    service = Service(MemoryStore(), clock, parse(text).job_config)
    await service.start()
    client = await aiohttp_client(app_of(service, clock))
    for name, job in (("Nightly Backup", "nb"), ("nb", "nb"), ("plain", "plain")):
        status, made = await ask(client, "POST", "checks/", {"name": name})
        assert (status, made["slug"]) == (200, job)
    await client.get("/ping/key/nightly-backup")

    assert jobs(service) == {"nb", "plain"}


async def test_a_monitor_is_found_by_the_key_that_it_was_put_with(
    client: Client, service: Service
) -> None:
    told = {"monitors": [{"key": "My job", "name": "Бэкап", "schedule": "0 2 * * *"}]}
    for _ in range(2):
        answer = await client.put("/api/monitors", json=told)
        (made,) = (await answer.json())["monitors"]
        assert (made["key"], made["name"]) == ("My job", "Бэкап")
    shown = await client.get("/api/monitors/My%20job")
    assert (await shown.json())["key"] == "My job"
    await client.get("/p/key/My%20job/complete")
    await client.get("/p/key/My%20job?state=fail")

    assert jobs(service) == {"My-job"}


@given(st.lists(st.text(max_size=9), max_size=6), st.data())
def test_every_alias_leads_to_the_jobs_that_have_it(
    names: list[str], data: st.DataObject
) -> None:
    """Whatever is registered, renamed and dismissed."""
    job_registry = JobRegistry(JobConfig())
    for _ in range(data.draw(st.integers(0, 20))):
        name = data.draw(st.sampled_from(["a", "b", "c"]))
        shown = data.draw(st.sampled_from(["", "A b", "a b", "é", *names]))
        if data.draw(st.booleans()):
            job_registry.register(Job(name=name, display_name=shown, configured=False))
        elif (job := job_registry.get(name)) is not None:
            job_registry.dismiss(job)

    for job in job_registry:
        for kind, alias in aliases(job):
            assert job in list(job_registry.called(kind, alias))
    assert sum(map(len, job_registry._by_alias.values())) == sum(
        len(list(aliases(job))) for job in job_registry
    )
