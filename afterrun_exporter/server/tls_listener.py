"""A listening socket for TLS that uses the newest certificate for each handshake."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from afterrun_exporter.server.connection_limits import ConnectionLimiter
from afterrun_exporter.server.tls import Certificates

#: The most connections accepted without yielding to the event loop.
AT_ONCE: Final = 100
#: Seconds to wait if the system has no more files for connections.
PAUSE: Final = 1.0

log = structlog.get_logger()


class TlsListener:
    """Accepts connections from a socket and encrypts them.

    asyncio's own server would use the first certificate permanently, and would not
    count connections before the end of the handshake.
    """

    def __init__(
        self,
        listening: socket.socket,
        connect: Callable[[], asyncio.Protocol],
        certificates: Certificates,
        limiter: ConnectionLimiter,
    ) -> None:
        self._listening = listening
        self._connect = connect
        self._certificates = certificates
        self._limiter = limiter
        self._loop = asyncio.get_running_loop()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._closed = False
        listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept no more connections, and abort unfinished handshakes."""
        self._closed = True
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for task in self._in_flight:
            task.cancel()

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("cannot_accept", error=error.strerror)  # noqa: TRY400
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE, self._resume)
                return
            if self._limiter.is_full:
                # No response is possible before the handshake, which is expensive.
                connection.close()
                continue
            # Counted at once: those accepted together must not exceed the limit.
            protocol = self._connect()
            task = self._loop.create_task(self._shake_hands(connection, protocol))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _shake_hands(
        self, connection: socket.socket, protocol: asyncio.Protocol
    ) -> None:
        connection.setblocking(False)
        limit = self._limiter.limits.asking
        is_connected = False
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._certificates.context,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=limit,
            )
            is_connected = True
        except OSError as error:
            # The client sent no TLS, or disconnected, which is no internal error.
            log.debug("handshake_failed", error=str(error))
        finally:
            if not is_connected:
                self._limiter.discard(protocol)  # type: ignore[arg-type]
                connection.close()
