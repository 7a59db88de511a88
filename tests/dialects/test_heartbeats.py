"""Push URLs of Uptime Kuma, Dead Man's Snitch and Better Stack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.dialects.heartbeats import Heartbeat, better_stack, kuma, snitch
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

FAIL = Outcome.FAIL

KUMA = [
    ({}, Heartbeat()),
    ({"status": "up", "msg": "OK", "ping": ""}, Heartbeat()),
    ({"status": "up", "msg": "start"}, Heartbeat(kind=Kind.START, message="start")),
    ({"status": "up", "msg": "finish"}, Heartbeat(message="finish")),
    ({"status": "down", "msg": "fail"}, Heartbeat(outcome=FAIL, message="fail")),
    ({"status": "down", "msg": "start"}, Heartbeat(outcome=FAIL, message="start")),
    ({"status": "sideways"}, Heartbeat(outcome=FAIL)),
    ({"ping": "1500"}, Heartbeat(duration=1.5)),
    ({"ping": "-1"}, Heartbeat()),
    ({"ping": "nan"}, Heartbeat()),
    ({"ping": "1e99"}, Heartbeat()),
    ({"ping": "1_500"}, Heartbeat()),
    ({"ping": "\N{ARABIC-INDIC DIGIT THREE}"}, Heartbeat()),
]


@pytest.mark.parametrize(("query", "beat"), KUMA)
def test_a_push_to_uptime_kuma_says(query: dict[str, str], beat: Heartbeat) -> None:
    assert kuma(query) == beat


SNITCH = [
    ({}, Heartbeat()),
    ({"m": "42 rows"}, Heartbeat(message="42 rows")),
    ({"s": "0"}, Heartbeat(exit_code=0)),
    ({"s": "healthy"}, Heartbeat()),
    ({"s": "1"}, Heartbeat(outcome=FAIL, exit_code=1)),
    ({"s": "errored"}, Heartbeat(outcome=FAIL)),
]


@pytest.mark.parametrize(("told", "beat"), SNITCH)
def test_a_check_in_with_a_snitch_says(told: dict[str, str], beat: Heartbeat) -> None:
    assert snitch(told) == beat


BETTER = [
    ("", Heartbeat(message="out")),
    ("fail", Heartbeat(outcome=FAIL, message="out")),
    ("0", Heartbeat(exit_code=0, message="out")),
    ("7", Heartbeat(outcome=FAIL, exit_code=7, message="out")),
]


@pytest.mark.parametrize(("how", "beat"), BETTER)
def test_a_heartbeat_of_better_stack_says(how: str, beat: Heartbeat) -> None:
    assert better_stack(how, "out") == beat


@given(st.dictionaries(st.sampled_from(["status", "msg", "ping", "m", "s"]), st.text()))
def test_every_push_says_something(told: dict[str, str]) -> None:
    for beat in (kuma(told), snitch(told), better_stack(told.get("s", ""), "")):
        assert beat.kind in {Kind.START, Kind.FINISH}
        assert beat.duration is None or beat.duration >= 0


async def test_uptime_kuma_answers_in_json(client: Client, store: MemoryStore) -> None:
    response = await client.get("/api/push/token?status=down&msg=no+space")

    assert response.status == 200
    assert await response.json() == {"ok": True}
    (run,) = await store.runs("token", 9)
    assert (run.outcome, run.message) == ("fail", "no space")


async def test_borgmatic_tells_uptime_kuma_when_it_starts(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    """That it is up, which is no success."""
    await client.get("/api/push/token?status=up&msg=start")
    clock.show(clock.now() + 30)
    await client.get("/api/push/token?status=up&msg=finish")

    (run,) = await store.runs("token", 9)
    assert (run.outcome, run.duration) == ("ok", 30)


async def test_uptime_kuma_knows_one_error(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    service = Service(store, clock, job_config(BACKUP, unknown=None))
    client = await aiohttp_client(app_of(service, clock))
    for token in ("nobody", "%20"):
        response = await client.get(f"/api/push/{token}")
        assert response.status == 404
        assert (await response.json())["ok"] is False

    assert service.pings["uptime_kuma", "rejected"] == 2


async def test_a_snitch_says_thanks(client: Client, store: MemoryStore) -> None:
    response = await client.post("/snitch/c2354d53d2", data={"m": "42 rows"})

    assert response.status == 202
    assert await response.text() == "Got it, thanks!"
    (run,) = await store.runs("c2354d53d2", 9)
    assert (run.outcome, run.message) == ("ok", "42 rows")


@pytest.mark.parametrize(
    ("path", "outcome"), [("", "ok"), ("/fail", "fail"), ("/0", "ok"), ("/3", "fail")]
)
async def test_a_heartbeat_of_better_stack_brings_its_output(
    client: Client, store: MemoryStore, path: str, outcome: str
) -> None:
    response = await client.post(f"/api/v1/heartbeat/abc{path}", data="last words")

    assert response.status == 200
    (run,) = await store.runs("abc", 9)
    assert (run.outcome, run.message) == (outcome, "last words")


PATHS = ["/api/push/x", "/snitch/x", "/api/v1/heartbeat/x", "/api/v1/heartbeat/x/2"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_slash_at_the_end_does_no_harm(
    client: Client, store: MemoryStore, path: str
) -> None:
    assert (await client.get(f"{path}/")).ok

    assert len(await store.runs("x", 9)) == 1


async def test_an_exit_status_has_ascii_digits(
    client: Client, store: MemoryStore
) -> None:
    response = await client.get("/api/v1/heartbeat/x/\N{ARABIC-INDIC DIGIT THREE}")

    assert response.status == 404
    assert await store.runs("x", 9) == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_repeat_is_no_second_run_and_options_none_at_all(
    client: Client, store: MemoryStore, path: str, service: Service
) -> None:
    for _ in range(3):
        assert (await client.get(path)).ok
    assert (await client.options(path)).status == 405

    assert len(await store.runs("x", 9)) == 1
    assert sum(service.pings.values()) == 3
