"""Preparation of the database when a store is opened."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Final, TypeVar

import asyncpg
import structlog

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import UnreadableRowError
from afterrun_exporter.storage.postgres import beat
from afterrun_exporter.storage.postgres.address import Address
from afterrun_exporter.storage.postgres.connection import failure
from afterrun_exporter.storage.postgres.connections import Connections
from afterrun_exporter.storage.postgres.failures import FAULTS, POOLER_HINT
from afterrun_exporter.storage.postgres.migrations import migrate

#: The purpose of the key that replicas share.
_KEY: Final = "replicas"

_ADD_KEY: Final = "INSERT INTO secrets VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
_GET_KEY: Final = "SELECT value FROM secrets WHERE name = $1"

#: Values of synchronous_commit with which the server answers before a commit is synced
#: to disk, or before a synchronous standby has it.
_RISKS: Final = {
    "off": "a crash of the server loses reports that were answered with 200",
    "local": "a failover to a standby may lose reports that were answered with 200",
    "remote_write": (
        "a crash of the server and its standby loses reports that were answered with 200"
    ),
}

T = TypeVar("T")

log = structlog.get_logger()


async def prepare(connections: Connections) -> bytes:
    """Migrate and check the database; return the key that all replicas share.

    Raises StorageError.
    """
    return await used(connections.address, connections.upkeep.run(_prepare))


async def used(address: Address, result: Awaitable[T]) -> T:
    """Return the *result*; its errors become StorageErrors of the start."""
    try:
        return await result
    except StorageError as error:
        if str(error).startswith("cannot "):
            raise
        raise StorageError(f"cannot use database {address.name}: {error}") from None
    except (*FAULTS, UnreadableRowError) as error:
        raise failure(address, "use database", error) from None


async def check_pooler(connection: asyncpg.Connection) -> None:
    """Raise StorageError if a pooler dropped the settings of the writer."""
    if await connection.fetchval("SHOW plan_cache_mode") != "force_generic_plan":
        raise StorageError(POOLER_HINT)


async def _prepare(connection: asyncpg.Connection) -> bytes:
    await migrate(connection)
    if await connection.fetchval("SELECT true FROM migration WHERE ended_at IS NULL"):
        raise StorageError(
            "it has a part of another database: repeat `afterrun migrate-storage`, "
            "which continues where it stopped"
        )
    setting = await connection.fetchval("SHOW synchronous_commit")
    if risk := _RISKS.get(setting):
        log.warning("commits_not_durable", synchronous_commit=setting, risk=risk)
    await beat.advance(connection)
    await connection.execute(_ADD_KEY, _KEY, secrets.token_bytes(32))
    key: bytes = await connection.fetchval(_GET_KEY, _KEY)
    return key
