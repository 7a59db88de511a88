"""Reports on disk until the daemon has recorded them.

A folder with one file per report. A file appears whole or not at all, and is on the
disk before its name is. A process that sends a file holds a lock on it, so that no
other process sends it meanwhile; the lock ends with the process.

One bad file blocks no other: a malformed file is moved to ``rejected/``, and an
unreadable one, which its owner may be able to read, stays there.
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
from afterrun_exporter.client.plurals import plural
from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.spool_files import (
    MAX_REPORT,
    DamagedError,
    SpoolFile,
    describe_file,
    encoded,
    load,
    open_report,
    reason_line,
)

#: Limits of a folder: a daemon that is gone for good must not fill a disk.
MAX_REPORTS: Final = 10_000
MAX_BYTES: Final = 64 * 2**20

SUFFIX: Final = ".json"
REJECTED: Final = "rejected"
#: Age after which the temporary file of a killed writer is removed, in seconds.
STALE: Final = 3600.0

Warn = Callable[[str], None]


class UnreadableError(Exception):
    """A file in the spool that cannot be delivered; the text has path and reason."""


class Entry:
    """A report in the spool, locked by this process until it is released."""

    def __init__(self, path: Path, lock: int, url: str, report: Report) -> None:
        self.path = path
        #: The URL of its daemon.
        self.url = url
        self.report = report
        self._lock = lock

    def remove(self, warn: Warn) -> None:
        """Remove the report: the daemon has recorded it."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            why = error.strerror or error
            warn(f"{self.path} cannot be removed and will be sent again: {why}")
        else:
            self.release()

    def reject(self, why: str) -> None:
        """Move the report to ``rejected/``: the daemon will never accept it.

        Raises OSError if it cannot be moved; it stays in the spool then.
        """
        try:
            path = move_to_rejected(self.path)
            with suppress(OSError), path.open("ab") as file:
                file.write(reason_line(why))
        finally:
            self.release()

    def release(self) -> None:
        """Unlock the report for other processes."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class Spool:
    """The folder of undelivered reports. Every method may raise OSError."""

    def __init__(
        self,
        folder: Path,
        warn: Warn,
        max_reports: int = MAX_REPORTS,
        max_bytes: int = MAX_BYTES,
        open_report: Callable[[Path], int] = open_report,
    ) -> None:
        self.folder = folder
        self._warn = warn
        self._max_reports = max_reports
        self._max_bytes = max_bytes
        self._open = open_report

    def put(self, url: str, report: Report) -> Entry:
        """Write *report* for the daemon at *url* to the disk, safe from a crash."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = encoded(url, report)
        if len(text) > MAX_REPORT:
            raise OSError(errno.EFBIG, f"the limit of a report is {MAX_REPORT} bytes")
        with suppress(OSError):
            # A folder that cannot be listed may still be writable.
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
        """Return the names of the waiting files, the oldest first."""
        with suppress(FileNotFoundError):
            names = (path.name for path in self.folder.iterdir())
            return sorted(name for name in names if _is_report(name))
        return []

    def claim(self, name: str) -> Entry | None:
        """Return the report in file *name*, or None if another process has it locked.

        Raises UnreadableError if it cannot be read; a malformed file is moved away.
        """
        path = self.folder / name
        try:
            return self._lock_and_load(path)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            self._move_damaged(path, error)
            return None
        except OSError as error:
            why = error.strerror or str(error)
            raise UnreadableError(
                f"{path} cannot be read and stays there: {why}"
            ) from None

    def files(self) -> Iterator[SpoolFile]:
        """Yield all files: waiting ones, and those that were moved to ``rejected/``."""
        rejected: list[str] = []
        with suppress(FileNotFoundError, NotADirectoryError):
            names = sorted(os.listdir(self.folder / REJECTED))  # noqa: PTH208 - names
            rejected = [f"{REJECTED}/{name}" for name in names]
        for one in map(self._describe, (*self.names(), *rejected)):
            if one is not None:
                yield one

    def _describe(self, name: str) -> SpoolFile | None:
        return describe_file(self.folder, name, self._open)

    def _lock_and_load(self, path: Path) -> Entry | None:
        lock = self._open(path)
        entry = None
        try:
            # Another process may have delivered it between opening and locking.
            if _locked(lock) and os.fstat(lock).st_nlink and os.path.lexists(path):
                url, report, _ = load(lock)
                entry = Entry(path, lock, url, report)
        finally:
            if entry is None:
                os.close(lock)
        return entry

    def _move_damaged(self, path: Path, error: DamagedError) -> None:
        what = f"{path} is not a report ({error})"
        try:
            move_to_rejected(path)
        except FileNotFoundError:
            return  # another process has moved it
        except OSError as move_error:
            raise UnreadableError(
                f"{what} and stays there: it cannot be moved to {REJECTED}/: "
                f"{move_error.strerror or move_error}"
            ) from None
        raise UnreadableError(f"{what} and was moved to {REJECTED}/")

    def sweep(self) -> None:
        """Remove temporary files of killed writers."""
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
        # A start or a progress report adds little to the report of the end.
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
            self._warn(
                f"the spool {self.folder} is full: "
                f"{plural(dropped, 'old report was', 'old reports were')} dropped"
            )

    def _sizes(self) -> dict[str, int]:
        with os.scandir(self.folder) as files:
            sizes: dict[str, int] = {}
            for file in files:
                if _is_report(file.name):
                    with suppress(FileNotFoundError):
                        info = file.stat(follow_symlinks=False)
                        if stat.S_ISREG(info.st_mode):
                            sizes[file.name] = info.st_size
            return sizes

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


def move_to_rejected(path: Path) -> Path:
    """Move *path* to ``rejected/`` beside it, return its new path; raises OSError."""
    folder = path.parent / REJECTED
    folder.mkdir(mode=0o700, exist_ok=True)
    return path.replace(folder / path.name)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # This file system has no locks. At worst a report is sent twice, which the
        # daemon recognises.
        return True
    return True


def _write(file: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)
