"""Standard descriptors at the start, and safe reading of arbitrary files."""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Final

from afterrun_exporter.client import clock

STANDARD: Final = (0, 1, 2)

PIECE: Final = 64 * 1024

#: Time limit for the writer of a pipe, in seconds.
PATIENCE: Final = 5.0


def reserve_standard() -> frozenset[int]:
    """Return the closed ones among stdin, stdout and stderr, and occupy them.

    Otherwise the next file or socket to open would receive our output. The command
    finds them closed, as it would without us.
    """
    closed: set[int] = set()
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is used; those below are occupied by now.
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            closed.add(number)
    return frozenset(closed)


def same_file(one: int, other: int) -> bool:
    """Return True if two descriptors refer to the same file."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def read_limited(path: str, limit: int) -> bytes:
    """Return the content of the file or pipe at *path*; raises OSError.

    Nothing can make it hang: neither a FIFO without a writer nor an endless device.
    Raises ValueError if there are more than *limit* bytes.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(file).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise OSError(errno.EINVAL, "It is neither a file nor a pipe")
        return _read_all(file, limit)
    finally:
        os.close(file)


def _read_all(file: int, limit: int) -> bytes:
    until = clock.stopwatch() + PATIENCE
    pieces: list[bytes] = []
    remaining = limit + 1
    while remaining > 0:
        try:
            piece = os.read(file, min(PIECE, remaining))
        except BlockingIOError:
            wait = until - clock.stopwatch()
            if wait <= 0 or not select.select([file], [], [], wait)[0]:
                raise TimeoutError(
                    errno.ETIMEDOUT, "Nothing was written to this pipe"
                ) from None
            continue
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        remaining -= len(piece)
    raise ValueError(f"It is longer than {limit} bytes")
