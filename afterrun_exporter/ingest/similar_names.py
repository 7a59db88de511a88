"""Warnings about misspelt job names in first reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from string import ascii_lowercase
from typing import Final

from afterrun_exporter.core.model import Ping

#: Shorter names are similar to too many others; longer ones take too long.
MIN_LENGTH: Final = 4
MAX_LENGTH: Final = 40
#: The most names that are checked per minute: many new jobs are no typing errors.
A_MINUTE: Final = 60

_SEPARATORS: Final = re.compile("[._:-]")
_LETTERS: Final = f"{ascii_lowercase}._:-"


class SimilarNames:
    """Finds the configured job with a name similar to that of a new job."""

    def __init__(self, is_configured: Callable[[str], bool]) -> None:
        self._is_configured = is_configured
        self._minute = 0
        self._count = 0

    def hint(self, ping: Ping) -> str | None:
        """Return a warning for the first *ping* of a job, if its name may be misspelt."""
        minute = int(ping.at // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count > A_MINUTE:
            return None
        near = near_name(ping.job, self._is_configured)
        if near is None:
            return None
        return f"job {ping.job!r} was registered by this report; did you mean {near!r}?"


def near_name(name: str, exists: Callable[[str], bool]) -> str | None:
    """Return an existing name that differs from *name* by a typing error.

    The duration depends on the length of the name, not on the number of jobs.
    """
    return next((other for other in _misspelt(name) if exists(other)), None)


def _misspelt(name: str) -> Iterator[str]:
    """Yield names with other case and separators, and names one error away."""
    if len(name) > MAX_LENGTH:
        return
    for one in (name, name.lower()):
        yield one
        for separator in "-_.:":
            yield _SEPARATORS.sub(separator, one)
    if len(name) < MIN_LENGTH:
        return
    for at in range(len(name) + 1):
        head, tail = name[:at], name[at:]
        # Numbers and single letters distinguish jobs of one kind.
        if not _is_counted(head, tail):
            yield from _one_error(head, tail)


def _one_error(head: str, tail: str) -> Iterator[str]:
    """Yield corrections of one error between *head* and *tail*."""
    if tail:
        yield f"{head}{tail[1:2]}{tail[0]}{tail[2:]}"
        yield head + tail[1:]
    for letter in _LETTERS:
        if tail:
            yield f"{head}{letter}{tail[1:]}"
        yield f"{head}{letter}{tail}"


def _is_counted(head: str, tail: str) -> bool:
    before = _SEPARATORS.split(head)[-1]
    after = _SEPARATORS.split(tail)[0]
    return len(before + after) < 2 or (before + after)[-1:].isdigit()
