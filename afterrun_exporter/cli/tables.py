"""Tables with colours on a terminal, and plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: The width if the output is not a terminal.
_UNBOUNDED: Final = 10_000

#: The most rows of a table whose prose wraps, which takes 0.6 ms of CPU a row.
MOST_WRAPPED: Final = 1000

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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    #: True if its cells are prose and may wrap.
    prose: bool = False
    right: bool = False


def show(headings: Sequence[Column | str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of at least one row; a name is never cut, whatever the width of the terminal.

    Prose wraps if the table is wider than the terminal and has at most `MOST_WRAPPED` rows.
    """
    columns = [Column(one) if isinstance(one, str) else one for one in headings]
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [
        max(cell_len(column.title), *map(cell_len, texts))
        for column, texts in zip(columns, zip(*cells, strict=True), strict=True)
    ]
    console = Console(highlight=False)
    terminal = console.width if sys.stdout.isatty() else _UNBOUNDED
    if sum(widths) + 2 * len(widths) - 2 > terminal and len(cells) <= MOST_WRAPPED:
        lines = _wrapped(columns, cells, widths, console, terminal)
    else:
        lines = _lines(columns, cells, widths, console)
    for line in lines:
        click.echo(line)


def _lines(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    widths: Sequence[int],
    console: Console,
) -> Iterator[str]:
    """Yield the lines of a table, each row on one line."""

    @cache
    def codes(style: str) -> tuple[str, str]:
        """Return the codes before and after a text with *style*."""
        with console.capture() as captured:
            console.print(Text("x", style=style), end="")
        before, _, after = captured.get().partition("x")
        return before, after

    def line(row: Sequence[str], styles: Iterable[str]) -> str:
        parts = []
        for text, style, column, width in zip(
            row, styles, columns, widths, strict=True
        ):
            before, after = codes(style)
            margin = " " * (width - cell_len(text))
            # Without spaces at the end of a line.
            styled = f"{before}{text}{after}" if text else ""
            parts.append(f"{margin}{styled}" if column.right else f"{styled}{margin}")
        return "  ".join(parts).rstrip()

    yield line([column.title for column in columns], ["bold"] * len(columns))
    for row in rows:
        yield line(row, map(_style, row))


def _wrapped(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    widths: Iterable[int],
    console: Console,
    terminal: int,
) -> Iterator[str]:
    """Yield the lines of a table for a narrow terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, widest in zip(columns, widths, strict=True):
        table.add_column(
            column.title,
            no_wrap=not column.prose,
            min_width=min(widest, _NARROWEST) if column.prose else widest,
            overflow="fold",
            justify="right" if column.right else "left",
        )
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    console.width = _UNBOUNDED
    console.width = max(terminal, console.measure(table).minimum)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        yield line.rstrip()


def _printable(cell: str) -> str:
    """Return *cell* without the control codes of terminals that a text from a job may have."""
    if cell.isprintable():
        return cell
    return "".join(c if c.isprintable() else " " for c in cell)


def _style(cell: str) -> str:
    return _STYLES.get(cell.partition(" ")[0], "")
