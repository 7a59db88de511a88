"""`afterrun` with an event loop that notes how long it was held.

``python -m benchmarks.beats FILE serve ...`` is ``afterrun serve ...`` with one
coroutine more. It wakes up every millisecond, and whenever that comes late, it
writes a line to FILE: when, how late, the CPU time that the process used since, and how
long its threads waited for a processor meanwhile.
A loop that waits while another thread holds the interpreter is held, too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from afterrun_exporter.cli.main import main

EVERY: Final = 0.001
#: What is not worth a line, in seconds.
_SHORT: Final = 0.002
#: Beats between two looks at which threads there are.
_LOOK: Final = 50


@dataclass(frozen=True, slots=True)
class Held:
    """One time that the loop was held, in seconds."""

    at: float
    late: float
    #: What the process did itself meanwhile.
    cpu: float
    #: What its threads waited for a processor that others had, added up.
    waited: float = 0.0

    @property
    def own(self) -> float:
        """What was no wait for a processor: so long it is on a machine with nothing else."""
        return max(min(self.late, self.cpu), self.late - self.waited)


def held_since(path: Path, since: float) -> list[Held]:
    """Return what was noted in *path* after *since*, by `time.perf_counter`."""
    lines = path.read_text("ascii").splitlines()
    every = (Held(*map(float, line.split())) for line in lines)
    return [one for one in every if one.at >= since]


class _Threads:
    """The threads of this process, and how long they have waited for a processor."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._reads = 0

    def waited(self) -> float:
        """Return the seconds that all of them have waited; 0 where Linux does not tell."""
        if self._reads % _LOOK == 0:
            self._look()
        self._reads += 1
        total = 0
        for name, file in [*self._files.items()]:
            try:
                total += int(os.pread(file, 100, 0).split()[1])
            except OSError:
                os.close(self._files.pop(name))
        return total / 1e9

    def _look(self) -> None:
        with suppress(OSError):
            for task in Path("/proc/self/task").iterdir():
                if task.name not in self._files:
                    file = os.open(task / "schedstat", os.O_RDONLY)
                    self._files[task.name] = file


async def _beat(file: int) -> None:
    threads = _Threads()
    at, cpu, waited = time.perf_counter(), time.process_time(), threads.waited()
    while True:
        await asyncio.sleep(EVERY)
        before, used, had_waited = at, cpu, waited
        at, cpu = time.perf_counter(), time.process_time()
        waited = threads.waited()
        if (late := at - before - EVERY) > _SHORT:
            more = max(0.0, waited - had_waited)
            line = f"{at:.6f} {late:.6f} {cpu - used:.6f} {more:.6f}\n"
            os.write(file, line.encode())


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
