"""``GET /metrics``, and ``GET /metrics/pushed``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.scrape_shards import Shard, parse_shard
from afterrun_exporter.engine.pushed_metrics import PushedMetrics
from afterrun_exporter.errors import RequestError
from afterrun_exporter.exposition.compression import gzipped, pack
from afterrun_exporter.exposition.formats import TEXT, accepts_gzip, negotiate
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.snapshot import blocks

#: The timeout for sending one block to a client, in seconds.
PATIENCE: Final = 60.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def metrics(exposition: Exposition, max_requests: int) -> Handler:
    """Return the handler for scrapes.

    At most *max_requests* of them are answered at once; 0 for any number.
    """
    scraping = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal scraping
        shard, families = _shard(request), request.query.getall("name[]", None)
        if 0 < max_requests <= scraping:
            text = f"{max_requests} scrapes are in progress (--web.max-requests)\n"
            return web.Response(status=503, text=text)
        scraping += 1
        try:
            content_type, is_openmetrics = negotiate(_joined(request, hdrs.ACCEPT))
            page = await exposition.scrape(
                shard,
                families and frozenset(families),
                is_openmetrics=is_openmetrics,
            )
            response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: content_type})
            if accepts_gzip(_joined(request, hdrs.ACCEPT_ENCODING)):
                response.headers[hdrs.CONTENT_ENCODING] = "gzip"
                pieces = await page.compressed()
            else:
                pieces = page.text()
            await _send(request, response, pieces)
            return response
        finally:
            scraping -= 1

    return handle


def pushed_again(pushed: PushedMetrics) -> Handler:
    """Return the handler for scrapes of pushed metrics with their original names.

    They have the text format for every client, like those of Pushgateway. OpenMetrics
    has no counters without _total, no gauge beside a counter of the same name, and
    other bounds of buckets, which would be other series for Prometheus 2.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        page = pushed.page()
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: TEXT})
        pieces = [page]
        if accepts_gzip(_joined(request, hdrs.ACCEPT_ENCODING)):
            response.headers[hdrs.CONTENT_ENCODING] = "gzip"
            pieces = gzipped(await asyncio.to_thread(pack, [page]), b"")
        await _send(request, response, pieces)
        return response

    return handle


def _joined(request: web.Request, header: str) -> str:
    """Return all values of *header* as one."""
    return ",".join(request.headers.getall(header, ()))


def _shard(request: web.Request) -> Shard:
    query = request.query
    try:
        return parse_shard(query.get("shard"), query.get("shards"))
    except ValueError as error:
        raise RequestError(str(error)) from None


async def _send(
    request: web.Request, response: web.StreamResponse, pieces: Sequence[bytes]
) -> None:
    response.content_length = sum(map(len, pieces))
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return
    # Clients may disconnect early.
    with suppress(ConnectionError):
        for block in blocks(pieces):
            try:
                async with asyncio.timeout(PATIENCE):
                    await response.write(block)
                    # write() may not yield if the network accepts data at once.
                    await yield_to_loop()
            except TimeoutError:
                # A stalled client must not block a slot for scrapes.
                if request.transport is not None:
                    request.transport.abort()
                return
