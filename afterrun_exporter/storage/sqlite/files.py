"""Detection of database files that are deleted, replaced or overwritten while in use.

SQLite keeps using its open files, and everything it commits to such files is lost.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.sqlite.locking import is_checkpointing

#: The first bytes of every database, and the length of its header.
MAGIC: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100

#: The log has one header for itself, and one for each page.
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24

_HINT: Final = "stop afterrun, then restore a backup (afterrun restore)"


class _Index(NamedTuple):
    """SQLite's index of the log: https://sqlite.org/walformat.html, section 2."""

    page_size: int
    #: The last committed page in the log.
    frames: int
    #: Random values that distinguish this log from the previous one.
    salts: bytes
    #: Pages of the log that were copied back, and pages that a copy was started for.
    copied: int
    attempted: int

    @property
    def log_size(self) -> int:
        """The minimum size of the log, in bytes."""
        if not self.frames:
            return 0
        return _LOG_HEADER + self.frames * (_FRAME_HEADER + self.page_size)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    descriptor: int


class DatabaseFiles:
    """The open files of a database, compared with those at its path.

    Created by `watched`. `check` and `inspect` raise StorageError.
    """

    def __init__(self, database: _File, log: _File, index: _File) -> None:
        self._database = database
        self._log = log
        self._index = index
        self._identities = [
            (one.name, _identity(os.fstat(one.descriptor)))
            for one in (database, log, index)
        ]
        self._header = os.pread(database.descriptor, _HEADER_SIZE, 0)
        self._size = os.fstat(database.descriptor).st_size
        self._last_index = self._read_index()
        self._fault_message = ""

    def check(self) -> None:
        """Raise StorageError if a file is not the one at its path; cheap."""
        for name, identity in self._identities:
            try:
                status = os.stat(name)  # noqa: PTH116 - for each transaction
            except FileNotFoundError:
                raise _storage_error(
                    name, "was deleted or moved while in use"
                ) from None
            except OSError as error:
                raise _storage_error(
                    name, f"is inaccessible: {error.strerror}"
                ) from None
            if _identity(status) != identity:
                raise _storage_error(name, "was replaced while in use")
        if self._fault_message:
            raise StorageError(self._fault_message)

    def inspect(self) -> None:
        """Do as `check` does, and raise StorageError if a file was overwritten.

        Call it once a second: `check` uses its last result.
        """
        self._fault_message = ""
        self.check()
        try:
            problem = self._problem()
        except OSError as error:
            raise _storage_error(
                self._database.name, f"is unreadable: {error.strerror}"
            ) from None
        if problem is not None:
            self._fault_message = str(problem)
            raise problem

    def _problem(self) -> StorageError | None:
        before = self._read_index()
        is_copying = is_checkpointing(self._index.descriptor)
        header = os.pread(self._database.descriptor, _HEADER_SIZE, 0)
        size = os.fstat(self._database.descriptor).st_size
        log_size = os.fstat(self._log.descriptor).st_size
        log_salts = os.pread(self._log.descriptor, 8, 16)
        if self._read_index() != before:
            # Written meanwhile: the next check decides.
            return None
        if log_size < before.log_size:
            return _storage_error(self._log.name, "was truncated while in use")
        if before.frames and log_salts != before.salts:
            return _storage_error(self._log.name, "was overwritten while in use")
        # Only a checkpoint changes the database file. If it failed half-way, such as
        # on a full disk, the file is incomplete until the next one succeeds.
        is_copying = is_copying or is_checkpointing(self._index.descriptor)
        if is_copying or before.attempted > before.copied:
            return None
        return self._problem_of_database(header, size, before)

    def _problem_of_database(
        self, header: bytes, size: int, index: _Index
    ) -> StorageError | None:
        if header and not header.startswith(MAGIC):
            return _storage_error(self._database.name, "was overwritten while in use")
        # The log is copied back page by page up to what readers allow. A last page that
        # changed after that is left out, so the file may be shorter than its header
        # says. It is never shorter than before, unless it was compacted: then the
        # header says so.
        if size < min(_size_of(header), self._size):
            return _storage_error(self._database.name, "was truncated while in use")
        last = self._last_index
        is_copied = (index.salts, index.copied) != (last.salts, last.copied)
        if header != self._header and not is_copied:
            return _storage_error(self._database.name, "was overwritten while in use")
        self._header, self._size, self._last_index = header, size, index
        return None

    def _read_index(self) -> _Index:
        data = os.pread(self._index.descriptor, 136, 0)
        if len(data) < 136:
            return _Index(0, 0, b"", 0, 0)
        size, frames = struct.unpack_from("=HI", data, 14)
        copied, attempted = struct.unpack_from("=I28xI", data, 96)
        page_size = 65536 if size == 1 else size
        return _Index(page_size, frames, data[32:40], copied, attempted)


@contextmanager
def watched(path: Path) -> Iterator[DatabaseFiles]:
    """Keep the files of the open database at *path* open, and yield their checks.

    Leave this context after all connections are closed: closing any descriptor of a
    file drops SQLite's locks on it. Raises StorageError if a file cannot be opened.
    """
    real = os.path.realpath(path)
    with ExitStack() as stack:
        open_files = []
        for name in (real, f"{real}-wal", f"{real}-shm"):
            try:
                descriptor = os.open(name, os.O_RDONLY)
            except OSError as error:
                raise StorageError(
                    f"cannot use database {str(path)!r}: {error.strerror}: {name}"
                ) from None
            stack.callback(os.close, descriptor)
            open_files.append(_File(name, descriptor))
        yield DatabaseFiles(*open_files)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _size_of(header: bytes) -> int:
    """Return the size of a database according to its *header*; 1 without one."""
    if len(header) < _HEADER_SIZE:
        return 1
    page_size, pages = struct.unpack_from(">H10xI", header, 16)
    return int(65536 if page_size == 1 else page_size) * int(pages)


def _storage_error(name: str, problem: str) -> StorageError:
    return StorageError(f"cannot write to {name}: it {problem}; {_HINT}")


def hint(path: Path) -> str:
    """Return the reason why files at *path* cannot grow; "" if they can."""
    with suppress(OSError):
        free = os.statvfs(path.parent)
        if not free.f_bavail:
            return "; its disk is full"
        if free.f_files and not free.f_favail:
            return "; its disk has no inodes left"
    return ""


def secure(path: Path) -> None:
    """Make the names of the files at *path* durable; raise StorageError if not writable."""
    # SQLite would open such a file, and then refuse each ping.
    if not os.access(path, os.W_OK):
        raise StorageError(
            f"cannot use database {str(path)!r}: it is readable but not writable; "
            "choose another --storage.path or make it writable"
        )
    # SQLite syncs the files, but not their names in the directory.
    with suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
