"""`afterrun import runs`: history in a daemon, without alerts and without repeats."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.cli import run_loading
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.run_checks import NewestRuns, second_of
from afterrun_exporter.cli.run_loading import LoadError, LoadResult, RunLoader, batches
from afterrun_exporter.cli.run_selection import lowest_rank
from afterrun_exporter.core.model import Settings
from afterrun_exporter.engine.service import Service
from afterrun_exporter.importers.run_lines import RunLine
from tests.core.jobs import ping
from tests.fakes import MemoryStore
from tests.services import job_config

from .conftest import Ask
from .test_jobs_runs_alerts import somebody_else


def run(number: int, job: str = "sync", **more: Any) -> dict[str, Any]:
    ended = 1_700_000_000 + number * 60
    return {"job": job, "run_id": str(number), "ended_at": ended, **more}


def write(folder: Path, *runs: object, name: str = "runs.ndjson") -> str:
    path = folder / name
    path.write_text("".join(f"{json.dumps(one)}\n" for one in runs), "utf-8")
    return str(path)


async def test_runs_are_loaded_without_alerts(
    ask: Ask, store: MemoryStore, tmp_path: Path
) -> None:
    """A job of its own is registered; a failed run at the end alerts nobody."""
    file = write(tmp_path, run(1), run(2, metrics={"rows": 5}), run(3, status="fail"))

    result = await ask("import", "runs", file)

    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "3 lines: 3 runs loaded\njobs that the daemon did not know before: sync\n"
    )
    assert [one.outcome for one in await store.runs("sync", 9)] == ["fail", "ok", "ok"]
    assert await store.alerts() == []


async def test_a_repeated_import_counts_nothing_twice(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    """Also without ids, and with new lines at the end."""
    runs = [run(n) | {"run_id": None} for n in range(5)]
    await ask("import", "runs", write(tmp_path, *runs))

    result = await ask("import", "runs", write(tmp_path, *runs, run(9)))

    assert result.stdout == "6 lines: 1 run loaded, 5 already recorded\n"
    entry = service.job_and_state("sync")
    assert entry is not None
    assert entry[1].recorded == 6


async def test_only_runs_that_are_kept_are_sent(
    ask: Ask, service: Service, store: MemoryStore, tmp_path: Path
) -> None:
    """Otherwise older runs would replace newer ones, and count again each time."""
    few = job_config(settings=Settings(runs_per_job=4))
    await service.reconfigure(few)
    await service.record(ping("21 12:00", job="sync", run_id="live"))
    file = write(tmp_path, *map(run, range(10)))

    first = await ask("import", "runs", file)
    again = await ask("import", "runs", file)

    assert first.stdout.startswith("10 lines: 3 runs loaded, 7 too old to be kept\n")
    assert "the last 4 runs of a job (retention.runs_per_job)" in first.stdout
    assert again.stdout.startswith("10 lines: 0 runs loaded, 3 already recorded, 7 ")
    kept = {one.run_id for one in await store.runs("sync", 9)}
    assert kept == {"live", "7", "8", "9"}


async def test_an_older_run_does_not_change_the_state_of_a_job(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    """Its last run, its times and its failures stay as they are."""
    await service.record(ping("21 12:00", metrics={"rows": 9.0}))
    before = service.job_and_state("backup")

    result = await ask(
        "import", "runs", write(tmp_path, run(1, "backup", status="fail"))
    )

    after = service.job_and_state("backup")
    assert result.exit_code == 0, result.output
    assert before is not None
    assert after is not None
    for name in (
        *("last_outcome", "last_finish_at", "last_success_at", "last_ping_at"),
        *("consecutive_failures", "metrics", "previous", "alerts", "due_after"),
    ):
        assert getattr(after[1], name) == getattr(before[1], name), name


async def test_nothing_is_loaded_if_a_line_is_invalid(
    ask: Ask, store: MemoryStore, tmp_path: Path
) -> None:
    """All problems are listed, with their lines."""
    file = write(
        tmp_path,
        run(1),
        {"job": "sync"},
        run(10**7),
        {"job": "no name", "ended_at": 1},
        run(2, status="start"),
        5,
    )

    result = await ask("import", "runs", file)

    assert result.exit_code == 1
    *problems, last = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in problems] == [
        f"line {number}" for number in range(2, 7)
    ]
    assert "ended_at is in the future" in problems[1]
    assert last.startswith("Error: 5 of 6 lines cannot be loaded, and nothing was sent")
    assert await store.runs("sync", 9) == []

    partly = await ask("import", "runs", file, "--partial")

    assert partly.exit_code == 3
    assert partly.stdout.startswith("6 lines: 1 run loaded, 5 invalid\n")
    assert len(await store.runs("sync", 9)) == 1


async def test_warnings_have_their_lines(ask: Ask, tmp_path: Path) -> None:
    """A number that is none costs the metric, not the run."""
    path = tmp_path / "runs.ndjson"
    path.write_text('\n{"job": "a", "ended_at": 1, "metrics": {"x": NaN}}', "utf-8")

    result = await ask("import", "runs", str(path))

    assert result.stdout.startswith("1 line: 1 run loaded\n")
    assert result.stderr.startswith("line 2: ")
    assert "x" in result.stderr


async def test_refused_lines_are_counted(
    ask: Ask, service: Service, tmp_path: Path
) -> None:
    """As with jobs that may not be registered. Without --partial it ends there."""
    await service.reconfigure(job_config(unknown=None))
    file = write(tmp_path, run(1))

    result = await ask("import", "runs", file)
    partly = await ask("import", "runs", file, "--partial")

    assert (result.exit_code, partly.exit_code) == (1, 3)
    assert "1 refused by the daemon" in partly.stdout
    assert partly.stderr.startswith("line 1: ")


async def test_a_file_that_is_out_of_order_is_noticed(ask: Ask, tmp_path: Path) -> None:
    result = await ask("import", "runs", write(tmp_path, run(2), run(1), run(3)))

    assert "line 2 ended before an earlier line of its job: sort" in result.stdout


async def test_standard_input_and_csv_are_read(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "runs.CSV"
    path.write_text("job,ended_at\na,1700000000\nb,2024-01-01\n", "utf-8")

    result = await ask("import", "runs", str(path))

    assert result.stdout.startswith("2 lines: 2 runs loaded\n")


def test_a_dry_run_needs_no_daemon(tmp_path: Path) -> None:
    file = write(tmp_path, run(1), {"job": "sync"})

    result = CliRunner().invoke(
        afterrun, ["import", "runs", "--dry-run", file, "--url", "http://127.0.0.1:1"]
    )

    assert result.exit_code == 3
    assert result.stdout == "1 of 2 lines are valid, of 1 job; nothing was sent\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.ndjson"], "cannot read none.ndjson: No such file"),
        (["-", "--format", "csv"], "standard input: a column job is missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    arguments: list[str], problem: str
) -> None:
    result = CliRunner().invoke(afterrun, ["import", "runs", "--dry-run", *arguments])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {problem}")


def test_a_large_file_is_sent_in_parts() -> None:
    """Below the limits of a daemon on lines and on bytes."""
    lines = [RunLine(n, b"x" * 600) for n in range(5000)]

    parts = list(batches(lines))

    assert [line for part in parts for line in part] == lines
    for part in parts:
        assert len(part) <= run_loading.BATCH_LINES
        assert sum(len(line.text) + 1 for line in part) <= run_loading.BATCH_BYTES


def test_a_daemon_that_is_busy_is_asked_again() -> None:
    """A repeated batch counts once, so that this is safe."""
    pauses: list[float] = []
    loader = RunLoader("http://127.0.0.1:1", "", LoadResult(), pauses.append)

    with pytest.raises(LoadError, match="no response from"):
        loader.send([RunLine(1, b"{}")])

    assert pauses == list(run_loading.PAUSES)


def test_a_daemon_that_refuses_the_token_is_not_asked_again() -> None:
    answer = (
        b"HTTP/1.0 403 Forbidden\r\nContent-Type: application/problem+json\r\n\r\n"
        b'{"detail": "token lacks scope"}'
    )
    refused = pytest.raises(LoadError, match="token lacks scope")
    with somebody_else(answer) as url, refused:
        RunLoader(url, "", LoadResult()).send([RunLine(1, b"{}")])


_ENDS = st.lists(st.integers(0, 12), max_size=20)


@given(_ENDS, _ENDS, st.integers(1, 8))
def test_what_is_sent_fits_beside_newer_runs(
    ends: list[int], kept: list[int], most: int
) -> None:
    """Sent and kept runs are among the newest; a second import sends nothing new."""
    kept = sorted(kept)[-most:]
    newest = NewestRuns(most)
    for line, end in enumerate(ends, 1):
        newest.add("a", end << 30 | line)
    ranks = newest.of("a")

    lowest = lowest_rank(ranks, kept, most)

    sent = [second_of(rank) for rank in ranks if rank >= lowest]
    new = Counter(sent) - Counter(kept)
    after = sorted(Counter(kept) + new, reverse=False)
    total = sorted((Counter(kept) + new).elements())[-most:]
    assert len(sent) <= most
    assert not new or min(new) >= min(total)
    assert after == sorted(set(after))
    again = lowest_rank(ranks, total, most)
    resent = Counter(second_of(rank) for rank in ranks if rank >= again)
    assert not resent - Counter(total)
