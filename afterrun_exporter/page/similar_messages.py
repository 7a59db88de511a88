"""Recognition of messages with the same cause.

Messages are similar if they differ only in numbers, times, ids and the name of the job.
Addresses are kept: another host or port is another cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from afterrun_exporter.core.text_fields import without_codes

#: Stands for a part that differs.
GAP: Final = "…"
#: The end of a message in which the cause is searched, and the longest line.
LINES: Final = 8
END: Final = 2000
LONGEST: Final = 200
#: Shorter names are not replaced, as they may be part of any text.
SHORTEST_NAME: Final = 3
#: Ports from here on are those of clients, different for each connection.
EPHEMERAL: Final = 32768

_CAUSE: Final = re.compile(
    r"error|fail|refused|denied|forbidden|unauthorized|timed? ?out|deadline|cannot"
    r"|can't|could not|unable|no such|not found|missing|invalid|exception|killed"
    r"|full|unreachable|reset by|unknown|exceeded|abort|fatal|panic",
    re.IGNORECASE,
)
#: Gaps at the start, like the time and the name of the job in a line of a log.
_FIRST_GAPS: Final = re.compile(rf"\A[\s\[(]*{GAP}[\s{GAP}:,.|\[\]()/-]*(?=\w)")
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_PART: Final = re.compile(
    rf"""
    (?P<host>(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|(?<![\w.-])[A-Za-z][\w-]*(?:\.[\w-]+)*)
        (?=:\d)|\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\.?\d)):?(?P<port>(?<=:)\d{{1,5}}\b)?
    |\b\d{{4}}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
    |\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\ +)?(?:{_MONTHS})[a-z]*\ +\d[\d: ]*\d
    |\b0x[0-9A-Fa-f]+\b
    |\b[0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}\b
    |\b(?=[a-f]*\d)[0-9a-f]{{7,}}\b
    |\b(?=\w*?\d\w*?\d\w*?\d)\w{{10,}}\b
    |(?<![A-Za-z])\d+(?:[.,:]\d+)*
    """,
    re.VERBOSE | re.ASCII,
)


class Line(NamedTuple):
    """The line of a message with the cause."""

    text: str
    #: The same for similar messages.
    pattern: str


def cause_line(message: str, names: Iterable[str] = ()) -> Line | None:
    """Return the line of *message* with the cause; None if it is empty.

    It is the last one about an error, or else the last one. *names* are those of the job
    and of the run.
    """
    end = without_codes(message[-END:])
    lines = [line.strip() for line in end.splitlines() if line.strip()]
    if not lines:
        return None
    last = lines[-LINES:][::-1]
    line = next((one for one in last if _CAUSE.search(one)), last[0])
    text = " ".join(line.split())[:LONGEST]
    return Line(text, pattern_of(text, names))


def in_brief(message: str, most: int) -> str:
    """Return *message* in one line of at most *most* characters: all of it, or the cause."""
    text = " ".join(without_codes(message[: 10 * most]).split())
    if len(message) <= 10 * most and len(text) <= most:
        return text
    line = cause_line(message)
    text = line.text if line else ""
    return text if len(text) < most else f"{text[: most - 1]}…"


def pattern_of(text: str, names: Iterable[str] = ()) -> str:
    """Return *text* with gaps in place of the parts that differ between similar ones.

    Gaps at its start are removed.
    """
    for name in names:
        if len(name) >= SHORTEST_NAME:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", GAP, text)
    return _FIRST_GAPS.sub("", _PART.sub(_part, text))


def _part(match: re.Match[str]) -> str:
    if not (host := match["host"]):
        return GAP
    if not (port := match["port"]):
        return match[0]
    return f"{host}:{port if int(port) < EPHEMERAL else GAP}"
