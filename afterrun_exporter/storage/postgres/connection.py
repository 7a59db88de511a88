"""Connections to PostgreSQL, which are replaced when they are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import asyncpg

from afterrun_exporter.errors import StorageError, UnreachableStorageError
from afterrun_exporter.storage.postgres import texts
from afterrun_exporter.storage.postgres.address import Address
from afterrun_exporter.storage.postgres.failures import (
    FAULTS,
    POOLER_HINT,
    is_lost,
    is_passing,
    reason,
)

T = TypeVar("T")

#: Uses a connection.
Act = Callable[[asyncpg.Connection], Awaitable[T]]

#: Seconds to connect to one server.
CONNECT: Final = 3.0

#: The oldest major version of PostgreSQL that is supported.
OLDEST: Final = 13

#: Seconds after which the server ends a transaction of a client that stopped, so that
#: it does not block others. With a pooler, each statement is in a transaction.
IDLE: Final = 10
IDLE_POOLED: Final = 2

#: Settings of sessions.
_SESSION: Final = {
    "application_name": "afterrun",
    # Statements take milliseconds, and compiling them hundreds.
    "jit": "off",
    # A statement sees what others committed before it, and repeats no work.
    "default_transaction_isolation": "read committed",
}


class Link:
    """One connection for one use at a time; a lost one is replaced at the next use."""

    def __init__(
        self,
        address: Address,
        timeout: float,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._address = address
        #: Seconds for each statement.
        self._timeout = timeout
        self._settings = {
            **_SESSION,
            "idle_in_transaction_session_timeout": (
                f"{IDLE_POOLED if address.is_pooled else IDLE}s"
            ),
            # The server ends a statement whose client is gone.
            "statement_timeout": f"{max(10, round(timeout))}s",
            **(settings or {}),
        }
        #: Prepares a new connection.
        self.on_connect: Act[None] | None = None
        self._lock = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None
        self._is_closed = False
        #: The number of connections so far.
        self.connections = 0

    @property
    def is_busy(self) -> bool:
        """True while it is in use."""
        return self._lock.locked()

    async def run(self, act: Act[T]) -> T:
        """Return the result of *act*: with a pooler, in one transaction.

        Raises StorageError if no connection can be opened, and the errors of *act*.
        """
        async with self._lock:
            connection = await self._usable_connection()
            try:
                return await self._act(connection, act)
            except BaseException as error:
                if self._address.is_pooled or is_lost(error):
                    self.drop()
                raise

    async def read(self, act: Act[T]) -> T:
        """Return the result of *act*, which is repeated once on a new connection.

        A server that restarted, or was replaced, ends connections between two uses.
        """
        before = self.connections
        try:
            return await self.run(act)
        except FAULTS as error:
            is_old = self.connections == before
            if not is_old or not is_lost(error) or isinstance(error, TimeoutError):
                raise
        return await self.run(act)

    def reason(self, error: BaseException) -> str:
        """Return the reason of *error* in one line, without passwords."""
        return self._address.without_secrets(reason(error))

    def drop(self) -> None:
        """Close the connection at once, without waiting for the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection, when it is not in use."""
        self._is_closed = True
        async with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            try:
                await connection.close(timeout=CONNECT)
            except FAULTS:
                connection.terminate()

    async def _usable_connection(self) -> asyncpg.Connection:
        current = self._connection
        if current is not None and not current.is_closed():
            return current
        self.drop()
        if self._is_closed:
            raise StorageError(f"the connection to {self._address.name} is closed")
        connection = await connect(self._address, self._timeout, self._settings)
        try:
            if self.on_connect is not None:
                await self._act(connection, self.on_connect)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, FAULTS):
                raise failure(self._address, "use", error) from None
            raise
        self._connection = connection
        self.connections += 1
        return connection

    async def _act(self, connection: asyncpg.Connection, act: Act[T]) -> T:
        if not self._address.is_pooled:
            return await act(connection)
        # The parts of a statement outside of a transaction, and settings, could reach
        # different connections of the server.
        settings = self._settings | dict(self._address.settings)
        sql = "".join(
            f"SELECT set_config('{name}', {_quoted(value)}, true);"
            for name, value in settings.items()
        )

        async def act_with_settings(connection: asyncpg.Connection) -> T:
            await connection.execute(sql)
            return await act(connection)

        return await _in_transaction(connection, act_with_settings)


async def connect(
    address: Address, limit: float, settings: Mapping[str, str]
) -> asyncpg.Connection:
    """Connect to the first server that accepts writes.

    *limit* is for each statement, in seconds. Raises StorageError, and
    UnreachableStorageError if a later attempt may succeed.
    """
    problems: list[str] = []
    kind: type[StorageError] = StorageError
    for host in address.hosts:
        options = address.options(host)
        try:
            return await _connect(address, options, limit, settings)
        except FAULTS as error:
            problem = _connecting(error)
            if is_passing(error):
                kind = UnreachableStorageError
            several = len(address.hosts) > 1
            problems.append(f"{host}: {problem}" if several else problem)
    message = address.without_secrets("; ".join(problems))
    raise kind(f"cannot connect to {address.name}: {message}")


async def _connect(
    address: Address,
    options: Mapping[str, Any],
    limit: float,
    settings: Mapping[str, str],
) -> asyncpg.Connection:
    # A pooler refuses settings that it does not know.
    startup = {**settings, **address.settings}
    if address.is_pooled:
        startup = {"application_name": startup["application_name"]}
    connection: asyncpg.Connection = await asyncpg.connect(
        **options,
        timeout=CONNECT,
        command_timeout=limit,
        server_settings=startup,
        statement_cache_size=0 if address.is_pooled else 100,
        max_cached_statement_lifetime=0,
    )
    try:
        _check_version(address, connection)
        await _in_transaction(connection, _set_up)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _quoted(text: str) -> str:
    """Return *text* as a constant of SQL."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'"


async def _set_up(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "text",
        schema="pg_catalog",
        encoder=texts.encode,
        decoder=texts.decode,
        format="binary",
    )


async def _in_transaction(connection: asyncpg.Connection, act: Act[T]) -> T:
    """Return the result of *act*; after an error the connection must be dropped.

    To roll back instead could wait for ever for a server that stands still.
    """
    transaction = connection.transaction(isolation="read_committed")
    await transaction.start()
    result = await act(connection)
    await transaction.commit()
    return result


def failure(address: Address, verb: str, error: BaseException) -> StorageError:
    """Return the StorageError for *error*, without passwords."""
    text = address.without_secrets(reason(error))
    kind = UnreachableStorageError if is_passing(error) else StorageError
    return kind(f"cannot {verb} {address.name}: {text}")


def _connecting(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT:.0f} s"
    text = reason(error)
    if "startup parameter" in text:
        return f"{text}: {POOLER_HINT}"
    return text


def _check_version(address: Address, connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST:
        raise StorageError(
            f"cannot use database {address.name}: PostgreSQL {version.major} is too "
            f"old, version {OLDEST} or newer is required"
        )
