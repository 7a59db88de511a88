"""Opening a database: what cannot be used is refused with the reason and the way out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import asyncpg
import pytest

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres import connection, migrations
from afterrun_exporter.storage.postgres.migrations import migrate
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import update
from tests.e2e.network import free_port
from tests.postgres import PASSWORD, Database, PgBouncer
from tests.storage.decisions import ran
from tests.storage.postgres.stores import LoneClock, replicas, stored


async def refusal(url: str) -> str:
    """Return the reason for which the database at *url* cannot be used."""
    with pytest.raises(StorageError) as caught:
        async with PostgresStore.open(url, clock=LoneClock()):
            pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (lambda url: url.replace("127.0.0.1", "nowhere.invalid"), "unknown host"),
        (
            lambda url: url.replace(":p%2F", ":q%2F"),
            "password authentication failed",
        ),
        (lambda url: url.replace("/test_", "/other_"), "create it with `createdb`"),
        (lambda url: f"{url}?sslmode=require", "SSL"),
        (lambda url: f"{url}?sslmode=sometimes", "sslmode"),
    ],
)
async def test_a_database_that_is_not_there_is_refused(
    postgres: Database, changed: Callable[[str], str], problem: str
) -> None:
    """And no message has the password."""
    url = changed(postgres.url)
    assert url != postgres.url

    reason = await refusal(url)

    assert problem in reason
    assert url.partition("@")[2].partition("?")[0] in reason
    assert PASSWORD not in reason
    assert "50%" not in reason


async def test_a_server_that_is_not_there_is_refused(postgres: Database) -> None:
    url = postgres.url.replace(f":{postgres.server.port}/", f":{free_port()}/")

    assert "connection refused: is PostgreSQL running there?" in await refusal(url)


async def test_each_of_several_hosts_is_tried_and_named(postgres: Database) -> None:
    good = f"127.0.0.1:{postgres.server.port}"
    gone = f"127.0.0.1:{free_port()}"
    url = postgres.url.replace(good, f"{gone},nowhere.invalid")

    reason = await refusal(url)

    assert f"{gone}: connection refused" in reason
    assert "nowhere.invalid: unknown host" in reason
    url = postgres.url.replace(good, f"{gone},{good}")
    async with PostgresStore.open(url, clock=LoneClock()) as store:
        await update(store, "backup", ran())


async def test_a_server_that_refuses_writes_is_refused(postgres: Database) -> None:
    postgres.server.psql(
        f"ALTER DATABASE {postgres.name} SET default_transaction_read_only = on"
    )

    assert "the server refuses writes" in await refusal(postgres.url)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("jobs (id bigint)", 'relation "jobs" already exists'),
        ("schema_version (version int)", 'column "number" does not exist'),
    ],
)
async def test_a_database_of_another_program_is_left_alone(
    postgres: Database, table: str, problem: str
) -> None:
    postgres.psql(f"CREATE TABLE {table}")

    reason = await refusal(postgres.url)

    assert f"tables of another program ({problem})" in reason
    assert postgres.psql("SELECT to_regclass('runs') IS NULL") == "t"


@pytest.mark.parametrize("is_pooled", [False, True])
async def test_the_tables_may_be_in_a_schema_of_their_own(
    postgres: Database, pgbouncer: PgBouncer, is_pooled: bool
) -> None:
    """And settings of the database for other programs change nothing."""
    postgres.psql("""CREATE SCHEMA "a 'b" """)
    postgres.server.psql(
        f"ALTER DATABASE {postgres.name} "
        "SET default_transaction_isolation = 'serializable'"
    )
    more = "search_path=%22a+%27b%22,public"
    pooled_url = f"{pgbouncer.url}?pooler=transaction&{more}"
    url = pooled_url if is_pooled else f"{postgres.url}?{more}"

    async with (
        PostgresStore.open(url, clock=LoneClock()) as first,
        PostgresStore.open(url, clock=LoneClock()) as second,
    ):
        await update(first, "backup", ran())
        await update(second, "backup", ran())

        assert second.replicas.conflicts == 1
    assert postgres.psql("""SELECT count(*) FROM "a 'b".runs""") == "2"


async def test_a_schema_that_does_not_exist_is_refused(postgres: Database) -> None:
    reason = await refusal(f"{postgres.url}?search_path=nowhere")

    assert "create the schema, or change search_path in the URL" in reason


async def test_a_file_that_does_not_exist_is_named(postgres: Database) -> None:
    reason = await refusal(
        f"{postgres.url}?sslmode=verify-full&sslrootcert=/nowhere/ca.crt"
    )

    assert "/nowhere/ca.crt" in reason


async def test_a_newer_schema_is_refused(postgres: Database) -> None:
    async with replicas(postgres, 1):
        pass
    postgres.psql("INSERT INTO schema_version (number) VALUES (9000)")

    reason = await refusal(postgres.url)

    assert "has schema 9000, this afterrun supports" in reason
    assert "run the version that wrote it, or a newer one" in reason


async def test_a_replica_goes_on_while_a_newer_one_migrates(postgres: Database) -> None:
    """Replicas are replaced one by one."""
    async with replicas(postgres, 1) as (store,):
        postgres.psql("INSERT INTO schema_version (number) VALUES (9000)")
        postgres.psql("ALTER TABLE jobs ADD COLUMN later bigint")

        await update(store, "backup", ran())
        await store.replicas.look()

        assert postgres.psql("SELECT count(*) FROM runs") == "1"


async def test_a_database_that_is_not_utf_8_is_refused(postgres: Database) -> None:
    name = f"{postgres.name}_ascii"
    postgres.server.psql(
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 OWNER afterrun"
    )

    reason = await refusal(postgres.server.url(name))

    assert "has the encoding SQL_ASCII: create it with" in reason


async def test_a_user_who_may_not_create_tables_is_told(postgres: Database) -> None:
    postgres.server.psql(f"ALTER DATABASE {postgres.name} OWNER TO postgres")
    # As it is since PostgreSQL 15.
    postgres.server.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", postgres.name)

    reason = await refusal(postgres.url)

    assert "permission denied for schema public" in reason
    assert "must own the database" in reason


async def test_a_server_that_is_too_old_is_refused(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OLDEST", 99)

    assert "is too old, version 99 or newer is required" in await refusal(postgres.url)


async def test_an_unfinished_copy_of_another_database_is_refused(
    postgres: Database,
) -> None:
    async with replicas(postgres, 1):
        pass
    postgres.psql(
        "INSERT INTO migration (one, source, tab, position) "
        "VALUES (true, '{}', 'runs', '[]')"
    )

    assert "repeat `afterrun migrate-storage`" in await refusal(postgres.url)


async def test_a_state_that_cannot_be_decoded_is_named(postgres: Database) -> None:
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
    postgres.psql("""UPDATE jobs SET state = '{"runs_total": "many"}'""")

    reason = await refusal(postgres.url)

    assert "the stored state of job 'backup' cannot be decoded" in reason


async def test_commits_that_are_not_synced_are_reported(
    postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    postgres.server.psql(f"ALTER DATABASE {postgres.name} SET synchronous_commit = off")

    async with replicas(postgres, 1):
        pass

    assert "commits_not_durable" in capsys.readouterr().out


async def test_replicas_that_start_at_once_migrate_once(postgres: Database) -> None:
    """A new database, and the same key for all of them."""
    contexts = [PostgresStore.open(postgres.url, clock=LoneClock()) for _ in range(4)]

    stores = await asyncio.gather(*(one.__aenter__() for one in contexts))
    for one in contexts:
        await one.__aexit__(None, None, None)

    assert len({store.replicas.secret for store in stores}) == 1
    numbers = postgres.psql("SELECT number FROM schema_version ORDER BY 1").split()
    assert [int(one) for one in numbers] == [n for n, _ in migrations.migrations()]


async def test_a_change_of_states_reaches_every_state(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica of the version before reads the changed state before it writes."""
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
        monkeypatch.setattr(
            migrations,
            "STATE_CHANGES",
            {9000: lambda state: state.update(missed_total=7)},
        )
        own_connection = await asyncpg.connect(postgres.url)
        await migrate(own_connection)
        await own_connection.close()
        async with replicas(postgres, 1) as (newer,):
            migrated = newer.states["backup"].missed_total

        await update(store, "backup", ran())

        assert migrated == 7
        assert store.states["backup"].missed_total == 7
        assert store.states["backup"].runs_total == 2


async def test_a_pooler_that_is_not_announced_is_recognised(
    pgbouncer: PgBouncer,
) -> None:
    reason = await refusal(pgbouncer.url)

    assert "a pooler is in between" in reason
    assert "?pooler=transaction" in reason


async def test_replicas_work_through_a_pooler(pgbouncer: PgBouncer) -> None:
    """It has fewer connections of the server than the replicas have."""
    url = f"{pgbouncer.url}?pooler=transaction"
    async with (
        PostgresStore.open(url, clock=LoneClock()) as first,
        PostgresStore.open(url, clock=LoneClock()) as second,
    ):
        for number in range(3):
            await asyncio.gather(
                *(update(store, "backup", ran()) for store in (first, second)),
                update(first, f"job-{number}", ran()),
                first.runs("backup", 1),
                second.replicas.look(),
            )
        await first.replicas.look()
        await second.replicas.look()

        assert stored(first) == stored(second)
        assert first.states["backup"].runs_total == 6
        assert [run.number for run in await second.runs("backup", 9)] == [
            6,
            5,
            4,
            3,
            2,
            1,
        ]


def test_without_the_driver_its_installation_is_described() -> None:
    code = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "try: import afterrun_exporter.storage.postgres.store\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.startswith("StorageError the package asyncpg is not installed")
    assert "pip install 'afterrun-exporter[postgres]'" in result.stdout


async def test_numbers_of_writers_are_not_reused_after_a_restore(
    postgres: Database,
) -> None:
    """A table may be newer than the counter, if tables are restored one by one."""
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
    postgres.psql("UPDATE counters SET value = 0")
    postgres.psql(f"UPDATE jobs SET stamp = {7 << 32 | 3}")  # noqa: S608

    async with replicas(postgres, 1) as (store,):
        assert store._writer.number == 8
