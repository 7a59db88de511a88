"""In-flight requests, which a shutdown waits for."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler


class InFlightRequests:
    """Counter of in-flight requests."""

    def __init__(self) -> None:
        self._count = 0
        #: True during a shutdown: every response closes its connection.
        self.stopping = False
        self._none = asyncio.Event()

    async def drain(
        self, patience: float, stop_now: asyncio.Event | None = None
    ) -> None:
        """Wait until all requests are answered, for *patience* seconds, or until *stop_now*.

        From now on every response closes its connection.
        """
        self.stopping = True
        if not self._count:
            return
        events = [self._none] if stop_now is None else [self._none, stop_now]
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
        """Wrap *handler* to count its requests while they are in flight."""

        async def count(request: web.Request) -> web.StreamResponse:
            with self:
                response = await handler(request)
                if self.stopping:
                    response.force_close()
                return response

        return count
