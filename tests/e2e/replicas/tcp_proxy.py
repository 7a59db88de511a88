"""A proxy between a replica and PostgreSQL: a network that can fail in several ways."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.e2e.daemon.daemon import HOST
from tests.e2e.network import free_port
from tests.patience import PATIENCE

Value = TypeVar("Value")

CHUNK: Final = 1 << 16

#: Makes a close a reset, as from a machine that knows nothing of the connection.
RESET: Final = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards connections to a port of this machine, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        #: The port to which new connections are forwarded.
        self.target = target
        #: The number of bytes that were forwarded from the target.
        self.received = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._delay = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self.heal()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def heal(self) -> None:
        """Forward everything at once again, also what has been held back."""
        self._run(self._heal())

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._run(self._cut())

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._run(self._refuse())

    def freeze(self) -> None:
        """Forward nothing any more, and close nothing, as a network that drops packets."""
        self._run(self._freeze())

    def delay(self, seconds: float) -> None:
        """Forward all bytes so much later."""
        self._delay = seconds

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _heal(self) -> None:
        self._delay = 0.0
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, HOST, self.port)

    async def _freeze(self) -> None:
        self._open.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for writer in self._writers:
            peer: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _close(self) -> None:
        await self._refuse()
        self._open.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._open.wait()
        there_reader, there_writer = await asyncio.open_connection(HOST, self.target)
        self._writers.add(there_writer)
        ways = (
            asyncio.ensure_future(self._pump(reader, there_writer)),
            asyncio.ensure_future(self._pump(there_reader, writer, counted=True)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers.discard(there_writer)
            there_writer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        counted: bool = False,
    ) -> None:
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open.wait()
            writer.write(data)
            await writer.drain()
            self.received += len(data) * counted
