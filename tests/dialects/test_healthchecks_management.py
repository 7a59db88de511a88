"""Healthchecks' management API: checks are jobs."""

from __future__ import annotations

import json
from asyncio import gather
from typing import Any
from uuid import UUID

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.app import WebOptions
from afterrun_exporter.config import parse
from afterrun_exporter.core.schedule import (
    Calendar,
    Every,
    parse_cron,
    parse_oncalendar,
)
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of, behind_a_proxy

FILE = """
projects:
  web: {api_key: web-api-key}
  db: {api_key: db-api-key}
jobs:
  nightly: {schedule: "0 2 * * *", grace: 30m, project: web, tags: [backup, db]}
  vacuum: {every: 1h, project: db}
"""
HOURLY = {"name": "hourly", "timeout": 3600, "grace": 120}


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    """A service that goes by an empty file."""
    service = Service(MemoryStore(), clock, parse("{}").job_config)
    await service.start()
    return service


@pytest.fixture
async def filed(clock: ManualClock, aiohttp_client: AiohttpClient) -> Client:
    """A client of a service that goes by a file with projects."""
    service = Service(MemoryStore(), clock, parse(FILE).job_config)
    await service.start()
    options = WebOptions(external_url="https://afterrun.example/")
    client: Client = await aiohttp_client(app_of(service, clock, options))
    return client


async def ask(
    client: Client, method: str, path: str, told: Any = None, key: str = ""
) -> tuple[int, Any]:
    headers = {"X-Api-Key": key} if key else {}
    body = None if told is None else json.dumps(told)
    answer = await client.request(method, f"/api/v3/{path}", data=body, headers=headers)
    return answer.status, await answer.json()


async def create(client: Client, **told: Any) -> dict[str, Any]:
    status, made = await ask(client, "POST", "checks/", {**HOURLY, **told})
    assert status == 201, made
    found: dict[str, Any] = made
    return found


class TestCreating:
    async def test_a_check_is_a_job_that_is_expected(
        self, client: Client, service: Service
    ) -> None:
        made = await create(client, tags="a b", desc="Every hour")

        job = service.job("hourly")
        assert job is not None
        assert (job.schedule, job.grace) == (Every(3600.0), 120.0)
        assert (job.tags, job.description) == (("a", "b"), "Every hour")
        assert made["status"] == "new"
        assert made["n_pings"] == 0
        assert made["ping_url"].endswith(f"/ping/{UUID(made['uuid'])}")

    async def test_its_ping_url_reaches_the_job(
        self, client: Client, service: Service
    ) -> None:
        made = await create(client)
        await client.get(made["ping_url"].partition("/ping/")[2].join(["/ping/", ""]))

        (_, again) = await ask(client, "GET", f"checks/{made['uuid']}")
        assert (again["status"], again["n_pings"]) == ("up", 1)
        assert [job.name for job, _ in service.watched()] == ["hourly"]

    async def test_what_it_leaves_out_is_as_usual_there(
        self, client: Client, service: Service
    ) -> None:
        await ask(client, "POST", "checks/", {"name": "daily"})

        job = service.job("daily")
        assert job is not None
        assert (job.schedule, job.grace) == (Every(86400.0), 3600.0)

    async def test_a_schedule_counts_for_more_than_a_timeout(
        self, client: Client
    ) -> None:
        made = await create(client, schedule="0 2 * * *", tz="Europe/Riga")

        assert (made["schedule"], made["tz"]) == ("0 2 * * *", "Europe/Riga")
        assert "timeout" not in made

    @pytest.mark.parametrize(
        ("told", "schedule"),
        [
            ("0 2 * * *", parse_cron("0 2 * * *", "Europe/Riga")),
            ("0 0 2 * * *", parse_cron("0 2 * * *", "Europe/Riga")),
            ("0 2 * * MON#1,5L", parse_cron("0 2 * * MON#1,5L", "Europe/Riga")),
            (
                "0 2 * * *\n0 4 * * 6\n",
                parse_cron(["0 2 * * *", "0 4 * * 6"], "Europe/Riga"),
            ),
            ("Mon *-*-* 02:00", parse_oncalendar("Mon *-*-* 02:00", "Europe/Riga")),
            ("weekly", parse_oncalendar("weekly", "Europe/Riga")),
            (
                "*-*~1 23:00\r\n03:00 UTC",
                parse_oncalendar(["*-*~1 23:00", "03:00 UTC"], "Europe/Riga"),
            ),
        ],
    )
    async def test_a_schedule_is_a_cron_expression_or_one_of_systemd(
        self, client: Client, service: Service, told: str, schedule: Calendar
    ) -> None:
        """One on each line; they come back as they were sent."""
        made = await create(client, schedule=told, tz="Europe/Riga")

        job = service.job("hourly")
        assert job is not None
        assert job.schedule == schedule
        assert (made["schedule"], made["tz"]) == (
            "\n".join(schedule.expressions),
            "Europe/Riga",
        )

    async def test_another_time_zone_is_that_of_the_same_schedule(
        self, client: Client, service: Service
    ) -> None:
        made = await create(client, schedule="*-*~1 23:00", tz="Europe/Riga")

        await ask(client, "POST", f"checks/{made['uuid']}", {"tz": "UTC"})
        job = service.job("hourly")
        assert job is not None
        assert job.schedule == parse_oncalendar("*-*~1 23:00", "UTC")

        await ask(client, "POST", f"checks/{made['uuid']}", {"timeout": 3600})
        job = service.job("hourly")
        assert job is not None
        assert job.schedule == Every(3600)

    async def test_two_checks_of_one_name_are_two_jobs(
        self, client: Client, service: Service
    ) -> None:
        """Where they differ in anything else, and `unique` does not say otherwise."""
        one, other = await create(client), await create(client, grace=60)

        assert one["uuid"] != other["uuid"]
        assert one["name"] == other["name"] == "hourly"
        assert {job.name for job, _ in service.watched()} == {"hourly", "hourly-2"}

    async def test_a_check_without_a_name_has_one_all_the_same(
        self, client: Client
    ) -> None:
        made = await create(client, name="")

        assert made["name"] == made["uuid"]

    @pytest.mark.parametrize(
        "unique", [["name"], ["slug"], ["name", "grace"], ["tags"]]
    )
    async def test_what_is_to_be_unique_is_changed_where_it_is_there(
        self, client: Client, service: Service, unique: list[str]
    ) -> None:
        made = await create(client, slug="hourly", tags="a")

        told = {**HOURLY, "slug": "hourly", "tags": "a", "timeout": 60}
        status, again = await ask(client, "POST", "checks/", {**told, "unique": unique})

        assert (status, again["uuid"]) == (200, made["uuid"])
        assert again["timeout"] == 60
        assert len(list(service.watched())) == 1

    async def test_what_is_unique_and_not_there_is_created(
        self, client: Client
    ) -> None:
        await create(client)

        told = {**HOURLY, "grace": 240, "unique": ["name", "grace"]}
        status, made = await ask(client, "POST", "checks/", told)

        assert (status, made["name"], made["slug"]) == (201, "hourly", "hourly-2")

    @pytest.mark.parametrize(
        ("told", "why"),
        [
            ({"timeout": 59}, "json validation error: timeout is too small"),
            ({"grace": 31536001}, "json validation error: grace is too large"),
            ({"timeout": "60"}, "json validation error: timeout is not a number"),
            ({"timeout": True}, "json validation error: timeout is not a number"),
            ({"name": 7}, "json validation error: name is not a string"),
            ({"unique": ["status"]}, "json validation error: unique contains an"),
            ({"unique": [["name"]]}, "json validation error: unique contains an"),
            ({"schedule": "soon"}, "schedule: cron expression 'soon' has 1 field;"),
            ({"schedule": "25:00"}, "oncalendar: cannot read '25:00' (its hour)"),
            (
                {"schedule": "@daily\n0 25 * * *"},
                "schedule[1]: hour '25' is out of range",
            ),
            ({"desc": "\ud800"}, "cannot be encoded"),
            ({"schedule": "0 2 * * *", "tz": "Mars"}, "unknown time zone 'Mars'"),
            ({"manual_resume": True}, "manual_resume is not supported"),
            ({"methods": "POST"}, "methods is not supported"),
            ([1], "json validation error: value is not an object"),
        ],
    )
    async def test_what_cannot_be_is_refused_and_makes_no_job(
        self, client: Client, service: Service, told: Any, why: str
    ) -> None:
        status, answer = await ask(client, "POST", "checks/", told)

        assert status == 400
        assert why in answer["error"]
        assert not list(service.watched())

    async def test_what_is_no_json_is_refused(self, client: Client) -> None:
        answer = await client.post("/api/v1/checks/", data=b"{")

        assert answer.status == 400
        assert await answer.json() == {"error": "could not parse request body"}

    async def test_the_slug_that_is_told_reaches_the_job(
        self, client: Client, service: Service
    ) -> None:
        """Also the one that Healthchecks would make of the name."""
        made = await create(client, name="Nightly (DB) dump")

        await client.get(f"/ping/key/{made['slug']}")

        (known,) = service.watched()
        assert (made["slug"], known[1].runs_total) == ("nightly-db-dump", 1)

    async def test_names_in_other_letters_are_other_checks(
        self, client: Client, service: Service
    ) -> None:
        for name in ("Бэкап 1", "Архив 1"):
            await create(client, name=name, unique=["name"])

        assert len(list(service.watched())) == 2

    @pytest.mark.parametrize(
        ("unique", "jobs"), [([], 8), (["name"], 1), (["slug"], 1)]
    )
    async def test_programs_at_once_do_not_take_the_same_name(
        self, client: Client, service: Service, unique: list[str], jobs: int
    ) -> None:
        told = {"name": "race", "slug": "race", "unique": unique}
        each = [{**told, "grace": 60 + number} for number in range(8)]
        made = await gather(*(ask(client, "POST", "checks/", one) for one in each))

        assert len({check["uuid"] for _, check in made}) == jobs
        assert len(list(service.watched())) == jobs

    @pytest.mark.parametrize("host", ["", "[", "x:abc", "x:99999"])
    async def test_a_host_that_is_none_costs_a_refusal_and_nothing_else(
        self,
        service: Service,
        clock: ManualClock,
        aiohttp_client: AiohttpClient,
        host: str,
    ) -> None:
        client = await aiohttp_client(app_of(service, clock, security=behind_a_proxy()))
        answer = await client.post(
            "/api/v3/checks/", data=json.dumps(HOURLY), headers={"Host": host}
        )

        assert answer.status == 400
        assert not list(service.watched())


class TestChanging:
    async def test_a_check_may_be_told_all_that_it_told(self, client: Client) -> None:
        made = await create(client, name="Nightly DB dump", tags="a")
        where = f"checks/{made['uuid']}"

        status, again = await ask(client, "POST", where, {**made, "desc": "new"})

        assert (status, again) == (200, {**made, "desc": "new"})

    async def test_a_time_zone_alone_is_that_of_the_schedule(
        self, client: Client
    ) -> None:
        made = await create(client, schedule="0 2 * * *")

        told = {"tz": "Europe/Riga"}
        _, again = await ask(client, "POST", f"checks/{made['uuid']}", told)

        assert (again["schedule"], again["tz"]) == ("0 2 * * *", "Europe/Riga")

    async def test_what_is_left_out_stays(self, client: Client) -> None:
        made = await create(client, tags="a")
        where = f"checks/{made['uuid']}"

        status, again = await ask(client, "POST", where, {"grace": 60})

        assert status == 200
        assert again == {**made, "grace": 60}

    async def test_a_schedule_takes_the_place_of_a_timeout_and_back(
        self, client: Client
    ) -> None:
        where = f"checks/{(await create(client))['uuid']}"

        _, cron = await ask(client, "POST", where, {"schedule": "0 2 * * *"})
        _, back = await ask(client, "POST", where, {"timeout": 60})

        assert "timeout" not in cron
        assert (back["timeout"], "schedule" in back) == (60, False)

    async def test_a_name_can_be_changed_and_the_jobs_stays(
        self, client: Client, service: Service
    ) -> None:
        where = f"checks/{(await create(client))['uuid']}"

        for name in ("Other", "hourly"):
            status, answer = await ask(client, "POST", where, {"name": name})
            assert (status, answer["name"], answer["slug"]) == (200, name, "hourly")
        assert [job.name for job, _ in service.watched()] == ["hourly"]

    async def test_a_slug_is_the_jobs_and_stays(self, client: Client) -> None:
        where = f"checks/{(await create(client))['uuid']}"

        status, answer = await ask(client, "POST", where, {"slug": "other"})

        assert status == 400
        assert "slug cannot be changed" in answer["error"]

    async def test_what_stands_in_the_file_counts_for_more(self, filed: Client) -> None:
        """Who provisions checks by a program is not to fail for it."""
        told = {"name": "nightly", "grace": 60, "unique": ["name"]}
        status, answer = await ask(filed, "POST", "checks/", told, "web-api-key")

        assert (status, answer["grace"]) == (200, 1800)


class TestPausing:
    async def test_lasts_until_the_next_ping(self, client: Client) -> None:
        made = await create(client)
        where = f"checks/{made['uuid']}"

        assert (await ask(client, "POST", f"{where}/pause"))[1]["status"] == "paused"
        await client.get(f"/ping/{made['uuid']}")
        assert (await ask(client, "GET", where))[1]["status"] == "up"

    async def test_ends_when_it_is_asked_for(self, client: Client) -> None:
        where = f"checks/{(await create(client))['uuid']}"
        await ask(client, "POST", f"{where}/pause")

        status, answer = await ask(client, "POST", f"{where}/resume")
        assert (status, answer["status"]) == (200, "new")
        assert await ask(client, "POST", f"{where}/resume") == (
            409,
            {"error": "check is not paused"},
        )


class TestReading:
    async def test_checks_are_listed_by_tag_and_slug(self, client: Client) -> None:
        for name, tags in (("one", "a b"), ("two", "a"), ("three", "")):
            await create(client, name=name, tags=tags)

        async def names(query: str) -> list[str]:
            _, answer = await ask(client, "GET", f"checks/{query}")
            return [check["name"] for check in answer["checks"]]

        assert await names("") == ["one", "two", "three"]
        assert await names("?tag=a") == ["one", "two"]
        assert await names("?tag=a&tag=b") == ["one"]
        assert await names("?slug=three") == ["three"]

    async def test_a_job_that_nobody_created_is_a_check_too(
        self, client: Client
    ) -> None:
        """Its UUID is made of its name, and pings reach it by that."""
        await client.get("/ping/plain")
        _, listed = await ask(client, "GET", "checks/")
        (check,) = listed["checks"]

        await client.get(f"/ping/{check['uuid']}/fail")

        status, again = await ask(client, "GET", f"checks/{check['uuid']}")
        assert (status, again["name"], again["n_pings"]) == (200, "plain", 2)

    @pytest.mark.parametrize(
        ("minutes", "status"),
        [(0, "new"), (60, "new"), (61, "new"), (63, "down")],
    )
    async def test_a_check_that_never_pinged_is_new_until_it_is_missed(
        self,
        client: Client,
        service: Service,
        clock: ManualClock,
        minutes: int,
        status: str,
    ) -> None:
        where = f"checks/{(await create(client))['uuid']}"
        clock.show(at("21 12:00") + minutes * 60)
        await service.sweep()

        assert (await ask(client, "GET", where))[1]["status"] == status

    @pytest.mark.parametrize(
        ("minutes", "status"), [(0, "up"), (60, "up"), (61, "grace"), (63, "down")]
    )
    async def test_a_check_is_up_and_then_late_and_then_down(
        self,
        client: Client,
        service: Service,
        clock: ManualClock,
        minutes: int,
        status: str,
    ) -> None:
        made = await create(client)
        await client.get(f"/ping/{made['uuid']}")
        clock.show(at("21 12:00") + minutes * 60)
        await service.sweep()

        _, check = await ask(client, "GET", f"checks/{made['uuid']}")
        assert check["status"] == status

    async def test_a_run_that_is_open_is_a_status_of_the_first_version(
        self, client: Client
    ) -> None:
        made = await create(client)
        await client.get(f"/ping/{made['uuid']}/start")

        first = await client.get(f"/api/v1/checks/{made['uuid']}")
        assert (await first.json())["status"] == "started"
        _, third = await ask(client, "GET", f"checks/{made['uuid']}")
        assert (third["status"], third["started"]) == ("new", True)

    async def test_pings_are_the_ends_of_runs(self, client: Client) -> None:
        made = await create(client)
        await client.post(f"/ping/{made['uuid']}", data=b"120 rows")
        await client.post(f"/ping/{made['uuid']}/3", data=b"")

        _, answer = await ask(client, "GET", f"checks/{made['uuid']}/pings/")
        last, first = answer["pings"]
        assert (last["n"], last["type"], last["exitstatus"]) == (2, "fail", 3)
        assert (first["n"], first["type"], first["body_url"][-8:]) == (
            1,
            "success",
            "s/1/body",
        )
        body = await client.get(f"/api/v3/checks/{made['uuid']}/pings/1/body")
        assert await body.text() == "120 rows"
        none = await client.get(f"/api/v3/checks/{made['uuid']}/pings/2/body")
        assert none.status == 404

    async def test_flips_tell_when_it_went_down_and_up(
        self, client: Client, clock: ManualClock
    ) -> None:
        made = await create(client)
        await client.get(f"/ping/{made['uuid']}/fail")
        clock.show(at("21 12:10"))
        await client.get(f"/ping/{made['uuid']}")

        _, told = await ask(client, "GET", f"checks/{made['uuid']}/flips/")
        assert told == [
            {"timestamp": "2026-11-21T12:10:00Z", "up": 1},
            {"timestamp": "2026-11-21T12:00:00Z", "up": 0},
        ]
        where = f"checks/{made['uuid']}/flips/?seconds=60"
        assert len((await ask(client, "GET", where))[1]) == 1

    @pytest.mark.parametrize("path", ["channels/", "badges/"])
    async def test_what_alertmanager_does_is_not_here(
        self, client: Client, path: str
    ) -> None:
        status, answer = await ask(client, "GET", path)

        assert status == 200
        assert not next(iter(answer.values()))

    async def test_an_unknown_check_is_not_found(self, client: Client) -> None:
        where = "checks/0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"

        assert await ask(client, "GET", where) == (404, {"error": "check not found"})


class TestDeleting:
    async def test_a_check_retires_the_job(
        self, client: Client, service: Service
    ) -> None:
        made = await create(client)

        status, was = await ask(client, "DELETE", f"checks/{made['uuid']}")

        assert (status, was) == (200, made)
        assert service.job("hourly") is None

    async def test_what_stands_in_the_file_stays(self, filed: Client) -> None:
        _, answer = await ask(filed, "GET", "checks/", key="web-api-key")
        (check,) = answer["checks"]

        where = f"checks/{check['uuid']}"
        status, refused = await ask(filed, "DELETE", where, key="web-api-key")

        assert status == 409
        assert "remove it there" in refused["error"]


class TestKeys:
    async def test_without_one_nothing_is_told(self, filed: Client) -> None:
        assert await ask(filed, "GET", "checks/") == (
            401,
            {"error": "missing api key"},
        )
        assert await ask(filed, "GET", "checks/", key="other-key") == (
            401,
            {"error": "wrong api key"},
        )

    async def test_one_may_stand_in_the_body(self, filed: Client) -> None:
        told = {**HOURLY, "api_key": "web-api-key"}

        assert (await ask(filed, "POST", "checks/", told))[0] == 201

    async def test_each_opens_its_project_alone(self, filed: Client) -> None:
        _, web = await ask(filed, "GET", "checks/", key="web-api-key")
        _, db = await ask(filed, "GET", "checks/", key="db-api-key")

        assert [check["name"] for check in web["checks"]] == ["nightly"]
        assert [check["name"] for check in db["checks"]] == ["vacuum"]
        theirs = f"checks/{db['checks'][0]['uuid']}"
        assert (await ask(filed, "GET", theirs, key="web-api-key"))[0] == 403

    async def test_what_is_created_belongs_to_the_project(self, filed: Client) -> None:
        await ask(filed, "POST", "checks/", HOURLY, "db-api-key")

        _, db = await ask(filed, "GET", "checks/", key="db-api-key")
        assert [check["name"] for check in db["checks"]] == ["vacuum", "hourly"]

    async def test_links_begin_where_clients_reach_us(self, filed: Client) -> None:
        _, answer = await ask(filed, "GET", "checks/", key="db-api-key")
        (check,) = answer["checks"]

        assert check["ping_url"].startswith("https://afterrun.example/ping/")
        assert check["pause_url"].startswith("https://afterrun.example/api/v3/checks/")
