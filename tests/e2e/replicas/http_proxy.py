"""A load balancer that sends each request to another replica."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from tests.e2e.daemon.daemon import HOST
from tests.e2e.network import free_port
from tests.patience import PATIENCE

#: Concern one connection only, or are calculated again.
OWN_HEADERS: Final = {
    hdrs.CONNECTION,
    hdrs.KEEP_ALIVE,
    hdrs.TRANSFER_ENCODING,
    hdrs.CONTENT_LENGTH,
}


class RoundRobin:
    """Sends one request after the other to *ports* in turn, in a thread of its own.

    It repeats nothing: a replica that does not answer is a 502.
    """

    def __init__(self, ports: Sequence[int], port: int | None = None) -> None:
        self.port = port or free_port()
        #: The number of requests that each replica has answered.
        self.answered = dict.fromkeys(ports, 0)
        self._ports = list(ports)
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        self._ports.append(self._ports.pop(0))
        port = self._ports[-1]
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.title() not in OWN_HEADERS
        ]
        try:
            async with self._session.request(
                request.method,
                URL(f"http://{HOST}:{port}{request.raw_path}", encoded=True),
                data=await request.read() if request.can_read_body else None,
                headers=headers,
                allow_redirects=False,
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.CONTENT_TYPE),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502)
        self.answered[port] += 1
        kept = [
            (n, v) for n, v in answer.headers.items() if n.title() not in OWN_HEADERS
        ]
        response = web.Response(status=answer.status, body=body)
        for name, value in kept:
            if name == hdrs.CONTENT_TYPE:
                response.headers[name] = value
            else:
                response.headers.add(name, value)
        return response
