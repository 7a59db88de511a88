"""Reading a broken database: refused as a storage error, counted, and logged once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.core.model import Job, Kind, Ping
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.http_problems import problem_of
from afterrun_exporter.storage.sqlite import read_guard
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.fakes import ManualClock
from tests.services import job_config
from tests.storage.decisions import ran
from tests.storage.files import ask

PAGE = 4096

Read = Callable[[SQLiteStore], Awaitable[object]]


def break_table(path: Path, table: str) -> None:
    """Overwrite the first page of *table*, or of an index."""
    sql = "SELECT rootpage FROM sqlite_schema WHERE name = '%s'"
    ((page,),) = ask(path, sql % table)
    assert isinstance(page, int)
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def delete(path: Path) -> None:
    path.unlink()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    """One whose logs and alerts cannot be read."""
    async with SQLiteStore.open(path) as whole:
        await update(whole, "backup", ran())
    for table in ("logs", "alerts_opened"):
        break_table(path, table)
    async with SQLiteStore.open(path) as broken:
        yield broken


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.logs("backup"),
        lambda store: store.alerts(),
        lambda store: store.alert_stats(0.0, 5),
    ],
    ids=["logs", "alerts", "alert_stats"],
)
async def test_a_read_that_fails_is_a_storage_error(
    store: SQLiteStore, path: Path, read: Read
) -> None:
    """Seen: 500, and a traceback in the log for each."""
    with pytest.raises(StorageError) as caught:
        await read(store)

    problem = problem_of(caught.value)
    assert problem["status"] == 503
    assert problem["type"] == "urn:afterrun:problem:storage-unreadable"
    assert problem["detail"] == (
        f"cannot read from {path}: database disk image is malformed"
    )
    assert store.failures() == 1


async def test_reports_are_accepted_meanwhile(store: SQLiteStore) -> None:
    """Only what is read is broken."""
    with pytest.raises(StorageError):
        await store.logs("backup")

    await update(store, "backup", ran())

    assert len(await store.runs("backup", 10)) == 2


async def test_reads_that_fail_are_one_line_until_none_does(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others succeed in between."""
    now = 0.0
    monkeypatch.setattr(read_guard, "stopwatch", lambda: now)

    with capture_logs() as logs:
        for _ in range(20):
            with pytest.raises(StorageError):
                await store.logs("backup")
            await store.runs("backup", 10)
            now += 1.0
        now += read_guard.QUIET
        await store.runs("backup", 10)
        await store.runs("backup", 10)

    assert [line["event"] for line in logs] == [
        "storage_unreadable",
        "storage_readable",
    ]
    assert logs[1]["failures"] == 20


async def test_what_a_caller_does_wrong_is_no_storage_error(store: SQLiteStore) -> None:
    """A number that no database holds."""
    with pytest.raises(OverflowError):
        await store.runs("backup", 2**70)

    assert store.failures() == 0


async def test_a_job_whose_earlier_runs_cannot_be_read_stops_no_other(
    path: Path, clock: ManualClock
) -> None:
    """Nor is it a downtime each time: reports of other jobs are recorded."""
    jobs = job_config(Job(name="backup"), Job(name="sync"))
    async with SQLiteStore.open(path) as whole:
        service = Service(whole, clock, jobs)
        await service.start()
        for number in range(80):
            await service.record(finish("backup", clock, f"run-{number}"))
    break_table(path, "run_keys")

    async with SQLiteStore.open(path) as broken:
        service = Service(broken, clock, jobs)
        await service.start()
        with capture_logs() as logs:
            for number in range(3):
                with pytest.raises(StorageError, match="cannot read from"):
                    await service.record(finish("backup", clock, f"new-{number}"))
                await service.record(finish("sync", clock, f"run-{number}"))

        assert broken.states["sync"].runs_total == 3
        assert not service.downtimes.is_refusing
        assert service.storage_errors == 3
        assert [line["event"] for line in logs] == ["storage_unreadable"]


def finish(job: str, clock: ManualClock, run_id: str) -> Ping:
    return Ping(job=job, kind=Kind.FINISH, at=clock.now(), run_id=run_id)


async def test_a_write_of_its_own_that_fails_is_counted(
    store: SQLiteStore, path: Path
) -> None:
    """A receiver that is added, or a push: no report fails with it."""
    delete(path)

    with pytest.raises(StorageError):
        await store.remove_receivers([1])

    assert store.failures() == 1


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        (
            "INSERT INTO pushed (labels, job, families) VALUES ('{}', 'sync', '[')",
            "pushed metrics",
        ),
        (
            "INSERT INTO pushed (labels, job, families) VALUES ('{}', 'sync', '[]')",
            "pushed metrics",
        ),
        (
            (
                "INSERT INTO receivers (job, type, target, on_failure, on_timeout, "
                "on_violation, on_missed, created_at) "
                "VALUES ('sync', 'pigeon', '', 1, 1, 1, 1, 1)"
            ),
            "receiver",
        ),
    ],
)
async def test_a_row_that_cannot_be_decoded_is_named(
    path: Path, sql: str, what: str
) -> None:
    """The daemon reads both as it starts, and ends with this line."""
    async with SQLiteStore.open(path):
        pass
    ask(path, sql)

    async with SQLiteStore.open(path) as store:
        read = store.receivers if what == "receiver" else store.pushed
        with pytest.raises(StorageError) as caught:
            await read()

    assert str(caught.value).startswith(
        f"cannot read from {path}: the stored {what} of job 'sync' cannot be decoded: "
    )
