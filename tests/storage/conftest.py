"""Databases and stores that the tests of this folder share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Store
from tests.fakes import MemoryStore
from tests.postgres import Database, Server
from tests.storage.postgres.stores import LoneClock
from tests.storage.postgres.tables import empty


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "afterrun.db"


@pytest.fixture(scope="session")
def shared_database(postgres_server: Server) -> Database:
    """A database for many tests, which empty it first: a new one takes longer."""
    return postgres_server.new_database()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The one that forgets, then the one that does not: they promise the same."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "postgres":
        database: Database = request.getfixturevalue("shared_database")
        await empty(database)
        async with PostgresStore.open(database.url, clock=LoneClock()) as opened_store:
            yield opened_store
    else:
        async with SQLiteStore.open(tmp_path / "afterrun.db") as opened_store:
            yield opened_store
