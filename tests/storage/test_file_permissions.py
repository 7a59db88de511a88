"""Addresses of receivers are secrets: nobody else is to read the database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.storage.decisions import FAILING, opened


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """What most people have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    files = directory.glob("afterrun.db*")
    return {
        file.name: file.stat().st_mode & 0o777
        for file in files
        if file.suffix != ".lock"
    }


@pytest.mark.parametrize("name", ["afterrun.db", "link"])
async def test_a_new_database_is_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    """What is written ahead of it included; also by a link that leads nowhere yet."""
    (tmp_path / "link").symlink_to("afterrun.db")

    async with SQLiteStore.open(tmp_path / name) as store:
        await update(store, "backup", opened(FAILING))
        found = modes(tmp_path)

    assert found == dict.fromkeys(
        ("afterrun.db", "afterrun.db-wal", "afterrun.db-shm"), 0o600
    )


async def test_a_database_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    """Somebody may have let a group read it."""
    path = tmp_path / "afterrun.db"
    with closing(connect(path)):
        path.touch()
    path.chmod(0o640)

    async with SQLiteStore.open(path) as store:
        await update(store, "backup", opened(FAILING))
        found = modes(tmp_path)

    assert set(found.values()) == {0o640}
