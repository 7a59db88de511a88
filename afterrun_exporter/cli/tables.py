"""Tables with colours on a terminal, and plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: The width if the output is not a terminal.
_UNBOUNDED: Final = 10_000

#: The minimum width of a column of prose.
_NARROWEST: Final = 24

#: Styles by the first word of a cell.
_STYLES: Final = {
    "ok": "green",
    "resolved": "green",
    "missed": "bold red",
    "failing": "bold red",
    "fail": "red",
    "timeout": "red",
    "invalid": "red",
    "critical": "bold red",
    "violated": "yellow",
    "partial": "yellow",
    "retrying": "yellow",
    "warning": "yellow",
    "open": "bold red",
    "paused": "dim",
    "new": "dim",
    "canceled": "dim",
    "skipped": "dim",
}

_AGES: Final = ((172_800, 86_400, "d"), (7200, 3600, "h"), (120, 60, "m"), (0, 1, "s"))


#: The difference of two clocks that is ignored, in seconds.
SKEW: Final = 60.0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    #: True if its cells are prose and may wrap.
    prose: bool = False
    right: bool = False


def show(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of at least one row; a name is never cut, whatever the width of the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    texts = [[_text(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        widest = max(len(column.title), *(row[place].cell_len for row in texts))
        table.add_column(
            column.title,
            no_wrap=not column.prose,
            min_width=min(widest, _NARROWEST) if column.prose else widest,
            overflow="fold",
            justify="right" if column.right else "left",
        )
    for row in texts:
        table.add_row(*row)
    console = Console(highlight=False)
    terminal = console.width if sys.stdout.isatty() else _UNBOUNDED
    console.width = _UNBOUNDED
    console.width = max(terminal, console.measure(table).minimum)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def when(moment: str | None, now: float) -> str:
    """Return an RFC 3339 time in local time with its age."""
    if moment is None:
        return "never"
    then = datetime.fromisoformat(moment)
    seconds = now - then.timestamp()
    relative = f"{age(abs(seconds))} ago" if seconds >= 0 else f"in {age(-seconds)}"
    return f"{then.astimezone():%Y-%m-%d %H:%M} ({relative})"


def happened(moment: str | None, now: float) -> str:
    """Return the formatted time of a past event.

    If it is in the future, the daemon's clock was ahead or this one is behind.
    """
    if moment is None or (seconds := _seconds(moment) - now) < 0:
        return when(moment, now)
    local, _, _ = when(moment, now).partition(" (")
    if seconds < SKEW:
        return f"{local} (just now)"
    return f"{local} ({age(seconds)} ahead of this clock)"


def between(start: str, end: str | None, now: float) -> float:
    """Return the seconds from *start* to *end*, or to *now* if it has no end."""
    until = now if end is None else _seconds(end)
    return max(0.0, until - _seconds(start))


def age(seconds: float) -> str:
    """Return an approximate duration in one unit."""
    size, unit = next((s, u) for least, s, u in _AGES if seconds >= least)
    return f"{int(seconds // size)}{unit}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).astimezone(UTC).timestamp()


def _text(cell: str) -> Text:
    # Text from jobs may contain control codes of terminals.
    plain = "".join(c if c.isprintable() else " " for c in cell)
    return Text(plain, style=_STYLES.get(plain.partition(" ")[0], ""))
