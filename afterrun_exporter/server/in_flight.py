"""Requests that have been let in and not been answered yet: a stop waits for them."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler


class InFlightRequests:
    """Counts the requests that have not been answered yet."""

    def __init__(self) -> None:
        self._count = 0
        #: Whether no more is to come: every answer closes its connection.
        self.stopping = False
        self._none = asyncio.Event()

    async def done(self, patience: float, hurry: asyncio.Event | None = None) -> None:
        """Return once all are answered, after *patience* seconds, or in a *hurry*.

        From now on every answer closes its connection: no more is to come.
        """
        self.stopping = True
        if not self._count:
            return
        events = [self._none] if hurry is None else [self._none, hurry]
        waits = {asyncio.create_task(event.wait()) for event in events}
        try:
            await asyncio.wait(
                waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for one in waits:
                one.cancel()

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self.stopping and not self._count:
            self._none.set()

    def counting(self, handler: Handler) -> Handler:
        """Return *handler*, its requests counted while they are under way."""

        async def counted(request: web.Request) -> web.StreamResponse:
            with self:
                answer = await handler(request)
                if self.stopping:
                    answer.force_close()
                return answer

        return counted
