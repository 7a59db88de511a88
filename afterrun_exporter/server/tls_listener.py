"""Connections that are encrypted: each handshake goes by the newest certificate."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

from afterrun_exporter.server.connection_limits import ConnectionLimiter
from afterrun_exporter.server.tls import Certificates

#: Connections that are taken before others get their turn.
AT_ONCE: Final = 100
#: How long is waited when the system has no more files for connections.
PAUSE: Final = 1.0

log = structlog.get_logger()


class TlsListener:
    """Takes connections from a socket, and hands them on encrypted.

    asyncio would go by the certificate of the start for ever, and count nobody who
    does not finish the handshake.
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
        """Take no more connections, and give up those that are half made."""
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
                # Nothing can be said before the handshake, which is what costs.
                connection.close()
                continue
            task = self._loop.create_task(self._shake_hands(connection))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _shake_hands(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        protocol = self._connect()
        limit = self._limiter.limits.asking
        made = False
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._certificates.context,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=limit,
            )
            made = True
        except OSError as error:
            # Whoever comes without TLS, or leaves: it is no error of ours.
            log.debug("handshake_failed", error=str(error))
        finally:
            if not made:
                self._limiter.discard(protocol)  # type: ignore[arg-type]
                connection.close()
