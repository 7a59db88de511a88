"""Requests that have been let in and not been answered yet: a stop waits for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class UnderWay:
    """Counts the requests that have not been answered yet."""

    def __init__(self) -> None:
        self._count = 0
        self._stopping = False
        self._none = asyncio.Event()
        self._none.set()

    async def done(self, patience: float) -> None:
        """Return once all are answered, or after *patience* seconds.

        From now on every answer closes its connection: no more is to come.
        """
        self._stopping = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), patience)

    @property
    def middleware(self) -> Middleware:
        """What sees every request."""

        @web.middleware
        async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._count += 1
            self._none.clear()
            try:
                answer = await handler(request)
                if self._stopping:
                    answer.force_close()
                return answer
            finally:
                self._count -= 1
                if not self._count:
                    self._none.set()

        return counted
