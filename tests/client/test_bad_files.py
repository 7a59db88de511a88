"""One bad file in the spool blocks no other."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.client.daemon import NotDeliveredError
from afterrun_exporter.client.flush import FlushResult, flush
from afterrun_exporter.client.spool import REJECTED, Spool
from afterrun_exporter.client.spool_files import MAX_REPORT, encoded, open_report
from tests.client.doubles import (
    POISON,
    REFUSED,
    URL,
    MemoryDaemon,
    silent,
    spooled,
    told,
)

GOOD = encoded(URL, told("good"))
HEAD, LINE, _ = GOOD.split(b"\n")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.mkdir()
    (path / "inner").write_text("x")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def link(path: Path) -> None:
    """A link could lead a job of root to any file."""
    target = path.parent / "target"
    target.write_bytes(GOOD)
    path.symlink_to(target)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))


def holding(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def huge(path: Path) -> None:
    """All of it a hole."""
    with path.open("wb") as file:
        file.truncate(MAX_REPORT + 1)


BAD = {
    "a FIFO": (fifo, "a FIFO"),
    "a directory": (directory, "a directory"),
    "a dangling link": (dangling, "a symbolic link"),
    "a link": (link, "a symbolic link"),
    "a socket": (listening, "a socket"),
    "empty": (holding(b""), "it is empty"),
    "zeros, as after a crash": (holding(bytes(4096)), "it is empty"),
    "cut in its first line": (holding(GOOD[:10]), ""),
    "cut after its first line": (holding(HEAD), ""),
    "cut in the report": (holding(GOOD[:-20]), ""),
    "invalid JSON": (holding(HEAD + b"\n{,}\n"), ""),
    "JSON of another kind": (holding(HEAD + b"\n[]\n"), 'object with a "job"'),
    "no JSON object first": (holding(b"7\n" + LINE), "its first line names no daemon"),
    "no UTF-8": (holding(HEAD + b'\n{"job": "\xff"}\n'), "codec can't decode"),
    "nested deep": (holding(HEAD + b"\n" + b"[" * 200_000), "nested too deep"),
    "of a newer format": (
        holding(b'{"url": "x", "format": 2}\n' + LINE),
        "format 2, but this version reads 1",
    ),
    "of an odd format": (
        holding(b'{"url": "x", "format": "z"}\n' + LINE),
        "format 'z'",
    ),
    "huge": (huge, f"{MAX_REPORT + 1} bytes; the limit is {MAX_REPORT}"),
}


def put(spool: Spool, *run_ids: str, job: str = "backup") -> None:
    for run_id in run_ids:
        spool.put(URL, told(run_id, job=job)).release()


def deliver(spool: Spool, daemon: MemoryDaemon, said: list[str]) -> FlushResult:
    return flush(spool, daemon, lambda: 1.0, said.append)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_report_is_put_aside_and_the_rest_delivered(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make, why = BAD[kind]
    spool, daemon, said = Spool(tmp_path / "s", silent), MemoryDaemon(), list[str]()
    put(spool, "a")
    make(spool.folder / "1-finish.json")
    put(spool, "b")

    assert deliver(spool, daemon, said) == FlushResult(delivered=2, unreadable=1)
    assert daemon.runs == ["a", "b"]
    assert spool.names() == []
    assert len(said) == 1
    assert "1-finish.json is not a report" in said[0]
    assert why in said[0]
    (shown,) = spool.files()
    assert shown.name == f"{REJECTED}/1-finish.json"
    assert shown.report is None
    assert why in shown.reason
    assert deliver(spool, daemon, said) == FlushResult()


@given(st.binary(), st.booleans())
def test_any_bytes_are_a_report_or_put_aside(content: bytes, begun: bool) -> None:
    with TemporaryDirectory() as folder:
        spool, daemon = Spool(Path(folder), silent), MemoryDaemon()
        put(spool, "a")
        (spool.folder / "1-finish.json").write_bytes(
            HEAD + b"\n" + content if begun else content
        )
        put(spool, "b")

        finished = deliver(spool, daemon, [])

        assert daemon.runs[:2] == ["a", "b"]
        assert finished.delivered + finished.unreadable == 3
        assert len(list(spool.files())) == finished.unreadable


def broken(number: int, name: str) -> Callable[[Path], int]:
    """Return an opening of files that fails for the file *name*."""

    def open_file(path: Path) -> int:
        if path.name == name:
            raise OSError(number, os.strerror(number))
        return open_report(path)

    return open_file


@pytest.mark.parametrize(
    "number",
    [errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT],
)
def test_what_cannot_be_read_stays_where_it_is(tmp_path: Path, number: int) -> None:
    """Its owner, or the next attempt, may read it."""
    said: list[str] = []
    whole, daemon = Spool(tmp_path, silent), MemoryDaemon()
    put(whole, "a", "bad", "c")
    name = whole.names()[1]
    spool = Spool(tmp_path, silent, open_report=broken(number, name))

    assert deliver(spool, daemon, said) == FlushResult(delivered=2, unreadable=1)
    assert said == [
        f"{tmp_path / name} cannot be read and stays there: {os.strerror(number)}"
    ]
    (shown,) = spool.files()
    assert (shown.name, shown.reason) == (name, f"unreadable: {os.strerror(number)}")
    assert deliver(whole, daemon, said) == FlushResult(delivered=1)
    assert daemon.runs == ["a", "c", "bad"]


def test_a_bad_sector_is_met_in_the_reading(tmp_path: Path) -> None:
    """A read of what is not mapped gives a real EIO."""
    said: list[str] = []
    put(Spool(tmp_path, silent), "a", "bad", "c")
    name = Spool(tmp_path, silent).names()[1]

    def open_file(path: Path) -> int:
        if path.name == name:
            return os.open("/proc/self/mem", os.O_RDONLY)
        return open_report(path)

    spool = Spool(tmp_path, silent, open_report=open_file)

    assert deliver(spool, MemoryDaemon(), said) == FlushResult(
        delivered=2, unreadable=1
    )
    assert "cannot be read and stays there: Input/output error" in said[0]
    assert spool.names() == [name]


def test_of_many_bad_files_some_are_named(tmp_path: Path) -> None:
    said: list[str] = []
    spool = Spool(tmp_path, silent)
    put(spool, "a")
    for number in range(12):
        (tmp_path / f"{number}-finish.json").write_text("")

    assert deliver(spool, MemoryDaemon(), said) == FlushResult(
        delivered=1, unreadable=12
    )
    assert len(said) == 6
    assert said[-1].startswith("7 more files")


def test_what_cannot_be_put_aside_is_reported_where_it_is(tmp_path: Path) -> None:
    """Neither a damaged file nor a refused report blocks the others, time after time."""
    spool, daemon = Spool(tmp_path, silent), MemoryDaemon()
    (tmp_path / REJECTED).write_text("in the way")
    put(spool, "a")
    (tmp_path / "1-finish.json").write_text("")
    put(spool, "bad", job=REFUSED)
    put(spool, "b")

    for expected in (2, 0):
        said: list[str] = []
        finished = deliver(spool, daemon, said)
        assert finished == FlushResult(delivered=expected, rejected=1, unreadable=1)
        assert "cannot be moved to rejected/" in said[0]
        assert "it cannot be moved to rejected/ and stays" in said[1]
    assert daemon.runs == ["a", "b"]


def test_a_refused_report_is_listed_with_the_reason(tmp_path: Path) -> None:
    """Moved back it is sent again."""
    spool = Spool(tmp_path, silent)
    put(spool, "bad", job=REFUSED)
    deliver(spool, MemoryDaemon(), [])

    (shown,) = spool.files()
    assert shown.report is not None
    assert (shown.report.job, shown.reason) == (REFUSED, "no such job")

    (tmp_path / shown.name).rename(tmp_path / "moved-finish.json")
    (name, _, again), *_ = spooled(spool)
    assert (name, again.job) == ("moved-finish.json", REFUSED)


def test_a_report_over_which_the_daemon_fails_blocks_no_other(tmp_path: Path) -> None:
    """A fault of the daemon may be about one report; those of that job keep their order."""
    spool, daemon, said = Spool(tmp_path, silent), MemoryDaemon(), list[str]()
    put(spool, "a")
    put(spool, "p1", "p2", job=POISON)
    put(spool, "b")

    finished = deliver(spool, daemon, said)

    assert finished == FlushResult(delivered=2, failed=2)
    assert daemon.runs == ["a", "b"]
    assert len(said) == 1
    assert [report.job for _, _, report in spooled(spool)] == [POISON, POISON]


def test_a_daemon_that_fails_over_everything_is_left_alone(tmp_path: Path) -> None:
    spool, said = Spool(tmp_path, silent), list[str]()
    for number in range(50):
        put(spool, str(number), job=f"{POISON}-{number}")

    with pytest.raises(NotDeliveredError):
        deliver(spool, MemoryDaemon(), said)

    assert len(said) == 5
    assert len(spool.names()) == 50


def test_a_full_spool_with_things_that_are_no_files_takes_reports(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, silent, max_reports=2)
    for number in range(3):
        (tmp_path / f"{number}-start.json").mkdir()
    dangling(tmp_path / "4-finish.json")

    put(spool, "a", "b", "c")

    assert [report.fields["run_id"] for _, _, report in spooled(spool)] == ["b", "c"]


def test_credentials_in_old_files_are_not_shown(tmp_path: Path) -> None:
    spool = Spool(tmp_path, silent)
    spool.put(URL.replace("//", "//any:T@"), told("a")).release()

    assert [one.url for one in spool.files()] == [URL]
    assert deliver(spool, MemoryDaemon(), []) == FlushResult(delivered=1)
