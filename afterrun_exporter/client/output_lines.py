"""What is remembered of a job's output while it passes: its end, and its metrics."""

from __future__ import annotations

from threading import Lock
from typing import Final

from afterrun_exporter.client.arguments import MARK, Metrics
from afterrun_exporter.client.reports import MAX_MESSAGE

#: A line of metrics is not longer.
MAX_LINE: Final = 4096


class Tail:
    """The last lines of what several threads add."""

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._lock = Lock()
        self._kept = b""

    def add(self, data: bytes) -> None:
        """Take the next piece of output."""
        with self._lock:
            self._kept = (self._kept + data[-MAX_MESSAGE:])[-MAX_MESSAGE:]

    def text(self) -> str:
        """Return the last lines; what is no UTF-8 is replaced."""
        if self._lines < 1:
            return ""
        with self._lock:
            text = self._kept.decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-self._lines :])


class MetricLines:
    """Finds lines such as ``afterrun: rows=42`` in pieces of output."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        #: The beginning of the line that is not complete yet.
        self._begun = b""

    def add(self, data: bytes) -> None:
        """Take the next piece of output."""
        complete, newline, rest = data.rpartition(b"\n")
        if newline:
            for line in (self._begun + complete).split(b"\n"):
                self._read(line)
            self._begun = b""
        # One byte more than a line of metrics has tells that it is none.
        self._begun = (self._begun + rest)[: MAX_LINE + 1]

    def close(self) -> None:
        """Take what was begun as a line: nothing follows."""
        self._read(self._begun)
        self._begun = b""

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
