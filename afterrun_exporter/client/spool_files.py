"""A file in the spool: how it is written, and how one is read that may be anything.

A line of JSON about the file, the report in a line, and, once it is rejected, a line
with the reason.
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

#: The format of these files. A file that does not name it has this one.
FORMAT: Final = 1

#: No report is larger; a daemon takes 1 MiB by default.
MAX_REPORT: Final = 16 * 2**20
#: The reason why a report was rejected is not longer.
MAX_REASON: Final = 1000

KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
}


class DamagedError(Exception):
    """A file that is no report, whoever reads it."""


class Listed(NamedTuple):
    """A file in the spool, as it is listed."""

    name: str
    #: The daemon that it is for.
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
    """Return the line by which a file says why it was rejected."""
    return json.dumps({"rejected": why[:MAX_REASON]}).encode() + b"\n"


def open_report(path: Path) -> int:
    """Open a file of the spool, without hanging on what is none; raises OSError.

    Raises DamagedError if it is no file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except OSError as error:
        # So links, and sockets, refuse to be opened.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise DamagedError(_kind(path.lstat().st_mode)) from None
        raise


def load(opened: int) -> tuple[str, Report, str]:
    """Return the URL, the report and the reason of its rejection from an open file.

    Raises DamagedError or OSError.
    """
    known = os.fstat(opened)
    if not stat.S_ISREG(known.st_mode):
        raise DamagedError(_kind(known.st_mode))
    if known.st_size > MAX_REPORT:
        raise DamagedError(f"{known.st_size} bytes; the most are {MAX_REPORT}")
    text = _content(opened)
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


def listed(folder: Path, name: str, open_file: Callable[[Path], int]) -> Listed | None:
    """Return the file *name* as it is listed; None if it is gone."""
    try:
        opened = open_file(folder / name)
    except FileNotFoundError:
        return None
    except (DamagedError, OSError) as error:
        return Listed(name, "", None, _why(error))
    try:
        return Listed(name, *load(opened))
    except (DamagedError, OSError) as error:
        return Listed(name, "", None, _why(error))
    finally:
        os.close(opened)


def _check(about: Any) -> None:
    """Raise ValueError if *about* is not the first line of a file of this format."""
    if not isinstance(about, dict):
        raise ValueError("its first line names no daemon")
    if (number := about.get("format", FORMAT)) != FORMAT:
        raise ValueError(
            f"format {number!r:.20}, and this version knows {FORMAT}: it was written by "
            "a newer one"
        )


def _content(opened: int) -> bytes:
    pieces: list[bytes] = []
    left = MAX_REPORT
    while left > 0 and (piece := os.read(opened, min(left, 2**20))):
        pieces.append(piece)
        left -= len(piece)
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
