"""Requests by handler, method and status, whoever answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request

from afterrun_exporter import conventions as names
from afterrun_exporter.auth.request_caller import ROUTE
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.request_counts import (
    BOUNDS,
    OTHER,
    REQUESTS,
    HandlerCounts,
    RequestCounts,
)
from afterrun_exporter.server.security import SecuritySettings
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened
from tests.http import whole_app
from tests.openmetrics import openmetrics_families
from tests.server.everywhere import listed, path_of, routes_of

METHODS = {"delete", "get", "head", "options", "patch", "post", "put", OTHER}


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
async def door(
    service: Service, clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[Door]:
    async with opened(service, clock, front=request.param) as door:
        yield door


def results(door: Door) -> dict[tuple[str, str, int], int]:
    return {
        (handler, method, code): number
        for handler, counts in door.app[REQUESTS].handlers()
        for method, code, number in counts.results()
    }


async def test_every_answer_is_counted_once(door: Door) -> None:
    """Those of the fast path, of aiohttp, and to what is no request."""
    assert results(door) == {("/ping/{job}", "post", 200): 0}

    for line, body in (
        (b"POST /ping/backup HTTP/1.1", b'{"status": "ok"}'),
        (b"POST /ping/sync HTTP/1.1", b'{"status": "ok"}'),
        (b"POST /ping/backup HTTP/1.1", b'{"rows": ,}'),
        (b"GET /ping/backup HTTP/1.1", b""),
        (b"HEAD /-/healthy HTTP/1.1", b""),
        (b"GET /nothing/here HTTP/1.1", b""),
        (b"DELETE /-/reload HTTP/1.1", b""),
        (b"PROPFIND /ping/backup HTTP/1.1", b""),
        (b"GET /-/healthy HTTP/1.1\r\nExpect: cake", b""),
        (b"GET /\xff HTTP/1.1", b""),
    ):
        head = b"%b\r\nHost: x\r\nContent-Length: %d\r\n" % (line, len(body))
        # Counted once it has been answered.
        reader, writer = await door.connect()
        writer.write(head + b"Connection: close\r\n\r\n" + body)
        await reader.read()
        writer.close()

    assert results(door) == {
        ("/ping/{job}", "post", 200): 2,
        ("/ping/{job}", "post", 400): 1,
        ("/ping/{job}", "get", 200): 1,
        ("/-/healthy", "head", 200): 1,
        (OTHER, "get", 404): 1,
        (OTHER, "delete", 405): 1,
        (OTHER, OTHER, 405): 1,
        (OTHER, "get", 417): 1,
        (OTHER, OTHER, 400): 1,
    }


async def test_the_fast_path_counts_as_well(door: Door) -> None:
    body = b'{"status": "ok"}'
    head = b"POST /ping/backup HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

    await door.answer(head % len(body) + body)

    assert results(door) == {("/ping/{job}", "post", 200): 1}


async def test_prometheus_can_read_them(door: Door) -> None:
    await door.answer(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    _, _, text = await door.answer(
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
        b"Accept: application/openmetrics-text\r\n\r\n"
    )

    samples = {
        (one.name, *one.labels.values()): one.value
        for family in openmetrics_families(text.decode())
        for one in family.samples
    }
    assert samples[names.HTTP_REQUESTS, "404", OTHER, "get"] == 1
    assert samples[names.HTTP_REQUESTS, "200", "/ping/{job}", "post"] == 0
    assert samples[f"{names.HTTP_DURATION}_count", OTHER] == 1
    assert samples[f"{names.HTTP_DURATION}_bucket", OTHER, "+Inf"] == 1
    assert samples[f"{names.HTTP_DURATION}_sum", OTHER] > 0


async def test_the_number_of_series_depends_on_routes_alone(
    service: Service, store: MemoryStore, clock: ManualClock
) -> None:
    """Whatever jobs, keys and paths are asked for, with whatever methods."""
    app = whole_app(service, store, clock, SecuritySettings())
    counts = RequestCounts()
    routes = list(routes_of(app))
    for method, route in [*routes, ("GET", "/nothing"), ("EAT", "/ping/backup")]:
        path = path_of(route)
        for one in (path, path.replace("backup", "sync"), f"{path}/more"):
            request = make_mocked_request(method, one)
            resource = (await app.router.resolve(request)).route.resource
            request[ROUTE] = listed(resource.canonical) if resource else ""
            counts.add(request, 200, 0.0)

    handlers = dict(counts.handlers())
    templates = {route.removesuffix("{slash}") for _, route in routes}
    assert templates <= handlers.keys() <= {*templates, OTHER}
    assert {
        method for one in handlers.values() for method, _, _ in one.results()
    } <= METHODS


def test_a_duration_is_in_the_first_bucket_that_holds_it() -> None:
    counts = HandlerCounts()
    counter = counts.counter("get", 200)
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 0.001, BOUNDS[-1], 60.0):
        counts.add(counter, seconds)

    assert counts.buckets == [2, 1, 0, 0, 0, 1, 1]
    assert counts.seconds == sum((0.0, 0.005, 0.006, 10.0, 60.0))
    assert list(counts.results()) == [("get", 200, 5)]
