"""The output of one attempt: passed on, and its end and its metrics kept."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from afterrun_exporter.client.arguments import Metrics
from afterrun_exporter.client.file_descriptors import same_file
from afterrun_exporter.client.output_lines import MetricLines, Tail
from afterrun_exporter.client.spool import Tell
from afterrun_exporter.client.tee import Tee

STDOUT: Final = 1
STDERR: Final = 2
NAMES: Final = {STDOUT: "output", STDERR: "error output"}

#: How often a wait for a slow reader is reconsidered, in seconds.
STEP: Final = 0.1


class Capture:
    """Copies a command's stdout and stderr to ours, where something is to be kept."""

    def __init__(self, lines: int, tell: Tell) -> None:
        self.metrics = Metrics()
        #: Descriptions of output that has not reached its destination.
        self.lost: list[str] = []
        #: Reasons why the message or the metrics of the output are incomplete.
        self.problems: list[str] = []
        #: True if the reader of our output has gone.
        self.unread = False
        self._tell = tell
        self._tail = Tail(lines)
        self._metric_lines = MetricLines(self.metrics)
        self._tees: dict[int, Tee] = {}
        self._merged = False

    def open(self, closed: frozenset[int], *, tail: bool) -> None:
        """Make the pipes; what is *closed* stays so, and what is not needed is left alone."""
        self._merged = not closed & {STDOUT, STDERR} and same_file(STDOUT, STDERR)
        try:
            if STDOUT not in closed:
                self._add(STDOUT, self._tail.add, self._metric_lines.add)
            # Through two pipes lines to the same place would not keep their order.
            if tail and not self._merged and STDERR not in closed:
                self._add(STDERR, self._tail.add)
        except (OSError, RuntimeError) as error:
            for tee in self._tees.values():
                tee.close_sink()
                tee.finish()
            self._tees.clear()
            self.add_problem(f"the output is not captured: {error}")

    def sinks(self) -> tuple[int | None, int | None]:
        """Return the descriptors for the command; None for one that it inherits."""
        sinks = {number: tee.sink for number, tee in self._tees.items()}
        if self._merged and sinks:
            sinks[STDERR] = sinks[STDOUT]
        return sinks.get(STDOUT), sinks.get(STDERR)

    def close_sinks(self) -> None:
        """Leave the pipes to the command alone."""
        for tee in self._tees.values():
            tee.close_sink()

    def finish(self, give_up: Callable[[], str]) -> None:
        """Return once all that the command wrote is passed on.

        *give_up* returns why that is not waited for any longer, or "".
        """
        for tee in self._tees.values():
            tee.finish()
        for number, tee in self._tees.items():
            while not tee.wait(STEP):
                if why := give_up():
                    self._lose(number, why)
                    break
        self._metric_lines.close()

    def text(self) -> str:
        """Return the last lines of the output."""
        return self._tail.text()

    def add_problem(self, text: str) -> None:
        """Note why the report will be incomplete."""
        self.problems.append(text)
        self._tell(text)

    def _add(self, number: int, *see: Callable[[bytes], None]) -> None:
        def failed(error: OSError) -> None:
            self.unread = self.unread or error.errno == errno.EPIPE
            self._lose(number, error.strerror or str(error))

        def blind(error: Exception) -> None:
            self.add_problem(f"the output is not captured to its end: {error!r}")

        self._tees[number] = Tee(number, see, failed, blind)

    def _lose(self, number: int, why: str) -> None:
        text = f"cannot write the job's {NAMES[number]}: {why}"
        self.lost.append(text)
        self._tell(text)
