"""Exclusive locks: one daemon per database."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from afterrun_exporter.errors import StorageError

#: A byte of the database file that SQLite never locks: its own locks begin at 0x40000000.
_LOCK_BYTE: Final = 0x3FFFFFFF

#: `struct flock`: type, whence, start, length, process id.
_FLOCK: Final = "hhqqi4x"


#: The way out for a daemon whose database is in use.
ANOTHER: Final = "stop that one, or choose another --storage.path"


@contextmanager
def locked(path: Path, way_out: str = ANOTHER) -> Iterator[None]:
    """Hold the exclusive right to write to the database at *path*.

    Two locks: one on a separate file, which also protects a file moved to *path* later,
    and one on the database file, which works for any of its names and if the other file
    is removed. SQLite's exclusive mode is not used: it would lock out readers.

    Raises StorageError if another process holds one of them; its message ends with
    *way_out*.
    """
    with ExitStack() as stack:
        # The file itself, not a symbolic link to it.
        name = f"{os.path.realpath(path)}.lock"
        try:
            beside = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"cannot use database {str(path)!r}: {error.strerror}: {name}; "
                "choose another --storage.path or make its directory writable"
            ) from None
        stack.callback(os.close, beside)
        try:
            fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _in_use(path, way_out) from None
        # SQLite reports an error for a file that cannot be opened.
        with suppress(OSError):
            # It contains addresses of receivers, which are secrets: no other user may
            # read it. SQLite creates its other files with the same mode.
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            # Closed last: this drops SQLite's own locks on the file.
            stack.callback(os.close, file)
            if not _lock_byte(file):
                raise _in_use(path, way_out)
        yield


def is_checkpointing(shared_memory: int) -> bool:
    """Return True if any process, this one included, is copying the log back."""
    # Byte 121 of the shared memory file is SQLite's checkpoint lock. A lock of an open
    # file description conflicts with those of this process, too.
    request = _flock(fcntl.F_WRLCK, 121)
    answer = fcntl.fcntl(shared_memory, fcntl.F_OFD_GETLK, request)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _lock_byte(file: int) -> bool:
    # A lock of the open file description: SQLite closes other descriptors of the file,
    # which would drop a lock of the process.
    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, _LOCK_BYTE))
    except BlockingIOError:
        return False
    return True


def _flock(kind: int, byte: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


def _in_use(path: Path, way_out: str) -> StorageError:
    return StorageError(
        f"database {str(path)!r} is in use by another afterrun: {way_out}"
    )
