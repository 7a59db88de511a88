"""The file format of the spool, and safe reading of files in it.

A line of JSON about the file, a line with the report, and a line with the reason if
the report was rejected.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from afterrun_exporter.client.reports import Report, read_item
from afterrun_exporter.client.urls import public_url

#: The format of these files. A file without a format number has this one.
FORMAT: Final = 1

#: The largest report; a daemon accepts 1 MiB by default.
MAX_REPORT: Final = 16 * 2**20
#: The length limit of the reason why a report was rejected.
MAX_REASON: Final = 1000

KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
}


class DamagedError(Exception):
    """A malformed file; only a change of the file helps."""


class SpoolFile(NamedTuple):
    """A file in the spool, as printed by `afterrun spool list`."""

    name: str
    #: The URL of its daemon.
    url: str
    #: None if it cannot be read.
    report: Report | None
    #: The reason why it cannot be read, or was rejected.
    reason: str


def encoded(url: str, report: Report) -> bytes:
    """Return the content of the file for *report*, for the daemon at *url*."""
    head = {"url": url, "format": FORMAT}
    return b"%s\n%s\n" % (json.dumps(head).encode(), report.item())


def reason_line(why: str) -> bytes:
    """Return the line with the reason of a rejection."""
    return json.dumps({"rejected": why[:MAX_REASON]}).encode() + b"\n"


def open_report(path: Path) -> int:
    """Open a file of the spool, without blocking on a FIFO or device; raises OSError.

    Raises DamagedError if it is no file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except OSError as error:
        # Symbolic links and sockets fail with these errors.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise DamagedError(_kind(path.lstat().st_mode)) from None
        raise


def load(file: int) -> tuple[str, Report, str]:
    """Return URL, report and reason of its rejection; raise DamagedError or OSError."""
    info = os.fstat(file)
    if not stat.S_ISREG(info.st_mode):
        raise DamagedError(_kind(info.st_mode))
    if info.st_size > MAX_REPORT:
        raise DamagedError(f"{info.st_size} bytes; the limit is {MAX_REPORT}")
    text = _content(file)
    if not text.strip(b"\0"):
        raise DamagedError("it is empty")
    head, _, rest = text.partition(b"\n")
    line, _, note = rest.partition(b"\n")
    try:
        about = json.loads(head)
        _check(about)
        report = read_item(line)
    except RecursionError:
        raise DamagedError("JSON nested too deep") from None
    except ValueError as error:
        raise DamagedError(str(error)) from None
    return public_url(str(about.get("url", ""))), report, _reason(note)


def describe_file(
    folder: Path, name: str, open_file: Callable[[Path], int]
) -> SpoolFile | None:
    """Return the description of file *name*; None if it is gone."""
    try:
        file = open_file(folder / name)
        try:
            return SpoolFile(name, *load(file))
        finally:
            os.close(file)
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as error:
        return SpoolFile(name, "", None, _why(error))


def _check(about: Any) -> None:
    """Raise ValueError if *about* is not the first line of a file of this format."""
    if not isinstance(about, dict):
        raise ValueError("its first line names no daemon")
    if (number := about.get("format", FORMAT)) != FORMAT:
        raise ValueError(
            f"format {number!r:.20}, but this version reads {FORMAT}: it was written by "
            "a newer one"
        )


def _content(file: int) -> bytes:
    pieces: list[bytes] = []
    remaining = MAX_REPORT
    while remaining > 0 and (piece := os.read(file, min(remaining, 2**20))):
        pieces.append(piece)
        remaining -= len(piece)
    return b"".join(pieces)


def _reason(note: bytes) -> str:
    try:
        return str(json.loads(note)["rejected"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def _kind(mode: int) -> str:
    return KINDS.get(stat.S_IFMT(mode), "not a file")


def _why(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return f"unreadable: {strerror or error}"
