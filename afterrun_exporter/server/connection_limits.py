"""Limits on the number of connections and on slow clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, Protocol, cast

import structlog
from aiohttp.http import SERVER_SOFTWARE

from afterrun_exporter import http_problems
from afterrun_exporter.engine.periodic import PeriodicTask

#: Seconds between checks of the connections.
LOOK_EVERY: Final = 1.0

#: Seconds between log lines about slow connections.
LOG_EVERY: Final = 60.0

#: The most refused connections that get a 503 at a time, unless files are scarce, and
#: the seconds for which they stay open.
MOST_REFUSED: Final = 256
REFUSAL_SECONDS: Final = 1.0

TOO_MANY: Final = "there are too many connections: try again in a moment"

log = structlog.get_logger()


class Phase(Enum):
    """The action that a connection waits for its client to take."""

    #: None, or one without a limit.
    NONE = auto()
    #: Sending the first request, up to the end of the headers.
    ASKING = auto()
    #: Sending the body.
    SENDING = auto()
    #: Reading the response.
    READING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most connections, and the most seconds of each phase."""

    connections: int = 4096
    #: The most refused connections that get a 503 at a time.
    refused_at_once: int = MOST_REFUSED
    asking: float = 10.0
    sending: float = 30.0
    reading: float = 60.0
    #: Seconds between the ends of two requests, slow sending included.
    idle: float = 75.0


class Connection(Protocol):
    """A connection of a client."""

    #: None before it is connected.
    wire: asyncio.Transport | None

    def phase(self) -> Phase:
        """Return the phase in which it waits for its client."""
        ...


@dataclass(slots=True)
class _Wait:
    phase: Phase
    since: float


class ConnectionLimiter:
    """The set of connections; closes those of slow clients.

    Connections are checked periodically, without any cost per request.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waits: dict[Connection, _Wait] = {}
        self._refused: set[RefusedConnection] = set()
        self._was_full = False
        #: Slow connections that were closed since they were logged last.
        self._closed: Counter[Phase] = Counter()
        self._logged_at = float("-inf")

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._waits])

    @property
    def is_full(self) -> bool:
        """True if the limit of connections is reached."""
        full = len(self._waits) >= self.limits.connections
        if full and not self._was_full:
            log.warning("connections_exhausted", limit=self.limits.connections)
        self._was_full = full
        return full

    def add(self, connection: Connection) -> None:
        """Add *connection*, which is about to be made."""
        now = asyncio.get_running_loop().time()
        self._waits[connection] = _Wait(Phase.ASKING, now)

    def discard(self, connection: Connection) -> None:
        """Remove *connection*."""
        self._waits.pop(connection, None)

    def refuse(self) -> asyncio.Protocol:
        """Return a protocol that refuses one connection with a 503."""
        return RefusedConnection(self._refused, self.limits.refused_at_once)

    def close_slow(self, now: float) -> None:
        """Close connections that have exceeded the limit of their phase at *now*."""
        limits = self.limits
        allowed = {
            Phase.ASKING: limits.asking,
            Phase.SENDING: limits.sending,
            Phase.READING: limits.reading,
        }
        for connection, wait in [*self._waits.items()]:
            phase = connection.phase()
            if phase is not wait.phase:
                wait.phase, wait.since = phase, now
            elif phase in allowed and now - wait.since >= allowed[phase]:
                self._closed[phase] += 1
                self.discard(connection)
                if connection.wire is not None:
                    connection.wire.abort()
        if self._closed and now - self._logged_at >= LOG_EVERY:
            for phase, count in self._closed.items():
                name = phase.name.lower()
                log.info("slow_connections_closed", phase=name, connections=count)
            self._closed.clear()
            self._logged_at = now

    def task(self) -> PeriodicTask:
        """Return the task that closes connections which have waited too long."""
        loop = asyncio.get_running_loop()

        async def check() -> None:
            self.close_slow(loop.time())

        return PeriodicTask(name="connection_check", work=check, every=LOOK_EVERY)


class RefusedConnection(asyncio.Protocol):
    """Sends a 503, waits a moment for the client to read it, and closes.

    Closing at once would reset the connection, and the response would be lost.
    """

    def __init__(
        self, refused: set[RefusedConnection], most: int = MOST_REFUSED
    ) -> None:
        self._refused = refused
        self._most = most
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._refused) >= self._most:
            self._transport.abort()
            return
        self._refused.add(self)
        self._transport.write(_FULL)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        loop = asyncio.get_running_loop()
        loop.call_later(REFUSAL_SECONDS, self._transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002
        self._refused.discard(self)


def _full() -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    response = http_problems.response(
        http_problems.problem(status, TOO_MANY, "too-many-connections")
    )
    body = cast("bytes", response.body)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {response.headers['Content-Type']}\r\n"
        f"Retry-After: {response.headers['Retry-After']}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: close\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
    )
    return head.encode() + body


_FULL: Final = _full()
