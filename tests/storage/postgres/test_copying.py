"""A copy of a SQLite database in PostgreSQL has all of it, however often it stops."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.model import Outcome
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import encode_state
from afterrun_exporter.storage.copied_tables import TABLES, Row
from afterrun_exporter.storage.postgres import copying
from afterrun_exporter.storage.postgres.address import address_of
from afterrun_exporter.storage.postgres.copying import CopyTarget, Ending, copy_target
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.sqlite.export import exported
from afterrun_exporter.storage.sqlite.migrations import newest
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import AlertFilter, RunFilter, Store, update
from tests.postgres import Database, PgBouncer
from tests.storage import decisions
from tests.storage.decisions import T0, fresh
from tests.storage.postgres import content
from tests.storage.shapes import example

FORMATS: Final = sorted((Path(__file__).parents[1] / "formats").glob("*.sql"))

Rows = dict[str, list[Row]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "afterrun.db"


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[CopyTarget]:
    async with copy_target(address_of(database.url)) as target:
        yield target


def files(path: Path) -> dict[str, bytes]:
    """Return the content of all files beside *path*."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def execute(path: Path, file: Path) -> None:
    """Execute the SQL of *file*."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(file.read_text("utf-8"))


def nothing() -> None:
    """Show no progress."""


async def copied(path: Path, target: CopyTarget) -> int:
    """Copy the database at *path*, as the command does; return the number of rows."""
    with exported(path) as source:
        await target.refuse_foreign()
        summaries = source.checked(nothing)
        if not await target.begin(summaries, source.days()):
            await target.verify(summaries, nothing)
            return 0
        rows = await target.copy(source.rows, nothing)
        await target.verify(summaries, nothing)
        last_ids = {one.name: source.last_id(one) for one in TABLES if one.identity}
        await target.end(Ending(last_ids, source.last_counted, source.last_report()))
        await target.analyze()
        return rows


async def copy(path: Path, database: Database) -> int:
    async with opened(database) as target:
        return await copied(path, target)


def rows_of(path: Path) -> Rows:
    """Return the rows of a SQLite database, with the columns that both have."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: connection.execute(
                f"SELECT {', '.join(table.columns)} FROM "  # noqa: S608
                f"(SELECT *, 1 AS stamp FROM {table.name}) "
                f"ORDER BY {', '.join(table.keys)}"
            ).fetchall()
            for table in TABLES
        }


async def rows_in(database: Database) -> Rows:
    """Return the rows of a database in PostgreSQL."""
    async with opened(database) as target:
        fetch = target._connection.fetch
        return {
            table.name: [
                tuple(row)
                for row in await fetch(
                    f"SELECT {', '.join(table.columns)} FROM {table.name} "  # noqa: S608
                    f"ORDER BY {', '.join(table.keys)}"
                )
            ]
            for table in TABLES
        }


class KilledError(BaseException):
    """The process ends here."""


class Dying:
    """A connection whose process ends at the statement with a number, or after it."""

    def __init__(self, connection: asyncpg.Connection, number: int, when: str) -> None:
        self._connection = connection
        self._number = number
        self._when = when

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._connection, name)
        if name not in {
            "execute",
            "fetch",
            "fetchval",
            "fetchrow",
            "copy_records_to_table",
        }:
            return attribute

        async def act(*arguments: Any, **options: Any) -> Any:
            self._number -= 1
            if self._number == 0 and self._when == "before":
                raise KilledError
            result = await attribute(*arguments, **options)
            if self._number == 0:
                raise KilledError
            return result

        return act


# --- What is copied


async def test_everything_is_copied(path: Path, postgres: Database) -> None:
    await content.full(path)
    before = rows_of(path)

    count = await copy(path, postgres)

    assert await rows_in(postgres) == before
    assert count == sum(map(len, before.values()))
    assert all(before.values()), "each table has rows"


@pytest.mark.parametrize("file", FORMATS, ids=lambda file: file.stem)
async def test_a_database_of_an_earlier_version_is_copied_once_it_is_migrated(
    path: Path, postgres: Database, file: Path
) -> None:
    execute(path, file)
    with pytest.raises(
        StorageError, match=r"of an older version.*start `afterrun serve`"
    ):
        await copy(path, postgres)
    content.empty(path)

    await copy(path, postgres)

    assert await rows_in(postgres) == rows_of(path)


async def test_a_database_without_content_is_copied(
    path: Path, postgres: Database
) -> None:
    await copy(content.empty(path), postgres)

    assert not any((await rows_in(postgres)).values())
    assert postgres.psql("SELECT count(*) FROM service") == "0"


async def test_a_copy_goes_through_a_pooler(
    path: Path, postgres: Database, pgbouncer: PgBouncer
) -> None:
    await content.full(path)
    address = address_of(f"{pgbouncer.url}?pooler=transaction")
    async with copy_target(address) as target:
        await copied(path, target)

    assert await rows_in(postgres) == rows_of(path)


async def test_the_source_stays_as_it_is(path: Path, postgres: Database) -> None:
    await content.full(path)
    before = files(path)

    await copy(path, postgres)

    assert files(path) == before | {"afterrun.db.lock": b""}


async def test_what_a_killed_daemon_left_in_its_log_is_copied(
    path: Path, tmp_path: Path, postgres: Database
) -> None:
    """The rows are in afterrun.db-wal alone."""
    content.empty(tmp_path / "other.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        job = (7, "x", None, encode_state(fresh()), b"")
        connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", job)
        connection.commit()
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"other.db{end}", f"{path}{end}")

    await copy(path, postgres)

    assert [row[1] for row in (await rows_in(postgres))["jobs"]] == ["x"]


async def test_ids_are_not_used_again(path: Path, postgres: Database) -> None:
    """Not those of deleted receivers either."""
    await content.full(path)
    await copy(path, postgres)

    def next_id(table: str) -> int:
        query = f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"
        return int(postgres.psql(query))

    before = rows_of(path)
    assert [row[0] for row in before["receivers"]] == [2]
    assert next_id("receivers") == 4
    for table in ("jobs", "runs", "alerts", "logs", "pushed"):
        assert next_id(table) == before[table][-1][0] + 1


async def test_runs_are_in_the_partitions_of_their_days(
    path: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest days have some, and the others share one."""
    monkeypatch.setattr(copying, "PARTITIONS", 3)
    await content.full(path)

    await copy(path, postgres)

    days = Counter(int(run[9] // content.DAY) for run in rows_of(path)["runs"])
    *_, third, second, first = sorted(days)
    counts = postgres.psql(
        "SELECT tableoid::regclass, count(*) FROM runs GROUP BY tableoid ORDER BY 1"
    )
    assert counts.splitlines() == [
        f"runs_other|{days.total() - days[third] - days[second] - days[first]}",
        f"runs_20270116|{days[third]}",
        f"runs_20270117|{days[second]}",
        f"runs_20270118|{days[first]}",
    ]


async def test_the_figures_of_days_go_on_after_the_last_counted_run(
    path: Path, postgres: Database
) -> None:
    await content.full(path)

    await copy(path, postgres)

    assert postgres.psql("SELECT run FROM counted") == "3"


async def test_the_time_without_a_daemon_is_a_downtime_of_the_service(
    path: Path, postgres: Database
) -> None:
    content.empty(path)
    for number, at in enumerate((T0, T0 + 5.5, T0 + 1)):
        state = encode_state(fresh(last_ping_at=at))
        content.insert(path, "jobs", [(number + 1, f"job-{number}", None, state, b"")])

    await copy(path, postgres)

    alive_at = postgres.psql("SELECT alive_at, down_since FROM service")
    assert alive_at == f"{T0 + 5.5}|"


async def reads_of(store: Store) -> dict[str, Any]:
    """Return what a store answers to all questions of its contract."""
    jobs = sorted(store.states)
    reach = dict.fromkeys(jobs, 10 * content.DAY)
    last, finished = await store.finished_runs(0, 0.0)
    figures = await store.figures(0, 30_000)
    return {
        "states": dict(store.states),
        "outbox": dict(store.outbox.notices),
        "deliveries": store.outbox._deliveries,
        "runs": {job: await store.runs(job, 99) for job in jobs},
        "failed": await store.runs("busy", 9, before=50, outcomes=[Outcome.FAIL]),
        "recorded": await store.recorded_runs(RunFilter(since=T0, limit=99)),
        "endings": await store.endings(jobs, 9),
        "judged": await store.last_judged(jobs),
        "histories": await store.histories(reach, T0 + 4 * content.DAY, 999),
        "finished": (last, finished),
        "figures": figures._replace(jobs=sorted(figures.jobs)),
        "alerts": await store.alerts(),
        "open": await store.alerts(AlertFilter(job="broken", open=True)),
        "stats": await store.alert_stats(0.0, 9),
        "receivers": await store.receivers(),
        "pushed": await store.pushed(),
        "logs": {job: await store.logs(job) for job in jobs},
    }


async def test_the_store_answers_as_before(path: Path, postgres: Database) -> None:
    await content.full(path)
    await copy(path, postgres)

    async with PostgresStore.open(postgres.url) as store:
        after = await reads_of(store)
        (added,) = await store.add_receivers([content.receiver(1)])
        repeated = await update(store, "busy", decisions.ran(T0))
    async with SQLiteStore.open(path) as store:
        before = await reads_of(store)

    for question, answer in before.items():
        assert after[question] == answer, question
    assert added.id == 4
    assert repeated.state.runs_total == 71


# --- Any content

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(
    content.ODD
)
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False).map(lambda number: number + 0.0)
maybe: Callable[[Any], Any] = lambda one: st.none() | one  # noqa: E731
outcomes = st.sampled_from(Outcome).map(str)


def rows(*columns: Any, key: int = 1) -> Any:
    """Return a strategy for the rows of a table, with different keys."""
    return st.lists(
        st.tuples(*columns), max_size=5, unique_by=lambda row: tuple(row[:key])
    )


ANYTHING: Final = st.fixed_dictionaries(
    {
        "jobs": rows(
            integers, st.uuids().map(str), maybe(integers),
            st.sampled_from([encode_state(fresh()), encode_state(example())]),
            st.binary(min_size=8, max_size=8),
        ),
        "runs": rows(
            integers, integers, maybe(integers), integers, maybe(texts), integers,
            maybe(integers), outcomes, maybe(floats), floats, floats, maybe(floats),
            maybe(integers), st.just('{"rows":1.0}'), st.just("[]"), texts, texts, texts,
        ),
        "alerts": rows(
            integers, integers, st.just("missed"), texts, texts, texts, integers, floats,
            floats,
        ),
        "logs": rows(integers, integers, floats, maybe(texts), texts, texts),
        "outbox": rows(
            texts, texts, st.just("failing"), texts, texts, floats, maybe(floats), floats,
            st.just("{}"),
        ),
        "receivers": rows(
            integers, texts, st.just("email"), texts,
            *([st.integers(0, 1)] * 4), floats, st.integers(0, 1),
        ),
        "run_keys": rows(
            integers, integers, st.binary(min_size=256, max_size=256), floats, key=2
        ),
        "days": rows(integers, integers, *([integers] * 10), texts, integers, key=2),
    }
)  # fmt: skip


@given(tables=ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_content_is_copied(
    tmp_path: Path, postgres: Database, tables: dict[str, list[Any]]
) -> None:
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    content.empty(path)
    for table, some in tables.items():
        content.insert(path, table, some)
    names = ", ".join([*(table.name for table in TABLES), "migration", "service"])

    asyncio.run(copy(path, postgres))

    assert asyncio.run(rows_in(postgres)) == rows_of(path)
    days = "SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON oid = inhrelid"
    is_day = "inhparent = 'runs'::regclass AND relname <> 'runs_other'"
    partitions = postgres.psql(f"{days} WHERE {is_day}").split()
    drops = "".join(f"DROP TABLE {name}; " for name in partitions)
    postgres.psql(f"{drops}TRUNCATE {names}")


# --- Stopping and going on


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_copy_that_is_killed_at_any_statement_goes_on(
    path: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(copying, "ROWS", 7)
    await content.full(path)
    deaths = 0
    while True:
        async with opened(postgres) as target:
            number = deaths * 3 // 2 + 1
            target._connection = Dying(target._connection, number, when)  # type: ignore[assignment]
            try:
                await copied(path, target)
            except KilledError:
                deaths += 1
            else:
                break

    assert deaths > 10
    assert await rows_in(postgres) == rows_of(path)
    assert await copy(path, postgres) == 0


async def test_progress_counts_each_row_once_also_when_it_goes_on(
    path: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS", 7)
    await content.full(path)
    for number in (40, None):
        count = 0

        def advance() -> None:
            nonlocal count
            count += 1
            if count == number:  # noqa: B023
                raise KilledError

        async with opened(postgres) as target:
            with exported(path) as source:
                await target.begin(source.checked(nothing), source.days())
                try:
                    await target.copy(source.rows, advance)
                except KilledError:
                    continue
                assert count == source.rows_total


async def test_large_rows_are_copied_one_after_the_other(
    path: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that many of them do not fill the memory."""
    monkeypatch.setattr(copying, "SIZE", 1000)
    content.empty(path)
    content.insert(path, "logs", [(n, 1, T0, None, "x" * 700, "") for n in range(9)])
    sizes = []
    async with opened(postgres) as target:
        original = target._copy

        async def noted(table: Any, step: Any) -> None:
            sizes.append(len(step))
            await original(table, step)

        target._copy = noted  # type: ignore[method-assign]
        await copied(path, target)

    assert sizes == [2, 2, 2, 2, 1]


async def test_it_is_copied_once_only(path: Path, postgres: Database) -> None:
    await content.full(path)

    assert await copy(path, postgres) > 0
    assert await copy(path, postgres) == 0
    assert await rows_in(postgres) == rows_of(path)


async def test_two_copies_at_the_same_time_do_not_mix(
    path: Path, tmp_path: Path, postgres: Database
) -> None:
    """Of equal files, or the file would be locked."""
    await content.full(path)
    other = tmp_path / "other.db"
    shutil.copy(path, other)
    async with opened(postgres) as first, opened(postgres) as second:
        with exported(path) as source:
            summaries = source.checked(nothing)
            await first.begin(summaries, source.days())
            await second.begin(summaries, source.days())
            await first.copy(source.rows, nothing)
            with pytest.raises((StorageError, asyncpg.UniqueViolationError)):
                await second.copy(source.rows, nothing)

    assert await rows_in(postgres) == rows_of(path)


# --- Targets that are refused


async def refusal(path: Path, database: Database) -> str:
    """Return the error of a copy, without the address of the database."""
    with pytest.raises(StorageError) as caught:
        await copy(path, database)
    text = str(caught.value)
    assert "p/@:50%" not in text
    return text.partition(f"/{database.name} ")[2]


async def prepared(database: Database) -> None:
    """Create the tables."""
    async with opened(database):
        pass


async def test_a_target_with_other_data_is_refused(
    path: Path, postgres: Database
) -> None:
    await prepared(postgres)
    postgres.psql(
        "INSERT INTO jobs (name) SELECT n FROM generate_series(1, 3) n; "
        "INSERT INTO logs (job_id, at, message, metadata) "
        "SELECT 1, 0, '', '' FROM generate_series(1, 1001)"
    )

    assert await refusal(content.empty(path), postgres) == (
        "already has data, in jobs (3), logs (1,000+): use an empty database"
    )
    assert postgres.psql("SELECT count(*) FROM migration") == "0"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO writers VALUES (1, 'host-1', '', clock_timestamp() - interval '900 s')",
        "INSERT INTO leader VALUES (true, 'host-1', 1, clock_timestamp() + interval '900 s')",
    ],
)
async def test_a_target_that_a_daemon_uses_is_refused(
    path: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    await prepared(postgres)
    # As 9 of 15 seconds, which would pass on a busy machine.
    assert copying.ALIVE == 15
    monkeypatch.setattr(copying, "ALIVE", 100 * copying.ALIVE)
    postgres.psql(sql)

    assert await refusal(content.empty(path), postgres) == (
        "is in use by host-1: stop all daemons that use it, wait 1500 seconds, "
        "or use another database"
    )


async def test_a_target_on_which_a_daemon_was_tried_is_accepted(
    path: Path, postgres: Database
) -> None:
    """It has had no reports, and does not run any more."""
    await content.full(path)
    async with PostgresStore.open(postgres.url):
        pass

    assert await copy(path, postgres) > 0

    async with PostgresStore.open(postgres.url) as store:
        assert "busy" in store.states
        down = store.replicas.last_downtime
    with exported(path) as source:
        last_report = source.last_report()
    assert down is not None
    assert down.since == last_report


async def test_a_target_that_a_daemon_used_is_no_longer_touched(
    path: Path, postgres: Database
) -> None:
    await content.full(path)
    await copy(path, postgres)
    postgres.psql("UPDATE counters SET value = 1")

    async with opened(postgres) as target:
        with exported(path) as source:
            await target.refuse_foreign()
            assert not await target.begin(source.checked(nothing), source.days())
            assert await target.is_used()


async def test_a_source_that_has_changed_since_is_refused(
    path: Path, postgres: Database
) -> None:
    """Half of one state and half of another would be neither."""
    await content.full(path)
    await copy(path, postgres)
    content.insert(path, "logs", [(99, 1, T0, None, "later", "")])

    assert (await refusal(path, postgres)).startswith(
        "has a copy of another database, or of an earlier state of this one, begun at "
    )


async def test_a_target_that_another_program_changes_meanwhile_is_noticed(
    path: Path, postgres: Database
) -> None:
    await content.full(path)
    async with opened(postgres) as target:
        with exported(path) as source:
            summaries = source.checked(nothing)
            await target.begin(summaries, source.days())
            await target.copy(source.rows, nothing)
            postgres.psql(
                "UPDATE runs SET message = 'other' WHERE id = 1; "
                "DELETE FROM logs WHERE id = 1"
            )
            with pytest.raises(StorageError) as caught:
                await target.verify(summaries, nothing)

    assert "runs has rows with other values; logs has 3 rows instead of 4" in str(
        caught.value
    )


# --- Sources that are refused


def failure(path: Path) -> str:
    with pytest.raises(StorageError) as caught, exported(path) as source:
        source.checked(nothing)
    return str(caught.value).replace(str(path), "FILE")


def test_a_source_that_does_not_exist_is_refused(path: Path) -> None:
    assert failure(path) == "no database at 'FILE'"
    assert not path.exists()


def test_a_source_that_a_daemon_uses_is_refused(path: Path) -> None:
    content.empty(path)
    with exported(path):
        assert failure(path) == (
            "database 'FILE' is in use by another afterrun: stop that one first"
        )


def test_a_source_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("jobs: {}\n")
    assert failure(path) == "'FILE' is not a database"

    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    assert failure(path) == "'FILE' is not a database of AfterRun"


def test_a_source_of_a_newer_version_is_refused(path: Path) -> None:
    content.empty(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newest() + 1}")

    assert failure(path) == (
        f"'FILE' has schema {newest() + 1}, this afterrun supports {newest()}: "
        "use the version that wrote it, or a newer one"
    )


async def test_a_damaged_source_is_refused(path: Path) -> None:
    await content.full(path)
    overwrite(path, 4096 * 3, b"\xff" * 64)

    assert re.match(r"'FILE' is broken: |cannot read 'FILE': ", failure(path))


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def test_all_rows_that_cannot_be_decoded_are_named(path: Path) -> None:
    content.empty(path)
    state = encode_state(fresh())
    run = (1, None, 5, "r", 1, None, "ok", None, T0, T0, None, None)
    content.insert(
        path, "jobs", [(1, "fine", None, state, b""), (2, "odd", None, "{", b"")]
    )
    content.insert(
        path,
        "runs",
        [
            (7, *run, "{}", "[]", "", "", ""),
            (8, *run, "{", "[]", "", "", ""),
            (9, *run[:6], "splendid", *run[7:], "{}", "[]", "", "", ""),
        ],
    )
    content.insert(
        path, "outbox", [("{}", "odd", "failing", "", "", T0, None, T0, "[]")]
    )
    content.insert(path, "run_keys", [(1, 1, b"short", T0)])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO logs VALUES (3, 1, 0.0, NULL, CAST(x'ff61' AS TEXT), '')"
        )

    lines = failure(path).splitlines()

    assert lines[0] == "'FILE' has rows that cannot be decoded:"
    assert [line.partition("):")[0] for line in lines[1:-1]] == [
        "  the state of job 'odd' (table jobs, id 2",
        "  a run of job 'fine' (table runs, id 8",
        "  a run of job 'fine' (table runs, id 9",
        "  run keys of job 'fine' (table run_keys, job_id 1, chunk 1",
        "  a log message of job 'fine' (table logs, id 3",
        "  a notification of job 'odd' (table outbox, labels '{}'",
    ]
    assert "its message is not UTF-8" in failure(path)
    assert lines[-1].startswith("restore a backup, or delete these rows in a copy")


def test_many_rows_that_cannot_be_decoded_are_counted(path: Path) -> None:
    content.empty(path)
    content.insert(path, "jobs", [(n, f"j{n}", None, "{", b"") for n in range(1, 1235)])

    assert "and 1,224 more" in failure(path)
    assert len(failure(path).splitlines()) == 13


def test_every_column_of_sqlite_is_copied(path: Path) -> None:
    """All but those that PostgreSQL does without."""
    content.empty(path)
    with closing(sqlite3.connect(path)) as connection:
        tables = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table'"
            )
        }
    copied = {table.name: {*table.columns} - {"stamp"} for table in TABLES}
    tables["jobs"].remove("last_run")
    tables["runs"].remove("previous_id")

    del tables["sqlite_sequence"], tables["counted"]
    assert copied == tables


def test_a_place_is_stored_as_json() -> None:
    assert json.loads(copying.Place("days", (1, 2)).text) == [1, 2]
