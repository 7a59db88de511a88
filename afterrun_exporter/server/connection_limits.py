"""How many connections there may be, and how long each may keep us waiting."""

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

#: How often connections are looked at, in seconds.
LOOK_EVERY: Final = 1.0

#: Seconds between two lines of the log about slow connections.
LOG_EVERY: Final = 60.0

#: Connections that are told why they are too many, unless files are few, and for how
#: long they may listen.
MOST_TOLD: Final = 256
TELL_SECONDS: Final = 1.0

TOO_MANY: Final = "there are too many connections: try again in a moment"

log = structlog.get_logger()


class Phase(Enum):
    """What a connection is waiting for its client to do."""

    #: Nothing, or nothing that has a limit.
    NONE = auto()
    #: To send its first request, up to the end of the headers.
    ASKING = auto()
    #: To send the body.
    SENDING = auto()
    #: To read the answer.
    READING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many connections there may be, and how many seconds each phase may take."""

    connections: int = 4096
    #: Connections that are told why they are too many, at once.
    told: int = MOST_TOLD
    asking: float = 10.0
    sending: float = 30.0
    reading: float = 60.0
    #: Between two requests; whoever sends the next one slowly has no longer.
    idle: float = 75.0


class Connection(Protocol):
    """A client that is connected."""

    #: None before it is connected.
    wire: asyncio.Transport | None

    def phase(self) -> Phase:
        """Return what it is waiting for."""
        ...


@dataclass(slots=True)
class _Wait:
    phase: Phase
    since: float


class ConnectionLimiter:
    """All connections; closes those that keep us waiting.

    A request costs nothing for it: the connections are looked at now and then.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waits: dict[Connection, _Wait] = {}
        self._told: set[TurnedAway] = set()
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
        """Whether another connection would be one too many."""
        full = len(self._waits) >= self.limits.connections
        if full and not self._was_full:
            log.warning("connections_exhausted", limit=self.limits.connections)
        self._was_full = full
        return full

    def add(self, connection: Connection) -> None:
        """Count *connection*, which is about to be made."""
        now = asyncio.get_running_loop().time()
        self._waits[connection] = _Wait(Phase.ASKING, now)

    def discard(self, connection: Connection) -> None:
        """Count *connection* no more."""
        self._waits.pop(connection, None)

    def turned_away(self) -> asyncio.Protocol:
        """Return what tells one connection that it is too many."""
        return TurnedAway(self._told, self.limits.told)

    def look(self, now: float) -> None:
        """Close those that have kept us waiting for too long at *now*."""
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
            self.look(loop.time())

        return PeriodicTask(name="connection_check", work=check, every=LOOK_EVERY)


class TurnedAway(asyncio.Protocol):
    """Says 503, waits a moment for that to be read, and closes.

    Closing at once would reset the connection, and what was said be lost.
    """

    def __init__(self, told: set[TurnedAway], most: int = MOST_TOLD) -> None:
        self._told = told
        self._most = most
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._told) >= self._most:
            self._transport.abort()
            return
        self._told.add(self)
        self._transport.write(_FULL)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        loop = asyncio.get_running_loop()
        loop.call_later(TELL_SECONDS, self._transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002
        self._told.discard(self)


def _full() -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    answer = http_problems.response(
        http_problems.problem(status, TOO_MANY, "too-many-connections")
    )
    body = cast("bytes", answer.body)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {answer.headers['Content-Type']}\r\n"
        f"Retry-After: {answer.headers['Retry-After']}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: close\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
    )
    return head.encode() + body


_FULL: Final = _full()
