"""The PostgreSQL servers of the tests do what the tests believe."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.network import wait_for
from tests.postgres import USER, Database, PgBouncer, running_server

#: Starts a server, and is killed before it can stop it.
KILLED = """
import os, signal
from tests.postgres import running_server
with running_server() as server:
    print(server.folder, server._process.pid, flush=True)
    server.freeze()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_committed_rows_survive_a_killed_server(postgres: Database) -> None:
    postgres.psql("CREATE TABLE t AS SELECT 1 AS n")
    postgres.server.kill()
    postgres.server.start()

    assert postgres.psql("SELECT n FROM t") == "1"


async def test_a_frozen_server_answers_after_it_continues(postgres: Database) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.server.freeze()
    answer = asyncio.create_task(connection.fetchval("SELECT 1"))
    await asyncio.wait([answer], timeout=0.2)

    assert not answer.done()

    postgres.server.thaw()

    assert await answer == 1
    await connection.close()


async def test_databases_are_reached_by_socket_and_belong_to_their_user(
    postgres: Database,
) -> None:
    connection = await asyncpg.connect(postgres.socket_url)
    await connection.execute("CREATE TABLE t (n int)")

    assert await connection.fetchval("SHOW fsync") == "on"
    assert not await connection.fetchval(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    )
    await connection.close()


async def test_a_wrong_password_is_refused(postgres: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url.replace(f"{USER}:", f"{USER}:x"))


async def test_a_pooler_passes_transactions_on(pgbouncer: PgBouncer) -> None:
    connection = await asyncpg.connect(pgbouncer.url, statement_cache_size=0)

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


@pytest.mark.thorough
async def test_a_promoted_synchronous_standby_has_every_commit() -> None:
    with running_server() as primary:
        database = primary.new_database()
        standby = primary.standby(is_synchronous=True)
        database.psql("CREATE TABLE t AS SELECT 1 AS n")
        primary.kill()
        standby.promote()
        connection = await asyncpg.connect(database.url_of(primary, standby))

        assert await connection.fetchval("SELECT n FROM t") == 1
        await connection.close()


@pytest.mark.thorough
def test_killed_tests_leave_neither_processes_nor_files() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False
    )
    folder, process = ended.stdout.split()

    assert ended.returncode == -signal.SIGKILL
    wait_for(lambda: not Path(folder).exists())
    assert not Path(folder).exists()
    # One that has ended, but is still in the list, has no program.
    assert not Path("/proc", process, "exe").exists()
