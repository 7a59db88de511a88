"""Reports on disk, until the daemon has them.

A folder with one file a report. A file appears whole or not at all, and is on the
disk before its name is. Whoever is busy with a file holds a lock on it, so nobody
else sends it meanwhile; the lock ends with the process, however that ends.

One bad file blocks no other: what is no report is moved to ``rejected/``, and what
cannot be read, though its owner may be able to, stays where it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.spool_files import (
    MAX_REPORT,
    DamagedError,
    Listed,
    encoded,
    listed,
    load,
    open_report,
    reason_line,
)

#: Bounds of a folder: a daemon that is gone for good must not fill a disk.
MAX_REPORTS: Final = 10_000
MAX_BYTES: Final = 64 * 2**20

SUFFIX: Final = ".json"
REJECTED: Final = "rejected"
#: What a writer that was killed leaves behind is swept away after that time.
STALE: Final = 3600.0

Tell = Callable[[str], None]


class UnreadableError(Exception):
    """A file in the spool that cannot be delivered; the text says why, and where it is."""


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

    def reject(self, why: str) -> None:
        """Move the report to ``rejected/``: the daemon will never take it.

        Raises OSError if it cannot be moved; it stays then.
        """
        try:
            path = back_off(self.path)
            with suppress(OSError), path.open("ab") as file:
                file.write(reason_line(why))
        finally:
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
        open_report: Callable[[Path], int] = open_report,
    ) -> None:
        self.folder = folder
        self._tell = tell
        self._max_reports = max_reports
        self._max_bytes = max_bytes
        self._open = open_report

    def put(self, url: str, report: Report) -> Entry:
        """Keep *report* for the daemon at *url*; when this returns, a crash does not lose it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = encoded(url, report)
        if len(text) > MAX_REPORT:
            raise OSError(errno.EFBIG, f"a report has at most {MAX_REPORT} bytes")
        with suppress(OSError):
            # If the folder cannot be listed, it may still be possible to write there.
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

        Raises UnreadableError if it cannot be read; what is no report is moved away.
        """
        path = self.folder / name
        try:
            return self._claimed(path)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            self._back_off(path, error)
            return None
        except OSError as error:
            why = error.strerror or str(error)
            raise UnreadableError(
                f"{path} cannot be read and stays there: {why}"
            ) from None

    def reports(self) -> Iterator[tuple[str, str, Report]]:
        """Yield what waits, as it is: name, the daemon's URL, report."""
        for one in map(self._peek, self.names()):
            if one is not None and one.report is not None:
                yield one.name, one.url, one.report

    def listed(self) -> Iterator[Listed]:
        """Yield all files: those that wait, and those that were moved to ``rejected/``."""
        rejected: list[str] = []
        with suppress(FileNotFoundError, NotADirectoryError):
            names = sorted(os.listdir(self.folder / REJECTED))  # noqa: PTH208 - names
            rejected = [f"{REJECTED}/{name}" for name in names]
        for one in map(self._peek, (*self.names(), *rejected)):
            if one is not None:
                yield one

    def _peek(self, name: str) -> Listed | None:
        return listed(self.folder, name, self._open)

    def _claimed(self, path: Path) -> Entry | None:
        lock = self._open(path)
        entry = None
        try:
            # Between its opening and its lock somebody may have delivered it.
            if _locked(lock) and os.fstat(lock).st_nlink and _is_there(path):
                url, report, _ = load(lock)
                entry = Entry(path, lock, url, report)
        finally:
            if entry is None:
                os.close(lock)
        return entry

    def _back_off(self, path: Path, error: DamagedError) -> None:
        what = f"{path} is no report ({error})"
        try:
            back_off(path)
        except FileNotFoundError:
            return  # another process has moved it
        except OSError as problem:
            raise UnreadableError(
                f"{what} and stays there, for it cannot be moved to {REJECTED}/: "
                f"{problem.strerror or problem}"
            ) from None
        raise UnreadableError(f"{what} and was put aside in {REJECTED}/")

    def sweep(self) -> None:
        """Remove what writers that were killed have left."""
        if not self.folder.is_dir():
            return
        with os.scandir(self.folder) as files:
            for file in files:
                if file.name.startswith(".") and file.is_file(follow_symlinks=False):
                    with suppress(OSError):
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
            try:
                (self.folder / name).unlink(missing_ok=True)
            except OSError:
                continue
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
                        known = file.stat(follow_symlinks=False)
                        if stat.S_ISREG(known.st_mode):
                            found[file.name] = known.st_size
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


def back_off(path: Path) -> Path:
    """Move *path* to ``rejected/`` beside it, and return its place; raises OSError."""
    folder = path.parent / REJECTED
    folder.mkdir(mode=0o700, exist_ok=True)
    return path.replace(folder / path.name)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


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
