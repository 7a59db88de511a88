"""``GET /metrics``."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from afterrun_exporter.clock import breathe
from afterrun_exporter.exposition.fragments import Fragments
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.service import Service

#: Prometheus 3 refuses a scrape without it.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Jobs rendered before everything else gets its turn.
STEP: Final = 100

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Exposition:
    """The text that Prometheus scrapes, kept up to date."""

    def __init__(self, service: Service, own: SelfMetrics) -> None:
        self._service = service
        self._own = own
        self._fragments = Fragments()
        self._outdated: set[str] = set()
        self._refreshing = asyncio.Lock()
        own.watch(service, self._fragments)

    async def render(self) -> bytes:
        """Return the text of all families, as of the last commit."""
        await self.refresh()
        return b"".join((*self._fragments.pieces(), self._own.render()))

    async def refresh(self) -> None:
        """Re-make the fragments of the jobs that changed."""
        service = self._service
        # Two scrapes at once: the second must not miss what the first is at.
        async with self._refreshing:
            self._outdated |= service.take_changed()
            for count, name in enumerate(sorted(self._outdated), start=1):
                job, state = service.job(name), service.state(name)
                if job is None or state is None:
                    self._fragments.drop(name)
                else:
                    self._fragments.put(job, state, service.settings)
                self._outdated.discard(name)
                if count % STEP == 0:
                    await breathe()


def metrics(exposition: Exposition, max_requests: int) -> Handler:
    """Return the handler for scrapes, at most *max_requests* of them at once."""
    scraping = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal scraping
        if scraping >= max_requests:
            text = f"{max_requests} scrapes are under way (--web.max-requests)\n"
            return web.Response(status=503, text=text)
        scraping += 1
        try:
            body = await exposition.render()
            headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE}
            if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
                loop = asyncio.get_running_loop()
                body = await loop.run_in_executor(None, gzip.compress, body, 1)
                headers[hdrs.CONTENT_ENCODING] = "gzip"
            return web.Response(body=body, headers=headers)
        finally:
            scraping -= 1

    return handle
