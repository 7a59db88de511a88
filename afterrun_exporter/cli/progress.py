"""Progress of long commands, on stderr if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TextIO, TypeVar

#: Requests to a daemon at the same time.
AT_ONCE: Final = 8

T = TypeVar("T")
R = TypeVar("R")

#: Reports that one more item is done.
Advance = Callable[[], object]


def concurrently(
    act: Callable[[T], R], items: Sequence[T], title: str, stream: TextIO | None = None
) -> list[R]:
    """Return the results of *act* for *items*, in order, several at the same time.

    The first error is raised, and no other item is begun. A bar with *title* is on
    *stream*, stderr by default, if that is a terminal.
    """
    results: list[R] = []
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        with bar(title, len(items), stream) as advance:
            for result in pool.map(act, items):
                results.append(result)
                advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


@contextmanager
def bar(
    title: str, total: int | None = None, stream: TextIO | None = None
) -> Iterator[Advance]:
    """Show a bar of *total* items until the end; a moving one if that is not known."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _nothing
        return
    # Here, because it takes a while and pipelines do without.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    counts = (MofNCompleteColumn(), TimeRemainingColumn()) if total is not None else ()
    columns = (TextColumn("{task.description}"), BarColumn(), *counts)
    console = Console(file=stream)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


def _nothing() -> None:
    """Show nothing."""
