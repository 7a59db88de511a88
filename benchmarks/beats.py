"""`afterrun` with an event loop that notes how long it was held.

``python -m benchmarks.beats FILE serve ...`` is ``afterrun serve ...`` with one
coroutine more. It wakes up every millisecond, and whenever that comes late, it
writes a line to FILE: when, how late, and the CPU time that the process used since.
A loop that waits while another thread holds the interpreter is held, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from afterrun_exporter.cli.main import main

EVERY: Final = 0.001
#: What is not worth a line, in seconds.
_SHORT: Final = 0.002


@dataclass(frozen=True, slots=True)
class Held:
    """One time that the loop was held, in seconds."""

    at: float
    late: float
    #: What the process did itself meanwhile; the rest is the machine's.
    cpu: float


def held_since(path: Path, since: float) -> list[Held]:
    """Return what was noted in *path* after *since*, by `time.perf_counter`."""
    lines = path.read_text("ascii").splitlines()
    every = (Held(*map(float, line.split())) for line in lines)
    return [one for one in every if one.at >= since]


async def _beat(file: int) -> None:
    at, cpu = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(EVERY)
        before, used = at, cpu
        at, cpu = time.perf_counter(), time.process_time()
        if (late := at - before - EVERY) > _SHORT:
            os.write(file, f"{at:.6f} {late:.6f} {cpu - used:.6f}\n".encode())


def _watching(path: Path) -> None:
    """Have `uvloop.run` beat as well."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    plain = uvloop.run

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        async def both() -> Any:
            beating = asyncio.create_task(_beat(file))
            try:
                return await work
            finally:
                beating.cancel()

        return plain(both())

    uvloop.run = run  # type: ignore[assignment]


if __name__ == "__main__":
    _watching(Path(sys.argv.pop(1)))
    main()
