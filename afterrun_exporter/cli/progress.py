"""Progress of long commands, on stderr if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Final, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

#: Requests to a daemon at the same time.
AT_ONCE: Final = 8

#: Seconds before a bar appears, so that short commands show none.
DELAY: Final = 1.0

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
    """Show a bar of *total* items until the end; a moving one if that is not known.

    It appears after `DELAY`, on *stream*, stderr by default, if that is a terminal.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _nothing
        return
    progress_bar = _Bar(title, total, stream)
    timer = Timer(DELAY, progress_bar.start)
    timer.daemon = True
    if DELAY:
        timer.start()
    else:
        progress_bar.start()
    try:
        yield progress_bar.advance
    finally:
        timer.cancel()
        if DELAY:
            timer.join()
        progress_bar.stop()


class _Bar:
    """A bar that may be started in another thread, and counts before that."""

    def __init__(self, title: str, total: int | None, stream: TextIO) -> None:
        self._title = title
        self._total = total
        self._stream = stream
        self._completed = 0
        self._progress: Progress | None = None

    def start(self) -> None:
        # Here, because it takes a while and short commands do without.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        total = self._total
        counts = (
            (MofNCompleteColumn(), TimeRemainingColumn()) if total is not None else ()
        )
        columns = (TextColumn("{task.description}"), BarColumn(), *counts)
        # The output of a command must not be redirected to the terminal of its bar.
        progress = Progress(
            *columns,
            console=Console(file=self._stream),
            transient=True,
            redirect_stdout=False,
        )
        progress.add_task(self._title, total=total)
        progress.start()
        self._progress = progress
        self._update()

    def advance(self) -> None:
        self._completed += 1
        self._update()

    def _update(self) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._completed)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _nothing() -> None:
    """Show nothing."""
