"""Jobs have one state and are found by the same filters on pages, in the API and in the CLI."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from itertools import combinations, takewhile
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.core.job_query import STATES
from afterrun_exporter.core.model import Condition, Job, Outcome
from afterrun_exporter.core.state import (
    AlertKey,
    JobState,
    OpenAlert,
    OpenRun,
    Retry,
    Transition,
    UnobservedSlots,
)
from afterrun_exporter.core.status import Status
from afterrun_exporter.core.transitions import registered
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.store import Change, Decide
from tests.copies import replace
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, whole_app
from tests.services import job_config

NOON: Final = at("21 12:00")
NEW: Final = registered(Job(name="new"), NOON)
OK: Final = replace(NEW, last_outcome=Outcome.OK, last_finish_at=NOON)
RUN: Final = OpenRun(run_id="r", attempt=1, started_at=NOON)
RETRY: Final = Retry(
    run_id="r",
    attempt=1,
    max_attempts=2,
    outcome=Outcome.FAIL,
    begun_at=NOON,
    started_at=NOON,
    ended_at=NOON,
    duration=0.0,
    until=NOON + 3600,
    covers=0.0,
)
SLOTS: Final = UnobservedSlots(
    count=1, first=NOON, last=NOON, down_since=0.0, up_since=NOON
)


def alerting(*conditions: Condition) -> JobState:
    alerts = [
        OpenAlert(key=AlertKey(one), opened_at=NOON, shown_at=NOON)
        for one in conditions
    ]
    return replace(OK, alerts=tuple(alerts))


#: Conditions from the worst to the least bad one.
ORDER: Final = (
    Condition.MISSED,
    Condition.FAILING,
    Condition.VIOLATED,
    Condition.OVERRUNNING,
    Condition.SLOW,
    Condition.OVERLAPPING,
    Condition.SUCCESS_RATIO_LOW,
    Condition.UPSTREAM_UNHEALTHY,
)


#: Every condition, every pair of them and every other state, with the state of the job.
JOBS: Final[dict[str, tuple[JobState, str]]] = {
    **{one.value: (alerting(one), one.value) for one in ORDER},
    **{
        f"{worse}-{other}": (alerting(other, worse), worse.value)
        for worse, other in combinations(ORDER, 2)
    },
    "every": (replace(alerting(*ORDER), open_runs=(RUN,), retries=(RETRY,)), "missed"),
    "test": (alerting(Condition.TEST), "ok"),
    "succeeded": (alerting(Condition.SUCCEEDED), "ok"),
    "ok": (OK, "ok"),
    "new": (NEW, "new"),
    "first": (replace(NEW, open_runs=(RUN,)), "running"),
    "running": (replace(OK, open_runs=(RUN,)), "running"),
    "running-slow": (replace(alerting(Condition.SLOW), open_runs=(RUN,)), "slow"),
    "held-back": (
        replace(alerting(Condition.UPSTREAM_UNHEALTHY), open_runs=(RUN,)),
        "upstream_unhealthy",
    ),
    "retrying": (replace(OK, retries=(RETRY,)), "retrying"),
    "unobserved": (replace(OK, unobserved=SLOTS), "ok"),
    "paused": (OK, "paused"),
}
BROKEN: Final = {one.value for one in ORDER} - {"upstream_unhealthy"}


def found_by(state: str) -> list[str]:
    """Return the names of the jobs that the filter `state` finds."""
    if state == "unobserved":
        return ["unobserved"]
    states = BROKEN if state == "broken" else {state}
    return sorted(name for name, (_, word) in JOBS.items() if word in states)


DESCRIBED: Final[dict[str, dict[str, Any]]] = {
    "ok": {
        "labels": (("team", "data"), ("url", "https://x?a=b")),
        "project": "shop",
        "tags": ("db", "big"),
        "description": "Dump the Orders",
    },
    "new": {"labels": (("team", "data"),), "tags": ("db",), "display_name": "Orders"},
    "failing-slow": {"labels": (("team", "web"), ("zone", "")), "project": "shop"},
    "paused": {"enabled": False},
}

#: Filters, and the jobs that they find.
FILTERS: Final[list[tuple[list[tuple[str, str]], list[str]]]] = [
    ([("label", "team=data")], ["new", "ok"]),
    ([("label", "team:data")], ["new", "ok"]),
    ([("label", "team=data"), ("label", "url=https://x?a=b")], ["ok"]),
    ([("label", "url:https://x?a=b")], ["ok"]),
    ([("label", "team=")], []),
    ([("label", "team=Data")], []),
    ([("project", "shop")], ["failing-slow", "ok"]),
    ([("project", "sho")], []),
    ([("tag", "db")], ["new", "ok"]),
    ([("tag", "db"), ("tag", "big")], ["ok"]),
    ([("tag", "d")], []),
    ([("q", "RUNNING SLOW")], ["overrunning-slow", "running-slow"]),
    ([("q", "orders")], ["new", "ok"]),
    ([("q", "orders dump")], ["ok"]),
    ([("q", "nothing")], []),
    ([("state", "failing"), ("project", "shop")], ["failing-slow"]),
    ([("state", "ok"), ("project", "shop"), ("tag", "db"), ("q", "dump")], ["ok"]),
]

REFUSED: Final = [
    (
        "state",
        "borken",
        "unknown state 'borken'; did you mean 'broken'?",
    ),
    ("state", "x", f"unknown state 'x': use one of {', '.join(STATES)}"),
    ("label", "team", "label 'team' is not a label: write it like team=data"),
    ("label", "=data", "label '=data' is not a label: write it like team=data"),
    ("q", "x" * 201, "the search has 201 characters: use at most 200"),
]

#: Returns the names that a filter finds, or the reason why it is refused.
Find = Callable[[list[tuple[str, str]]], Awaitable[list[str] | str]]


def recorded(name: str) -> Decide:
    return lambda _: Transition(state=JOBS[name][0])


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    store, clock = MemoryStore(), ManualClock(NOON)
    jobs = [replace(Job(name=name), **DESCRIBED.get(name, {})) for name in JOBS]
    service = Service(store, clock, job_config(*jobs))
    await service.start()
    await store.update_all([Change(name, recorded(name)) for name in JOBS])
    return await aiohttp_client(whole_app(service, store, clock, SecuritySettings()))


async def on_the_page(client: Client, query: list[tuple[str, str]]) -> list[str] | str:
    answer = await client.get(f"/?{urlencode(query)}", headers={"Accept": "text/html"})
    page = await answer.text()
    if answer.status == 400:
        (words,) = re.findall(r'<p class="words">(.*?)</p>', page)
        return unescape(words)
    return re.findall(
        r'<th role="rowheader"[^>]*>(?:<div class="name">)?<a [^>]*>([^<]+)</a>', page
    )


async def in_the_api(client: Client, query: list[tuple[str, str]]) -> list[str] | str:
    answer = await client.get(f"/api/v1/jobs?{urlencode(query)}")
    found = await answer.json()
    if answer.status == 400:
        return str(found["detail"])
    return [job["name"] for job in found["jobs"]]


async def by_the_command(
    client: Client, query: list[tuple[str, str]]
) -> list[str] | str:
    line = ["jobs", "--json", "--url", str(client.make_url(""))]
    for name, value in query:
        line += [value] if name == "q" else [f"--{name}", value]
    result = await asyncio.to_thread(CliRunner().invoke, afterrun, line)
    if result.exit_code:
        return result.stderr.removeprefix("Error: ").strip()
    return [job["name"] for job in json.loads(result.stdout)["jobs"]]


WAYS: Final = (on_the_page, in_the_api, by_the_command)


async def test_every_place_shows_the_same_state_of_a_job(client: Client) -> None:
    """Its worst open condition; a job that has one is never shown as ok."""
    expected = {name: word for name, (_, word) in JOBS.items()}
    # Pages show words without underscores.
    words = {name: word.replace("_", " ") for name, word in expected.items()}
    listed = (await (await client.get("/api/v1/jobs?limit=1000")).json())["jobs"]
    pages = [await (await client.get(f"/?page={n}")).text() for n in (1, 2)]
    rows = re.findall(
        r'<th role="rowheader"[^>]*>(?:<div class="name">)?<a [^>]*>([^<]+)</a>.*?class="state s-[^>]*>'
        r"<svg.*?</svg>([^<]+)<",
        "".join(pages),
        re.DOTALL,
    )
    table = await asyncio.to_thread(
        CliRunner().invoke, afterrun, ["jobs", "--url", str(client.make_url(""))]
    )
    rest = table.stdout.splitlines()[1:]
    lines = [re.split(r"  +", line)[:2] for line in takewhile(bool, rest)]

    assert {job["name"]: job["state"] for job in listed} == expected
    assert dict(rows) == words
    assert {name: word.split(",")[0] for name, word in lines} == expected
    for name, word in expected.items():
        job = await (await client.get(f"/api/v1/jobs/{name}")).json()
        page = await (await client.get(f"/jobs/{name}")).text()
        badge = await (await client.get(f"/badge/{name}.svg")).text()

        assert job["state"] == word
        assert f"<title>{name}: {words[name]} · AfterRun</title>" in page
        assert f"<title>{name}: {word}</title>" in badge


async def test_every_place_counts_the_same_jobs_in_a_state(client: Client) -> None:
    """The filters, the choices of the page, and the metric, each job once."""
    page = await (await client.get("/")).text()
    choices = re.findall(r'<option value="([a-z_]+)"[^>]*>[^<]+\((\d+)\)', page)
    metrics = await (await client.get("/metrics")).text()
    gauges = re.findall(r'^afterrun_jobs{state="(\w+)"} (\d+)', metrics, re.MULTILINE)
    expected = {state: len(found_by(state)) for state in STATES}
    words = {state: expected[state] for state in Status}

    assert {state: int(n) for state, n in gauges} == words
    assert sum(words.values()) == len(JOBS)
    assert {one: int(n) for one, n in choices if one in STATES} == expected
    for state in STATES:
        found = [await way(client, [("state", state)]) for way in WAYS]

        assert found == [found_by(state)] * 3, state


async def test_every_other_filter_finds_the_same_jobs(client: Client) -> None:
    for query, expected in FILTERS:
        found = [await way(client, query) for way in WAYS]

        assert found == [expected] * 3, query


async def test_an_invalid_filter_is_refused_with_the_same_words(client: Client) -> None:
    for name, value, message in REFUSED:
        page, *others = [await way(client, [(name, value)]) for way in WAYS]

        assert others == [message] * 2
        assert str(page).lower() == message.lower()
