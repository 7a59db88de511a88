"""Databases and stores that the tests of this folder share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.run_keys import MEMORY
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import Store
from tests.fakes import MemoryStore
from tests.postgres import Database, Server
from tests.storage.postgres.stores import LoneClock
from tests.storage.postgres.tables import empty

#: Opens a store.
Reopen = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "afterrun.db"


@pytest.fixture(scope="session")
def shared_database(postgres_server: Server) -> Database:
    """A database for many tests, which empty it first: a new one takes longer."""
    return postgres_server.new_database()


@pytest.fixture
def emptied_database(
    shared_database: Database,
    patient_limits: pytest.MonkeyPatch,  # noqa: ARG001
) -> Database:
    """The shared database, for a test that empties it first."""
    return shared_database


class PostgresStorage:
    """A database that is emptied, then opened any number of times."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_empty = False

    @asynccontextmanager
    async def __call__(self, key_memory: int = MEMORY) -> AsyncIterator[Store]:
        if not self._is_empty:
            await empty(self._database)
            self._is_empty = True
        async with PostgresStore.open(
            self._database.url, key_memory=key_memory, clock=LoneClock()
        ) as opened_store:
            yield opened_store


@pytest.fixture(params=["sqlite", "postgres"])
def reopen(request: pytest.FixtureRequest, path: Path) -> Reopen:
    """A function that opens the same storage, which is empty at first."""
    if request.param == "sqlite":
        return lambda: SQLiteStore.open(path)
    return PostgresStorage(request.getfixturevalue("emptied_database"))


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The one that forgets, then the one that does not: they promise the same."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "postgres":
        storage = PostgresStorage(request.getfixturevalue("emptied_database"))
        async with storage() as opened_store:
            yield opened_store
    else:
        async with SQLiteStore.open(tmp_path / "afterrun.db") as opened_store:
            yield opened_store
