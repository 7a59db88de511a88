"""Long commands show on a terminal how far they are, and nowhere else."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from afterrun_exporter.cli import progress, tables
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.progress import AT_ONCE, bar, concurrently
from tests.patience import PATIENCE


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command counts as a long one, however fast the machine is."""
    monkeypatch.setattr(progress, "DELAY", 0)


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_used = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.is_used.set()
        return super().write(text)


def run(*arguments: str, terminal: bool = True) -> tuple[str, str]:
    """Run a command; return its output, and its errors on a terminal or in a pipe."""
    master, slave = os.openpty() if terminal else os.pipe()
    output = io.StringIO()
    with ThreadPoolExecutor(1) as pool:
        errors_read = pool.submit(read_all, master)
        with (
            os.fdopen(slave, "w") as errors,
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            afterrun.main([*arguments], standalone_mode=False)
        return output.getvalue(), errors_read.result()


def read_all(file: int) -> str:
    """Return what is written to the other end of *file* until that is closed."""
    pieces = []
    # A terminal whose other end is closed is an error on Linux.
    with suppress(OSError):
        while piece := os.read(file, 100_000):
            pieces.append(piece)
    os.close(file)
    return b"".join(pieces).decode()


@pytest.fixture
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "jobs: {backup: {schedule: '0 2 * * *'}, sync: {every: 1h}}"
    (tmp_path / "afterrun.yml").write_text(text)
    monkeypatch.chdir(tmp_path)


def square(number: int) -> int:
    return number * number


def test_results_are_in_order_and_a_terminal_shows_how_many_are_done() -> None:
    terminal = Terminal()

    results = concurrently(square, range(50), "trying rules", terminal)

    assert results == [n * n for n in range(50)]
    assert "trying rules" in terminal.getvalue()
    assert "50/50" in terminal.getvalue()


def test_a_pipeline_sees_no_progress() -> None:
    pipe = io.StringIO()

    with bar("reading", stream=pipe) as advance:
        advance()
    assert concurrently(square, [3], "trying rules", pipe) == [9]

    assert pipe.getvalue() == ""


def test_a_bar_without_a_total_moves() -> None:
    terminal = Terminal()

    with bar("reading afterrun.yml", stream=terminal):
        pass

    assert "reading afterrun.yml" in terminal.getvalue()


def test_several_items_are_under_way_at_the_same_time() -> None:
    """A daemon and its client have a processor each."""
    together = threading.Barrier(AT_ONCE)

    assert concurrently(
        lambda _: together.wait(PATIENCE), range(AT_ONCE), "", io.StringIO()
    )


def test_after_an_error_no_other_item_is_begun() -> None:
    begun: list[int] = []

    def act(number: int) -> None:
        begun.append(number)
        raise ValueError(f"item {number}")

    with pytest.raises(ValueError, match="item 0"):
        concurrently(act, range(10_000), "trying rules", io.StringIO())

    assert len(begun) < 10_000


def test_a_short_command_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", threading.TIMEOUT_MAX)
    terminal = Terminal()

    with bar("reading", stream=terminal) as advance:
        advance()

    assert terminal.getvalue() == ""


def test_a_bar_that_appears_later_shows_what_was_done_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.001)
    terminal = Terminal()

    with bar("reading", 3, terminal) as advance:
        advance()
        advance()
        assert terminal.is_used.wait(PATIENCE)

    assert "2/3" in terminal.getvalue()


@pytest.mark.usefixtures("_file")
@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("check", ["reading afterrun.yml", "checking afterrun.yml"]),
        (
            "check --slots=2 --from=2026-11-22T00:00:00Z --json",
            ["computing slots", "2/2"],
        ),
        (
            "serve --config.check --config.file=afterrun.yml",
            ["reading afterrun.yml"],
        ),
        (
            "generate --out=out",
            [
                "reading afterrun.yml",
                "generating prometheus",
                "generating alertmanager",
            ],
        ),
    ],
)
def test_a_command_that_reads_a_file_shows_its_progress(
    command: str, titles: list[str]
) -> None:
    """On a terminal alone; its output is the same everywhere."""
    output, shown = run(*command.split())
    expected, nothing = run(*command.split(), terminal=False)

    assert [title for title in titles if title not in shown] == []
    assert (output, nothing) == (expected, "")


@pytest.mark.usefixtures("_file")
@pytest.mark.parametrize(
    ("command", "titles"),
    [
        ("jobs", ["listing jobs"]),
        ("jobs --json", ["listing jobs"]),
        ("backtest --json", ["reading afterrun.yml", "listing jobs", "trying rules"]),
    ],
)
async def test_a_command_that_asks_the_daemon_shows_its_progress(
    server: TestServer, command: str, titles: list[str]
) -> None:
    arguments = [*command.split(), f"--url={server.make_url('')}"]

    output, shown = await asyncio.to_thread(run, *arguments)
    expected, nothing = await asyncio.to_thread(run, *arguments, terminal=False)

    assert [title for title in titles if title not in shown] == []
    assert (output, nothing) == (expected, "")


def test_a_table_of_many_rows_is_not_laid_out_by_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Laying out 100,000 rows would take a minute; they are not wrapped either."""
    monkeypatch.setattr(tables, "Table", None)
    columns = (tables.Column("JOB"), tables.Column("RUNS", right=True))
    count = tables.MOST_WRAPPED + 1

    tables.show(columns, [(f"job-{n}", str(n)) for n in range(count)])

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["JOB       RUNS", "job-0        0"]
    assert len(lines) == count + 1
