"""What Cronitor's clients say of their monitors."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.config import parse
from afterrun_exporter.core.schedule import Calendar, Every, Schedule, parse_cron
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.dialects.cronitor.monitors import monitor_of
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

NIGHTLY = {
    "key": "nightly",
    "type": "job",
    "schedule": "0 2 * * *",
    "timezone": "Europe/Riga",
    "grace_seconds": 120,
    "failure_tolerance": 2,
    "assertions": ["metric.duration < 5 min", "metric.count > 0"],
    "note": "Dump the database",
    "tags": ["db"],
    "notify": ["default"],
}

FILE = """
projects: {web: {api_key: web-api-key}, db: {api_key: db-api-key}}
jobs: {vacuum: {every: 1h, project: db}}
"""


@pytest.fixture
async def service(clock: ManualClock) -> Service:
    """A service that goes by an empty file."""
    service = Service(MemoryStore(), clock, parse("{}").job_config)
    await service.start()
    return service


def basic(user: str) -> dict[str, str]:
    told = b64encode(f"{user}:".encode()).decode()
    return {"Authorization": f"Basic {told}"} if user else {}


async def put(client: Client, told: Any, key: str = "") -> tuple[int, Any]:
    body = json.dumps(told)
    answer = await client.put("/api/monitors", data=body, headers=basic(key))
    return answer.status, await answer.json()


def standing(service: Service, name: str = "nightly") -> Status:
    entry = service.job_and_state(name)
    assert entry is not None
    return status(*entry)


async def test_a_monitor_is_a_job_that_is_expected(
    client: Client, service: Service
) -> None:
    code, answer = await put(client, {"monitors": [NIGHTLY]})

    job = service.job("nightly")
    assert code == 200
    assert job is not None
    assert isinstance(job.schedule, Calendar)
    assert (job.schedule.text, job.schedule.zone) == ("0 2 * * *", "Europe/Riga")
    assert (job.grace, job.after_failures) == (120.0, 3)
    assert (job.description, job.tags) == ("Dump the database", ("db",))
    assert [rule.name for rule in job.rules] == ["duration < 5m", "count > 0"]
    (monitor,) = answer["monitors"]
    assert (monitor["key"], monitor["warnings"]) == ("nightly", [])


@pytest.mark.parametrize(
    ("schedules", "schedule"),
    [
        (["0 2 * * *"], parse_cron("0 2 * * *", "UTC")),
        (
            ["0 2 * * *", "0 4 * * SUN#1"],
            parse_cron(["0 2 * * *", "0 4 * * SUN#1"], "UTC"),
        ),
        (["0 2 * * *", "0  2 * * *"], parse_cron("0 2 * * *", "UTC")),
        (["every 5 minutes"], Every(300)),
        (["every 5 minutes", "every  5 minutes"], Every(300)),
    ],
)
async def test_a_monitor_may_have_a_list_of_schedules(
    client: Client, service: Service, schedules: list[str], schedule: Schedule
) -> None:
    """And shows it: cronitor-python sends it as it stands in its YAML."""
    code, answer = await put(client, {"key": "nightly", "schedules": schedules})

    job = service.job("nightly")
    assert code == 200
    assert job is not None
    assert job.schedule == schedule
    (monitor,) = answer["monitors"]
    assert monitor["schedules"] == (
        [schedule.text] if isinstance(schedule, Every) else [*schedule.expressions]
    )


async def test_a_period_beside_other_schedules_is_refused(
    client: Client, service: Service
) -> None:
    schedules = ["every 5 minutes", "0 2 * * *"]
    code, answer = await put(client, {"key": "nightly", "schedules": schedules})

    assert code == 400
    message = (
        "schedules has a period and others: use one period, or only cron expressions"
    )
    assert message in json.dumps(answer)
    assert service.job("nightly") is None


async def test_a_problem_of_one_schedule_is_named(
    client: Client, service: Service
) -> None:
    schedules = ["0 2 * * *", "0 25 * * *"]
    await put(client, {"key": "nightly", "schedules": schedules})

    state = service.state("nightly")
    assert state is not None
    assert "schedule[1]: hour '25' is out of range" in state.unusable
    assert state.lacks_schedule


async def test_what_is_asserted_is_judged(client: Client, service: Service) -> None:
    await put(client, [NIGHTLY])
    await client.get("/p/KEY/nightly?state=complete&metric=count:0")

    assert standing(service) is Status.VIOLATED


async def test_what_is_not_reported_is_not_asserted(
    client: Client, service: Service
) -> None:
    await put(client, [NIGHTLY])
    await client.get("/p/KEY/nightly?state=complete")

    assert standing(service) is Status.OK


async def test_a_monitor_that_is_put_again_is_changed(
    client: Client, service: Service
) -> None:
    await put(client, [NIGHTLY])
    await put(client, {"key": "nightly", "schedule": "every 2 hours"})

    job = service.job("nightly")
    assert job is not None
    assert (job.schedule, job.rules) == (Every(7200.0), ())


async def test_all_monitors_are_taken_or_none(client: Client, service: Service) -> None:
    wrong = [
        {**NIGHTLY, "key": "one", "schedule": "soon"},
        {**NIGHTLY, "key": "two", "grace_seconds": "x", "failure_tolerance": -1},
        {"schedule": "every 5 min"},
        {**NIGHTLY, "failure_tolerance": "x"},
    ]
    code, answer = await put(client, wrong)

    assert code == 400
    assert answer["errors"] == [
        (
            "two: grace_seconds is 'x': use a whole number, 0 or more; "
            "failure_tolerance is -1: use a whole number, 0 or more"
        ),
        "monitors[2] has no key: give it one",
        "nightly: failure_tolerance is 'x': use a whole number, 0 or more",
    ]
    assert not list(service.watched())


async def test_where_there_is_no_room_for_all_there_is_none_for_any(
    client: Client, service: Service
) -> None:
    await service.reconfigure(parse("limits: {jobs: 1}").job_config)

    code, answer = await put(client, [{"key": "one"}, {"key": "two"}])

    assert code == 404
    assert "the limit of 1 job is reached" in answer["errors"][0]
    assert not list(service.watched())


async def test_two_keys_of_one_job_are_told(client: Client, service: Service) -> None:
    code, answer = await put(client, [{"key": "a b"}, {"key": "a-b"}])

    assert (code, answer["errors"]) == (
        400,
        ["a-b: is the job 'a-b' as another one is"],
    )
    assert not list(service.watched())


async def test_what_is_only_tried_changes_nothing(
    client: Client, service: Service
) -> None:
    told = {"monitors": [NIGHTLY], "rollback": True}
    code, answer = await put(client, told)

    assert (code, answer["monitors"][0]["key"]) == (200, "nightly")
    assert not list(service.watched())


async def test_what_cannot_be_asserted_is_said_and_costs_nothing_else(
    client: Client, service: Service
) -> None:
    told = {**NIGHTLY, "assertions": ["metric.error_rate < 0.1", "metric.count > 0"]}
    code, answer = await put(client, [told])

    assert code == 200
    (warning,) = answer["monitors"][0]["warnings"]
    assert "'metric.error_rate < 0.1' is ignored" in warning
    job = service.job("nightly")
    assert job is not None
    assert [rule.name for rule in job.rules] == ["count > 0"]


async def test_what_stands_in_the_file_counts_for_more(
    client: Client, service: Service
) -> None:
    await service.reconfigure(parse("jobs: {nightly: {every: 1d}}").job_config)

    code, answer = await put(client, [NIGHTLY])

    assert code == 200
    assert answer["monitors"][0]["warnings"] == [
        "job 'nightly' is defined in afterrun.yml; change it there"
    ]
    job = service.job("nightly")
    assert job is not None
    assert job.schedule == Every(86400.0)


@pytest.mark.parametrize("body", ["{", "", "[1]", '"x"', "null", '{"monitors": 7}'])
async def test_what_is_no_monitor_is_refused(client: Client, body: str) -> None:
    answer = await client.put("/api/monitors", data=body)

    assert answer.status == 400
    assert (await answer.json())["errors"]


class TestPausing:
    async def test_lasts_for_so_many_hours(
        self, client: Client, service: Service, clock: ManualClock
    ) -> None:
        await put(client, [NIGHTLY])
        answer = await client.get("/api/monitors/nightly/pause/2")

        assert (await answer.json())["paused"] is True
        clock.show(at("21 14:00"))
        await service.sweep()
        assert standing(service) is Status.NEW

    async def test_of_no_hours_is_its_end(
        self, client: Client, service: Service
    ) -> None:
        await put(client, [NIGHTLY])
        await client.get("/api/monitors/nightly/pause")
        assert standing(service) is Status.PAUSED

        await client.get("/api/monitors/nightly/pause/0")
        assert standing(service) is Status.NEW

    async def test_takes_more_than_a_head(
        self, client: Client, service: Service
    ) -> None:
        await put(client, [NIGHTLY])
        answer = await client.head("/api/monitors/nightly/pause")

        assert answer.status == 405
        assert standing(service) is Status.NEW


async def test_a_monitor_is_shown_and_deleted(client: Client, service: Service) -> None:
    await put(client, [NIGHTLY])

    shown = await client.get("/api/monitors/nightly")
    assert (await shown.json())["assertions"] == ["duration < 5m", "count > 0"]
    gone = await client.delete("/api/monitors/nightly")
    assert gone.status == 204
    assert service.job("nightly") is None
    assert (await client.get("/api/monitors/nightly")).status == 404


async def test_keys_open_the_monitors_of_their_project_alone(
    clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(MemoryStore(), clock, parse(FILE).job_config)
    await service.start()
    client: Client = await aiohttp_client(app_of(service, clock))

    assert (await put(client, [NIGHTLY]))[0] == 401
    assert (await put(client, [NIGHTLY], "other-key"))[0] == 401
    assert (await put(client, [NIGHTLY], "web-api-key"))[0] == 200
    job = service.job("nightly")
    assert job is not None
    assert job.project == "web"
    assert (await put(client, [NIGHTLY], "db-api-key"))[0] == 403
    where = "/api/monitors/vacuum/pause"
    refused = await client.get(where, headers=basic("web-api-key"))
    assert refused.status == 403


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("every 5 minutes", {"every": "5m"}),
        ("every  1  hour", {"every": "1h"}),
        ("every day", {"every": "1d"}),
        ("Every 90 sec", {"every": "90s"}),
        ("0  2 * * *", {"schedule": "0 2 * * *", "timezone": "UTC"}),
        (["0 2 * * *"], {"schedule": "0 2 * * *", "timezone": "UTC"}),
        (None, {}),
        ("", {}),
    ],
)
def test_a_schedule_is_written_in_many_ways(text: object, words: Any) -> None:
    assert monitor_of({"schedule": text}).description == words


@pytest.mark.parametrize(
    ("assertion", "rule"),
    [
        ("metric.duration < 5 min", "duration < 5m"),
        ("metric.duration <= 30 seconds", "duration <= 30s"),
        ("metric.duration < 1.5 hours", "duration < 1.5h"),
        ("metric.duration < 500 ms", "duration < 500ms"),
        ("metric.duration < 1 day", "duration < 1d"),
        ("job.duration < 60", "duration < 60"),
        ("metric.count>0", "count > 0"),
        ("metric.rows_done = 7", "rows_done == 7"),
        ("metric.balance != -1", "balance != -1"),
    ],
)
def test_an_assertion_is_a_rule(assertion: str, rule: str) -> None:
    told = monitor_of({"assertions": assertion})

    assert told.description == {"rules": [{"expr": rule, "on_missing": "ignore"}]}
    unknown = parse("{}").job_config.unknown
    assert unknown is not None
    (made,) = unknown("x", json.dumps(told.description)).rules
    assert made.name == rule


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["every 5 min", "0 2 * * *", "metric.count > 0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from([*NIGHTLY]), JSON))
def test_whatever_a_monitor_is_it_is_understood_or_refused(
    told: dict[str, Any],
) -> None:
    unknown = parse("{}").job_config.unknown
    assert unknown is not None
    with suppress(ValueError):
        unknown("x", json.dumps(monitor_of(told).description))
