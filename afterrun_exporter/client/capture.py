"""Capture of an attempt's output: it is passed on, its end and metrics are kept."""

from __future__ import annotations

import errno
from collections.abc import Callable
from threading import Lock
from typing import Final

from afterrun_exporter.client.arguments import MARK, Metrics
from afterrun_exporter.client.file_descriptors import same_file
from afterrun_exporter.client.reports import MAX_MESSAGE
from afterrun_exporter.client.spool import Warn
from afterrun_exporter.client.tee import Tee

STDOUT: Final = 1
STDERR: Final = 2
NAMES: Final = {STDOUT: "output", STDERR: "error output"}

#: Interval of checks while waiting for a slow reader, in seconds.
STEP: Final = 0.1

#: The length limit of a line of metrics, in bytes.
MAX_LINE: Final = 4096


class Capture:
    """Copies a command's stdout and stderr to ours, and keeps what a report needs."""

    def __init__(self, lines: int, warn: Warn) -> None:
        self.metrics = Metrics()
        #: Descriptions of output that did not reach its destination.
        self.lost_output: list[str] = []
        #: Reasons why the message or the metrics of the output are incomplete.
        self.problems: list[str] = []
        #: True if the reader of our output has gone.
        self.reader_gone = False
        self._warn = warn
        self._tail = Tail(lines)
        self._metric_lines = MetricLines(self.metrics)
        self._tees: dict[int, Tee] = {}
        self._merged = False

    def open(self, closed: frozenset[int], *, tail: bool) -> None:
        """Create the pipes that are needed; descriptors in *closed* stay closed."""
        self._merged = not closed & {STDOUT, STDERR} and same_file(STDOUT, STDERR)
        try:
            if STDOUT not in closed:
                self._add(STDOUT, self._tail.add, self._metric_lines.add)
            # Two pipes to the same place would not keep the order of lines.
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
        """Close our write ends of the pipes, so that only the command has them."""
        for tee in self._tees.values():
            tee.close_sink()

    def finish(self, give_up: Callable[[], str]) -> None:
        """Return once all output of the command is passed on.

        *give_up* returns the reason to stop waiting, or "".
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
        """Record the reason why the report is incomplete."""
        self.problems.append(text)
        self._warn(text)

    def _add(self, number: int, *consumers: Callable[[bytes], None]) -> None:
        def on_write_error(error: OSError) -> None:
            self.reader_gone = self.reader_gone or error.errno == errno.EPIPE
            self._lose(number, error.strerror or str(error))

        def on_read_error(error: Exception) -> None:
            self.add_problem(f"the output is not captured to its end: {error!r}")

        self._tees[number] = Tee(number, consumers, on_write_error, on_read_error)

    def _lose(self, number: int, why: str) -> None:
        text = f"cannot write the job's {NAMES[number]}: {why}"
        self.lost_output.append(text)
        self._warn(text)


class Tail:
    """The last lines of the output of several threads."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._lock = Lock()
        self._buffer = b""

    def add(self, data: bytes) -> None:
        """Add the next piece of output."""
        with self._lock:
            self._buffer = (self._buffer + data[-MAX_MESSAGE:])[-MAX_MESSAGE:]

    def text(self) -> str:
        """Return the last lines; bytes that are not UTF-8 are replaced."""
        if self._lines < 1:
            return ""
        with self._lock:
            text = self._buffer.decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-self._lines :])


class MetricLines:
    """Finds lines such as ``afterrun: rows=42`` in pieces of output."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        #: The beginning of a line whose end is still missing.
        self._incomplete = b""

    def add(self, data: bytes) -> None:
        """Add the next piece of output."""
        complete, newline, rest = data.rpartition(b"\n")
        if newline:
            for line in (self._incomplete + complete).split(b"\n"):
                self._read(line)
            self._incomplete = b""
        # One byte more than the limit shows that the line is too long.
        self._incomplete = (self._incomplete + rest)[: MAX_LINE + 1]

    def close(self) -> None:
        """Read the incomplete last line: nothing follows."""
        self._read(self._incomplete)
        self._incomplete = b""

    def _read(self, line: bytes) -> None:
        if not line.startswith(MARK.encode()):
            return
        if len(line) > MAX_LINE:
            self._metrics.add_problem(
                f"a line of metrics is longer than {MAX_LINE} bytes: "
                f"{line[:40].decode('utf-8', 'replace')!r}"
            )
            return
        self._metrics.add_line(line.decode("utf-8", "replace"))
