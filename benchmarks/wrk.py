"""wrk, which sends pings and pushes over connections that are kept."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

_SCRIPT: Final = Path(__file__).with_name("load.lua")

#: As long as a scrape may take while pings go on, in seconds.
_ENDLESS: Final = 3600

#: Slower answers count as an error; a Pushgateway that is scraped is slow.
_TIMEOUT: Final = 120

Kind = Literal["single", "batch", "pushgateway"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What wrk tells in the end."""

    requests: int
    seconds: float
    #: Pings that were sent, and those whose answer says that they are recorded.
    sent: int
    answered: int
    #: Answers that are errors, and connections that broke.
    refused: int
    broken: int
    #: Of the time to an answer, in seconds.
    p50: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Pings that were answered in a second."""
        return (self.answered or self.requests) / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Pings that are different from one another, each with a run id of its own."""

    kind: Kind
    port: int
    #: There are so many jobs, and every `step`-th of them is pinged.
    jobs: int
    step: int = 1
    connections: int = 32
    #: Milliseconds that each connection waits between two requests.
    delay: int = 0
    #: The place of the first job in the order in which they are pinged.
    offset: int = 0

    def sent_for(self, seconds: int, series: str, file: Path | None = None) -> Told:
        """Send for so long, run ids starting with *series*; return what came of it.

        *file* is given the run ids that were acknowledged, one a line.
        """
        command = self._command(seconds, series, file)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return _told(done.stdout)

    @contextmanager
    def going_on(self, series: str) -> Iterator[list[Told]]:
        """Send as long as the context lasts; the list then has what came of it."""
        command = self._command(_ENDLESS, series, None)
        told: list[Told] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield told
            finally:
                process.send_signal(signal.SIGINT)
                output, _ = process.communicate()
        told.append(_told(output))

    def over(self, connections: int) -> Load:
        """Return the same load over so many connections."""
        return replace(self, connections=connections)

    def _command(self, seconds: int, series: str, file: Path | None) -> list[str]:
        words = (
            self.kind,
            self.jobs,
            self.step,
            series,
            self.delay,
            self.offset,
            file or "",
        )
        return [
            "wrk",
            "--threads=1",
            f"--connections={self.connections}",
            f"--duration={seconds}s",
            f"--timeout={_TIMEOUT}s",
            f"--script={_SCRIPT}",
            f"http://127.0.0.1:{self.port}",
            "--",
            *map(str, words),
        ]


def _told(output: str) -> Told:
    told = Told(**json.loads(output.splitlines()[-1]))
    if told.refused or told.broken:
        raise RuntimeError(f"the load was not taken: {told}")
    return told
