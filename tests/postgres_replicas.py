"""Replicas over a PostgreSQL server, whose clock is turned by hand as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from afterrun_exporter.core.clock_watch import ClockJump
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import Store
from tests.fakes import ManualClock
from tests.postgres import Database

#: Found before the functions of PostgreSQL, whose schema is last.
_CLOCK = """
CREATE SCHEMA by_hand;
CREATE TABLE by_hand.time (now timestamptz NOT NULL);
INSERT INTO by_hand.time VALUES (to_timestamp({now}));
CREATE FUNCTION by_hand.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT now FROM by_hand.time';
ALTER DATABASE {name} SET search_path = public, by_hand, pg_catalog;
"""


class _Unhurried:
    """The same clock, by which nothing is repeated: the tests make replicas look."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now()

    def elapsed(self) -> float:
        return self._clock.elapsed()

    def look(self) -> ClockJump | None:
        return None

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002
        await asyncio.Event().wait()

    async def sleep_until(self, when: float) -> None:  # noqa: ARG002
        await asyncio.Event().wait()


class InPostgres:
    """Implements `tests.replicas.Backend`."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self._database = database
        self._behind = 0.0
        self._connection: asyncpg.Connection | None = None

    async def open(self, name: str, stack: AsyncExitStack) -> Store:  # noqa: ARG002
        opening = PostgresStore.open(self._database.url, clock=_Unhurried(self.clock))
        return await stack.enter_async_context(opening)

    async def look(self, store: Store) -> None:
        await store.replicas.catch_up()

    async def advance(self, seconds: float) -> None:
        self._behind += seconds
        if self._database.server.is_running:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._database.url)
            await self._connection.execute(
                "UPDATE by_hand.time SET now = now + make_interval(secs => $1)",
                self._behind,
            )
            self._behind = 0.0
        await self.clock.advance(seconds)

    async def cut(self, *, is_down: bool) -> None:
        server = self._database.server
        await asyncio.to_thread(server.stop if is_down else server.start)
        if not is_down:
            await self.advance(0.0)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


@asynccontextmanager
async def in_postgres(
    database: Database, clock: ManualClock
) -> AsyncIterator[InPostgres]:
    """Yield replicas over *database*, which has the time of *clock*."""
    database.psql(_CLOCK.format(now=clock.now(), name=database.name))
    backend = InPostgres(database, clock)
    yield backend
    await backend.close()
