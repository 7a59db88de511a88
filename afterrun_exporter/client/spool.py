"""Reports on disk, until the daemon has them.

A folder with one file a report. A file appears whole or not at all, and is on the
disk before its name is. Whoever is busy with a file holds a lock on it, so nobody
else sends it meanwhile; the lock ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.reports import Report, read_item

#: Bounds of a folder: a daemon that is gone for good must not fill a disk.
MAX_REPORTS: Final = 10_000
MAX_BYTES: Final = 64 * 2**20

SUFFIX: Final = ".json"
REJECTED: Final = "rejected"
#: What a writer that was killed leaves behind is swept away after that time.
STALE: Final = 3600.0

Tell = Callable[[str], None]


class Entry:
    """A report in the spool that is ours alone until it is let go."""

    def __init__(self, path: Path, lock: int, url: str, report: Report) -> None:
        self.path = path
        #: The daemon that it is for.
        self.url = url
        self.report = report
        self._lock = lock

    def remove(self) -> None:
        """Forget the report: the daemon has it."""
        self.path.unlink(missing_ok=True)
        self.release()

    def reject(self) -> None:
        """Put the report aside: the daemon will never take it."""
        folder = self.path.parent / REJECTED
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path.replace(folder / self.path.name)
        self.release()

    def release(self) -> None:
        """Leave the report to the next who comes."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Spool:
    """The folder of reports that wait. Every method may raise OSError."""

    def __init__(
        self,
        folder: Path,
        tell: Tell,
        max_reports: int = MAX_REPORTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.folder = folder
        self._tell = tell
        self._max_reports = max_reports
        self._max_bytes = max_bytes

    def put(self, url: str, report: Report) -> Entry:
        """Keep *report* for the daemon at *url*; when this returns, a crash does not lose it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"url": url}).encode() + b"\n" + report.item() + b"\n"
        self._make_room(len(text))
        name = f"{int(clock.now() * 1e6):020}-{os.urandom(4).hex()}-{report.kind}"
        path = self.folder / f"{name}{SUFFIX}"
        hidden = self.folder / f".{name}"
        lock = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _locked(lock)
            _write(lock, text)
            hidden.replace(path)
            self._sync()
        except BaseException:
            os.close(lock)
            hidden.unlink(missing_ok=True)
            raise
        return Entry(path, lock, url, report)

    def names(self) -> list[str]:
        """Return the names of the files that wait, the oldest first."""
        with suppress(FileNotFoundError):
            names = (path.name for path in self.folder.iterdir())
            return sorted(name for name in names if _is_report(name))
        return []

    def claim(self, name: str) -> Entry | None:
        """Return the report in file *name*, or None if another is busy with it.

        A file that cannot be read is put aside.
        """
        path = self.folder / name
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        # Between its opening and its lock somebody may have delivered it.
        if not _locked(lock) or os.fstat(lock).st_nlink == 0 or not path.exists():
            os.close(lock)
            return None
        try:
            url, report = _read(path)
        except ValueError as error:
            self._tell(f"{path} is no report and was put aside: {error}")
            Entry(path, lock, "", Report("", {})).reject()
            return None
        except OSError:
            os.close(lock)
            raise
        return Entry(path, lock, url, report)

    def reports(self) -> Iterator[tuple[str, str, Report]]:
        """Yield what waits, as it is: name, the daemon's URL, report."""
        for name in self.names():
            with suppress(FileNotFoundError, ValueError):
                yield name, *_read(self.folder / name)

    def sweep(self) -> None:
        """Remove what writers that were killed have left."""
        if not self.folder.is_dir():
            return
        with os.scandir(self.folder) as files:
            for file in files:
                if file.name.startswith(".") and file.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        if file.stat().st_mtime < clock.now() - STALE:
                            Path(file).unlink()

    def _make_room(self, size: int) -> None:
        """Drop reports until one more of *size* bytes fits."""
        sizes = self._sizes()
        over = len(sizes) + 1 - self._max_reports
        excess = sum(sizes.values()) + size - self._max_bytes
        # A start or a progress report says little that the end does not.
        dispensable = sorted(sizes, key=lambda name: (_kind(name) == "finish", name))
        dropped = 0
        for name in dispensable:
            if over <= dropped and excess <= 0:
                break
            (self.folder / name).unlink(missing_ok=True)
            excess -= sizes[name]
            dropped += 1
        if dropped:
            self._tell(
                f"the spool {self.folder} is full: {dropped} old reports were dropped"
            )

    def _sizes(self) -> dict[str, int]:
        with os.scandir(self.folder) as files:
            found: dict[str, int] = {}
            for file in files:
                if _is_report(file.name):
                    with suppress(FileNotFoundError):
                        found[file.name] = file.stat().st_size
            return found

    def _sync(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_report(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _kind(name: str) -> str:
    return name.removesuffix(SUFFIX).rpartition("-")[2]


def _read(path: Path) -> tuple[str, Report]:
    head, _, line = path.read_bytes().partition(b"\n")
    known = json.loads(head)
    if not isinstance(known, dict):
        raise ValueError("its first line names no daemon")
    return str(known.get("url", "")), read_item(line)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # This file system knows no locks. The worst that comes of it is that a
        # report is sent twice, which the daemon recognises.
        return True
    return True


def _write(file: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)
