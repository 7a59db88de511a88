"""Loading past runs over HTTP, as docs/history.md describes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.engine.service import Service
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client

PAGE = (Path(__file__).parents[2] / "docs/history.md").read_text("utf-8")
#: It has no end.
PAST = '{"history": true}'
LINES, ANSWER = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:00"))


async def load(client: Client, body: str, query: str = "history=true") -> Any:
    """Return the results of loading *body*."""
    response = await client.post(f"/ping?{query}", data=body.encode())
    assert response.status == 200, await response.text()
    return await response.json()


def run(day: int, **more: Any) -> dict[str, Any]:
    return {"job": "sync", "ended_at": f"2026-11-{day:02}T02:00:00Z", **more}


def lines(*reports: dict[str, Any]) -> str:
    return "\n".join(json.dumps(one) for one in reports)


async def test_the_example_is_loaded_as_the_page_shows_it(
    client: Client, store: MemoryStore
) -> None:
    assert await load(client, LINES) == json.loads(ANSWER)

    runs = await store.runs("nightly-backup", 9)
    assert [(one.run_id, one.outcome, one.duration) for one in runs] == [
        ("1043", "ok", 301.5),
        ("1042", "fail", 290.0),
        ("1041", "ok", 300.0),
    ]
    assert format_time(runs[0].finished_at) == "2026-11-03T02:04:00Z"
    assert await store.alerts() == []


async def test_the_order_of_the_lines_does_not_matter(
    client: Client, store: MemoryStore, service: Service, clock: ManualClock
) -> None:
    """The results are in the order of the lines all the same."""
    days = [9, 3, 12, 5, 1]
    runs = [run(day, run_id=str(day), exit_code=day % 2) for day in days]
    told = await load(client, lines(*runs))

    assert [one["run_id"] for one in told["results"]] == [str(day) for day in days]
    state = store.states["sync"]
    assert (state.consecutive_failures, state.last_outcome) == (0, "ok")
    numbers = [one.run_id for one in await store.runs("sync", 9)]
    assert numbers == ["12", "9", "5", "3", "1"]
    clock.show(clock.now() + 3600)
    await service.sweep()
    assert await store.alerts() == []


async def test_a_file_that_is_sent_again_counts_once(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    body = lines(*(run(day, message=f"day {day}") for day in range(1, 21)))
    await load(client, body)
    clock.show(clock.now() + 86_400)
    again = await load(client, body)

    assert {one["duplicate"] for one in again["results"]} == {True}
    assert store.states["sync"].runs_total == 20


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"status": "ok"}, "send ended_at, or started_at with duration_ms"),
        ({"started_at": 1793671440}, "send ended_at, or started_at with duration_ms"),
        ({"ended_at": "soon"}, "send ended_at, or started_at with duration_ms"),
        ({"status": "start", "started_at": 1793671440}, "no start"),
        ({"status": "progress", "ended_at": 1793671440}, "no progress"),
        ({"status": "log", "ended_at": 1793671440}, "no log"),
        ({"status": "great", "ended_at": 1793671440}, "great"),
        ({"history": "maybe", "ended_at": 1793671440}, "history must be true or false"),
        ({"history": [], "ended_at": 1793671440}, "history must be true or false"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
async def test_a_line_that_cannot_be_loaded_alerts_nobody(
    client: Client, store: MemoryStore, line: dict[str, Any], error: str
) -> None:
    """Of a known job, too: an old log says nothing of how it is today."""
    await client.post("/ping/sync")
    told = await load(client, lines(run(1), {"job": "sync", **line}, run(2)))

    assert (told["accepted"], told["rejected"]) == (2, 1)
    assert error in told["results"][1]["detail"]
    assert not told["results"][1]["recorded"]
    assert store.states["sync"].runs_total == 3
    assert await store.alerts() == []


@pytest.mark.parametrize("flag", [True, "true", "1", "TRUE", 1])
async def test_a_single_report_is_history_where_it_says_so(
    client: Client, store: MemoryStore, flag: object
) -> None:
    report = {"status": "fail", "ended_at": "2026-11-01T02:00:00Z", "history": flag}
    response = await client.post("/ping/sync", json=report)

    assert (await response.json())["outcome"] == "fail"
    assert await store.alerts() == []


@pytest.mark.parametrize("flag", [None, False, "false", 0])
async def test_a_report_that_is_no_history_alerts(
    client: Client, store: MemoryStore, flag: object
) -> None:
    report = {"status": "fail", "ended_at": "2026-11-01T02:00:00Z", "history": flag}
    await client.post("/ping/sync", json=report)

    assert len(await store.alerts()) == 1


async def test_history_and_live_reports_may_share_a_request(
    client: Client, store: MemoryStore
) -> None:
    """Where a line says that it is none, it counts as any other."""
    bad = {"exit_code": 1}
    live = {"job": "sync", "history": False, **bad}
    await load(client, lines(live, run(2, **bad), run(1)))

    (alert,) = await store.alerts()
    assert alert.run == 1
    assert store.states["sync"].runs_total == 3


@pytest.mark.parametrize("query", ["history=yes", "history=", "history=2"])
async def test_a_query_that_cannot_be_read_is_refused(
    client: Client, store: MemoryStore, query: str
) -> None:
    """Taken for none, it would alert for weeks that are over."""
    response = await client.post(f"/ping?{query}", data=LINES.encode())

    assert response.status == 400
    assert "history must be true or false" in (await response.json())["detail"]
    assert "nightly-backup" not in store.states


async def test_a_single_report_of_the_past_that_cannot_be_read_alerts_nobody(
    client: Client, store: MemoryStore
) -> None:
    await client.post("/ping/sync")
    for query, body in [("?history=true", "{"), ("?history=true", "{}"), ("", PAST)]:
        response = await client.post(f"/ping/sync{query}", data=body.encode())
        assert response.status == 400

    assert store.states["sync"].runs_total == 1
    assert await store.alerts() == []


async def test_the_query_of_a_single_report_marks_it_as_well(
    client: Client, store: MemoryStore
) -> None:
    report = {"status": "fail", "ended_at": "2026-11-01T02:00:00Z"}
    response = await client.post("/ping/sync?history=true", json=report)

    assert (await response.json())["outcome"] == "fail"
    assert await store.alerts() == []


async def test_times_that_cannot_be_read_are_named(client: Client) -> None:
    """Not only as missing: milliseconds are a common mistake."""
    answer = await load(client, lines({"job": "sync", "ended_at": 1.79e12}))

    assert answer["results"][0]["detail"] == (
        "a past run needs its times: send ended_at, or started_at with duration_ms; "
        "ended_at is left out: 1790000000000.0 is not a time in Unix seconds"
    )
