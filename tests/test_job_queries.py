"""The page, the API and `afterrun jobs` find the same jobs, for every filter."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.core.job_query import STATES
from afterrun_exporter.core.model import BLAMELESS, Condition, Job, Outcome
from afterrun_exporter.core.state import (
    AlertKey,
    JobState,
    OpenAlert,
    OpenRun,
    Retry,
    Transition,
    UnobservedSlots,
)
from afterrun_exporter.core.transitions import registered
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.store import Change, Decide
from tests.changed import replace
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


def states_with(condition: Condition) -> set[str]:
    """Return the states of a job with this open alert."""
    if condition in {Condition.TEST, Condition.SUCCEEDED}:
        return {"ok"}
    word = {Condition.MISSED, Condition.FAILING, Condition.VIOLATED}
    states = {condition.value} if condition in word else {"ok", condition.value}
    return states if condition in BLAMELESS else {*states, "broken"}


#: Every condition and every other state, and all words by which the job is found.
JOBS: Final[dict[str, tuple[JobState, set[str]]]] = {
    **{one.value: (alerting(one), states_with(one)) for one in Condition},
    "two": (
        alerting(Condition.FAILING, Condition.SLOW),
        {"failing", "slow", "broken"},
    ),
    "three": (
        alerting(Condition.FAILING, Condition.MISSED, Condition.UPSTREAM_UNHEALTHY),
        {"missed", "failing", "upstream_unhealthy", "broken"},
    ),
    "ok": (OK, {"ok"}),
    "new": (NEW, {"new"}),
    "running": (replace(OK, open_runs=(RUN,)), {"ok", "running"}),
    "retrying": (replace(OK, retries=(RETRY,)), {"retrying"}),
    "unobserved": (replace(OK, unobserved=SLOTS), {"ok", "unobserved"}),
    "paused": (OK, {"paused"}),
}

DESCRIBED: Final[dict[str, dict[str, Any]]] = {
    "ok": {
        "labels": (("team", "data"), ("url", "https://x?a=b")),
        "project": "shop",
        "tags": ("db", "big"),
        "description": "Dump the Orders",
    },
    "new": {"labels": (("team", "data"),), "tags": ("db",), "display_name": "Orders"},
    "two": {"labels": (("team", "web"), ("zone", "")), "project": "shop"},
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
    ([("project", "shop")], ["ok", "two"]),
    ([("project", "sho")], []),
    ([("tag", "db")], ["new", "ok"]),
    ([("tag", "db"), ("tag", "big")], ["ok"]),
    ([("tag", "d")], []),
    ([("q", "RUNNING")], ["overrunning", "running"]),
    ([("q", "orders")], ["new", "ok"]),
    ([("q", "orders dump")], ["ok"]),
    ([("q", "nothing")], []),
    ([("state", "failing"), ("project", "shop")], ["two"]),
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
    return re.findall(r'<th role="rowheader"[^>]*><a [^>]*>([^<]+)</a>', page)


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


async def test_a_job_is_found_by_each_of_its_states(client: Client) -> None:
    assert set().union(*(states for _, states in JOBS.values())) == set(STATES)
    for state in STATES:
        expected = sorted(name for name, (_, states) in JOBS.items() if state in states)
        found = [await way(client, [("state", state)]) for way in WAYS]

        assert found == [expected] * 3, state


async def test_every_other_filter_finds_the_same_jobs(client: Client) -> None:
    for query, expected in FILTERS:
        found = [await way(client, query) for way in WAYS]

        assert found == [expected] * 3, query


async def test_an_invalid_filter_is_refused_with_the_same_words(client: Client) -> None:
    for name, value, message in REFUSED:
        page, *others = [await way(client, [(name, value)]) for way in WAYS]

        assert others == [message] * 2
        assert str(page).lower() == message.lower()
