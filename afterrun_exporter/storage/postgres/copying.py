"""Filling an empty database with the content of another one, in steps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

import asyncpg

from afterrun_exporter.core.daily_figures import DAY
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.copied_tables import (
    TABLES,
    Checksum,
    CopiedTable,
    Row,
    Summary,
)
from afterrun_exporter.storage.postgres.address import Address
from afterrun_exporter.storage.postgres.connection import connect, failure
from afterrun_exporter.storage.postgres.failures import FAULTS
from afterrun_exporter.storage.postgres.migrations import migrate
from afterrun_exporter.storage.postgres.partitions import name_of

#: The most rows, and characters, of one transaction.
ROWS: Final = 10_000
SIZE: Final = 8_000_000
#: Rows to read at once.
READ: Final = 1_000

#: The most days with a partition of their own: each takes time to plan a query.
PARTITIONS: Final = 100

#: Seconds for a statement.
LIMIT: Final = 600.0

#: Seconds after the last sign of a replica in which it may still use the database.
ALIVE: Final = 15.0

_OTHERS: Final = """
SELECT replica FROM writers WHERE seen_at > clock_timestamp() - $1 * interval '1 s'
UNION SELECT replica FROM leader WHERE until > clock_timestamp()
ORDER BY replica
"""
_MOVE: Final = """
UPDATE migration SET tab = $1, position = $2
WHERE tab = $3 AND position = $4 AND ended_at IS NULL RETURNING true
"""
#: The tables that a replica writes to, too.
_RESULTS: Final = (*(table.name for table in TABLES), "unpunctual", "feed")

_BY_NAME: Final = {table.name: table for table in TABLES}

Rows = Callable[[CopiedTable, Sequence[Any]], Iterator[Row]]


class Place(NamedTuple):
    """The progress of a copy: a table, and the key of the last copied row of it."""

    table: str
    key: tuple[Any, ...]

    @property
    def text(self) -> str:
        return json.dumps(self.key)


class Ending(NamedTuple):
    """Values to set after all tables are copied."""

    #: The last used id of each table whose ids the database gives out.
    last_ids: Mapping[str, int]
    #: The id of the last run in the figures of days.
    last_counted: int
    #: The time of the last report; None without one.
    last_report: float | None


class CopyTarget:
    """A database that gets the content of another one."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._place = Place(TABLES[0].name, ())

    async def refuse_foreign(self) -> None:
        """Raise StorageError if a daemon uses the database, or if it has other data."""
        async with self._transaction():
            await self._refuse_used()
            if await self._connection.fetchval("SELECT true FROM migration") is None:
                await self._refuse_full()

    async def begin(self, source: Mapping[str, Summary], days: Sequence[int]) -> bool:
        """Begin or continue the copy of *source*; return False if it has ended before.

        Its runs were received on the UTC *days*, since 1970.

        From then on no daemon uses the database, until `end`. Raises StorageError if a
        daemon uses it, or if it has other data.
        """
        text = json.dumps({name: [*one] for name, one in source.items()})
        async with self._transaction():
            # Replicas register there: none does so before the end of this transaction.
            await self._connection.execute("LOCK TABLE writers IN SHARE MODE")
            row = await self._connection.fetchrow("SELECT * FROM migration")
            if row is None:
                await self._refuse_used()
                await self._refuse_full()
                await self._connection.execute(
                    "INSERT INTO migration (one, source, tab, position) "
                    "VALUES (true, $1, $2, $3)",
                    *(text, self._place.table, self._place.text),
                )
                await self._partition(days)
                return True
            if row["source"] != text:
                raise StorageError(
                    f"{self._name} has a copy of another database, or of an earlier "
                    f"state of this one, begun at {row['began_at']:%Y-%m-%d %H:%M} UTC: "
                    "use an empty database"
                )
            if row["ended_at"] is not None:
                return False
            await self._refuse_used()
            self._place = Place(row["tab"], tuple(json.loads(row["position"])))
            return True

    async def copy(self, rows: Rows, advance: Callable[[], object]) -> int:
        """Copy the rest of all tables; return the number of rows.

        *advance* is called after each row, also for those that are copied already. Each
        step is one transaction, together with the place that it reaches.
        """
        copied = 0
        names = [table.name for table in TABLES]
        first = names.index(self._place.table)
        for table in TABLES[:first]:
            await self._skip(table, advance)
        for table in TABLES[first:]:
            is_begun = table.name == self._place.table
            if is_begun and self._place.key:
                await self._skip(table, advance)
            remaining = rows(table, self._place.key if is_begun else ())
            while step := _step(remaining):
                await self._copy(table, step)
                copied += len(step)
                for _ in step:
                    advance()
        return copied

    async def _copy(self, table: CopiedTable, step: Sequence[Row]) -> None:
        place = Place(table.name, tuple(step[-1][: table.key]))
        async with self._transaction():
            await self._connection.copy_records_to_table(
                table.name, records=step, columns=table.columns
            )
            moved = await self._connection.fetchval(
                _MOVE, *(place.table, place.text, self._place.table, self._place.text)
            )
            if moved is None:
                raise StorageError(
                    f"another `afterrun migrate-storage` copies to {self._name}: "
                    "wait for its end"
                )
        self._place = place

    async def _partition(self, days: Sequence[int]) -> None:
        """Create the partitions for the newest *days*; other runs share one."""
        for day in days[-PARTITIONS:]:
            # The text has only numbers.
            await self._connection.execute(
                f"CREATE TABLE {name_of(day)} PARTITION OF runs "
                f"FOR VALUES FROM ({day * DAY:.0f}) TO ({(day + 1) * DAY:.0f})"
            )

    async def _skip(self, table: CopiedTable, advance: Callable[[], object]) -> None:
        async with self._transaction():
            count = await self._connection.fetchval(
                f"SELECT count(*) FROM {table.name}"  # noqa: S608 - a constant
            )
        for _ in range(count):
            advance()

    async def verify(
        self, source: Mapping[str, Summary], advance: Callable[[], object]
    ) -> None:
        """Compare all tables with *source*; *advance* is called after each row.

        Raises StorageError with the tables that differ.
        """
        problems = []
        for name, expected in source.items():
            summary = await self._summary(_BY_NAME[name], advance)
            if summary.rows != expected.rows:
                problems.append(
                    f"{name} has {plural(summary.rows, 'row')} instead of {expected.rows:,}"
                )
            elif summary != expected:
                problems.append(f"{name} has rows with other values")
        if problems:
            raise StorageError(
                f"{self._name} differs from the source: {'; '.join(problems)}; "
                "use an empty database that no other program writes to"
            )

    async def _summary(
        self, table: CopiedTable, advance: Callable[[], object]
    ) -> Summary:
        checksum = Checksum()
        # The text has only constants.
        sql = f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608
        async with self._transaction():
            async for row in self._connection.cursor(sql, prefetch=READ):
                checksum.add(tuple(row))
                advance()
        return checksum.summary()

    async def end(self, ending: Ending) -> None:
        """Set all that continues from the source, and allow daemons to use the database."""
        execute = self._connection.execute
        async with self._transaction():
            await self._refuse_used()
            for table, last in ending.last_ids.items():
                await execute(
                    "SELECT setval(pg_get_serial_sequence($1, 'id'), $2, $3)",
                    *(table, max(last, 1), last > 0),
                )
            await execute("UPDATE counted SET run = $1", ending.last_counted)
            if ending.last_report is not None:
                # Slots that were due since then are unobserved, not missed.
                await execute("DELETE FROM service")
                await execute(
                    "INSERT INTO service (one, alive_at) VALUES (true, $1)",
                    ending.last_report,
                )
            await execute("UPDATE migration SET ended_at = clock_timestamp()")

    async def analyze(self) -> None:
        """Collect the statistics by which the database plans queries."""
        async with self._transaction():
            for table in TABLES:
                await self._connection.execute(f"ANALYZE {table.name}")

    async def is_used(self) -> bool:
        """Return True if a daemon has ever used the database."""
        async with self._transaction():
            value = await self._connection.fetchval(
                "SELECT value FROM counters WHERE name = 'writer'"
            )
        return bool(value)

    async def _refuse_used(self) -> None:
        rows = await self._connection.fetch(_OTHERS, ALIVE)
        if rows:
            names = ", ".join(row["replica"] for row in rows)
            raise StorageError(
                f"{self._name} is in use by {names}: stop all daemons that use it, "
                f"wait {ALIVE:.0f} seconds, or use another database"
            )

    async def _refuse_full(self) -> None:
        parts = []
        for table in _RESULTS:
            count = await self._connection.fetchval(
                # A constant, and no more rows than it takes to name it.
                f"SELECT count(*) FROM (SELECT FROM {table} LIMIT 1000) t"  # noqa: S608
            )
            if count:
                parts.append(f"{table} ({count:,}{'+' if count == 1000 else ''})")
        if parts:
            raise StorageError(
                f"{self._name} already has data, in {', '.join(parts)}: "
                "use an empty database"
            )

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        # Behind a pooler, each transaction may have another connection.
        async with self._connection.transaction():
            await self._connection.execute(
                "SET LOCAL statement_timeout = 0; "
                "SET LOCAL idle_in_transaction_session_timeout = 0"
            )
            yield


@asynccontextmanager
async def copy_target(address: Address) -> AsyncIterator[CopyTarget]:
    """Open the database at *address*, and create its tables if there are none.

    Raises StorageError, also for errors inside the context.
    """
    connection = await connect(address, LIMIT, {"application_name": "afterrun"})
    try:
        async with connection.transaction():
            await migrate(connection)
        yield CopyTarget(connection, address.name)
    except FAULTS as error:
        raise failure(address, "copy to", error) from None
    finally:
        connection.terminate()


def _step(rows: Iterator[Row]) -> list[Row]:
    """Return the next rows for one transaction; none at the end."""
    step: list[Row] = []
    size = 0
    for row in islice(rows, ROWS):
        step.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > SIZE:
            break
    return step
