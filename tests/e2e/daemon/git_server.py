"""A server of repositories over http, with a token, that can hang and be stopped."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tests.e2e.network import free_port
from tests.git.repositories import serve
from tests.patience import PATIENCE

HOST: Final = "127.0.0.1"


class GitServer:
    """`git http-backend` for the repositories in *root*, in a thread."""

    def __init__(self, root: Path, token: str) -> None:
        self.port = free_port()
        #: True to accept requests and never answer them.
        self.hangs = False
        #: The number of requests that hang.
        self.hanging = 0
        self._root = root
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Serve; return when it listens."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE)

    def stop(self) -> None:
        """Listen no longer, and close all connections."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _start(self) -> None:
        app = serve(self._root, token=self._token)
        app.middlewares.append(self._hang)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def _hang(self) -> Middleware:
        @web.middleware
        async def hang(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.hangs:
                self.hanging += 1
                await asyncio.Future()
            return await handler(request)

        return hang
