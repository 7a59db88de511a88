"""What judges the daemon's promise must itself notice when the promise is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.ledger import Series, audit

AT = 1_800_000_000.0


def sent(number: int, **metrics: float) -> Ping:
    told = {
        "rows_processed": 100_000 + number,
        "file_size_bytes": 3_400_000 + number,
        "error_ratio": 0.01 + number / 10_000,
    }
    return Ping(
        job="job-000001",
        kind=Kind.FINISH,
        at=AT,
        run_id=f"single0-{number}",
        metrics={**told, **metrics},
    )


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """Return a database with the runs 1 and 2."""
    path = tmp_path / "runs.db"
    async with SQLiteStore.open(path) as store:
        service = Service(store, SystemClock(), JobConfig())
        await service.start()
        await service.record_all([sent(1), sent(2)])
    return path


def told(folder: Path, *numbers: int, of: int = 9) -> list[Series]:
    """Return a series of so many pings of which these were acknowledged."""
    file = folder / "told"
    file.write_text("".join(f"single0-{number}\n" for number in numbers), "ascii")
    return [Series("single0", file, of)]


def test_what_is_stored_as_it_was_sent_passes(database: Path, tmp_path: Path) -> None:
    count = audit(database, told(tmp_path, 1))

    assert (count.acknowledged, count.unheard, count.compared) == (1, 1, 1)


@pytest.mark.parametrize(
    ("numbers", "of", "reason"),
    [
        ((1, 2, 3), 9, "1 pings are lost, among them single0-3"),
        ((1, 1), 9, "twice"),
        ((1,), 1, "more is stored than was sent"),
    ],
)
def test_what_cannot_be_is_noticed(
    database: Path, tmp_path: Path, numbers: tuple[int, ...], of: int, reason: str
) -> None:
    with pytest.raises(RuntimeError, match=reason):
        audit(database, told(tmp_path, *numbers, of=of))


async def test_other_numbers_than_were_sent_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with SQLiteStore.open(path) as store:
        service = Service(store, SystemClock(), JobConfig())
        await service.start()
        await service.record(sent(1, rows_processed=0))

    with pytest.raises(RuntimeError, match="single0-1: sent"):
        audit(path, told(tmp_path, 1))
