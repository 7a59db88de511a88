"""The machine: one core for the servers, another for the load, and its disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Final

_CORES: Final = sorted(os.sched_getaffinity(0))

#: All servers share this one, ours and the others'.
SERVER_CORE: Final = _CORES[0]
#: What measures them runs here; the same where there is but one.
LOAD_CORE: Final = _CORES[-1]

#: What a log of SQLite grows by at least when a row is committed.
_PAGE: Final = b"\xa5" * 4096


def leave_the_servers_alone() -> None:
    """Keep this process, and what it starts, off the core of the servers."""
    os.sched_setaffinity(0, {LOAD_CORE})


def for_servers(*command: str) -> tuple[str, ...]:
    """Return *command*, on the core of the servers."""
    return ("taskset", "--cpu-list", str(SERVER_CORE), *command)


def syncs(folder: Path, count: int) -> list[float]:
    """Return the seconds of *count* writes of a page to a file, each synced."""
    path = folder / "syncs"
    taken = []
    with _beside_the_servers(), path.open("ab", buffering=0) as file:
        for _ in range(count):
            began = perf_counter()
            file.write(_PAGE)
            os.fdatasync(file.fileno())
            taken.append(perf_counter() - began)
    path.unlink()
    return taken


@contextmanager
def _beside_the_servers() -> Iterator[None]:
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        leave_the_servers_alone()
