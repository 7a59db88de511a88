"""Pushes of jobs with `export_as: original`, over HTTP."""

from __future__ import annotations

import gzip

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.core.job_config import plain_job
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

ETL = replace(plain_job("etl"), exposes_pushes=True)
#: What a group with a NUL is called.
ODD = replace(plain_job("etl:-eu"), exposes_pushes=True)
EU = replace(plain_job("etl:eu"), exposes_pushes=True)
PLAIN = plain_job("plain")


@pytest.fixture
async def client(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    service = Service(store, clock, job_config(ETL, EU, ODD, PLAIN, unknown=None))
    await service.start()
    pushed = PushedMetrics(store, service, clock)
    await pushed.refresh()
    return await aiohttp_client(app_of(service, clock, pushed=pushed))


async def page(client: Client) -> list[str]:
    """Return the series that are exposed again, without their times."""
    response = await client.get("/metrics/pushed")
    assert response.status == 200
    assert (
        response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    )
    lines = (await response.text()).splitlines()
    return [line for line in lines if line[0] != "#" and not line.startswith("push_")]


async def times(client: Client) -> list[str]:
    text = await (await client.get("/metrics/pushed")).text()
    return [line for line in text.splitlines() if line.startswith("push_")]


async def test_put_replaces_post_adds_and_delete_forgets(client: Client) -> None:
    await client.put("/metrics/job/etl", data=b"a 1\nb 1\n")
    await client.post("/metrics/job/etl", data=b"b 2\n")
    assert await page(client) == [
        'a{instance="",job="etl"} 1',
        'b{instance="",job="etl"} 2',
    ]

    await client.put("/metrics/job/etl", data=b"c 3\n")
    assert await page(client) == ['c{instance="",job="etl"} 3']

    await client.put("/metrics/job/etl")
    assert await page(client) == []
    assert len(await times(client)) == 2

    assert (await client.delete("/metrics/job/etl")).status == 202
    assert await times(client) == []


async def test_it_is_a_run_all_the_same(client: Client, store: MemoryStore) -> None:
    body = gzip.compress(b"rows 5\n")

    response = await client.put(
        "/metrics/job/etl/region/eu", data=body, headers={"Content-Encoding": "gzip"}
    )

    assert response.status == 200
    (run,) = await store.runs("etl:eu", 9)
    assert (run.outcome, dict(run.metrics)) == ("ok", {"rows": 5})
    assert await page(client) == ['rows{instance="",job="etl",region="eu"} 5']


async def test_what_does_not_fit_is_refused_and_known_to_have_been(
    client: Client, store: MemoryStore, clock: ManualClock
) -> None:
    """The job's report is broken: that is an alert of its own."""
    await client.put("/metrics/job/etl", data=b"# TYPE m gauge\nm 1\n")
    await clock.advance(60)

    response = await client.put(
        "/metrics/job/etl/region/eu", data=b"# TYPE m counter\nm 1\n"
    )

    assert response.status == 400
    assert await response.text() == (
        "pushed metrics are invalid or inconsistent with existing metrics: "
        "m is of type counter, but gauge in another group\n"
    )
    (run,) = await store.runs("etl:eu", 9)
    assert run.outcome == "invalid"
    assert await page(client) == ['m{instance="",job="etl"} 1']
    assert await times(client) == [
        'push_failure_time_seconds{instance="",job="etl"} 0',
        f'push_failure_time_seconds{{instance="",job="etl",region="eu"}} {clock.now()}',
        f'push_time_seconds{{instance="",job="etl"}} {clock.now() - 60}',
        'push_time_seconds{instance="",job="etl",region="eu"} 0',
    ]


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b"m 1 1700000000000\n", True),
        (b"afterrun_up 1\n", True),
        (b"m 1\nm 2\n", True),
        (b"m one\n", False),
        (b"m 1", False),
        (b'm{x="\0"} 1\n', True),
    ],
)
async def test_a_push_has_failed_that_could_be_read_but_not_exposed(
    client: Client, clock: ManualClock, body: bytes, seen: bool
) -> None:
    """As in Pushgateway."""
    assert (await client.post("/metrics/job/etl", data=body)).status == 400

    assert await page(client) == []
    failed = f'push_failure_time_seconds{{instance="",job="etl"}} {clock.now()}'
    assert (failed in await times(client)) is seen


async def test_a_job_that_did_not_ask_for_it_is_not_exposed(
    client: Client, store: MemoryStore
) -> None:
    """Nor is one that is not known, and then it is no push that failed either."""
    assert (await client.put("/metrics/job/plain", data=b"m 1\n")).status == 200
    assert (await client.put("/metrics/job/nobody", data=b"m 1\n")).status == 404
    assert (await client.put("/metrics/job/plain", data=b"m one\n")).status == 400

    assert await (await client.get("/metrics/pushed")).text() == ""
    assert await store.pushed() == []


async def test_the_page_is_compressed_when_asked(client: Client) -> None:
    await client.put("/metrics/job/etl", data=b"m 1\n")

    response = await client.get("/metrics/pushed", headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert 'm{instance="",job="etl"} 1\n' in await response.text()


async def test_a_group_that_nobody_could_read_is_refused(client: Client) -> None:
    """Not even that its push has failed can be exposed."""
    response = await client.put("/metrics/job/etl/region@base64/AGV1", data=b"")

    assert response.status == 400
    assert "a NUL character is in a grouping label" in await response.text()
    assert await times(client) == []
