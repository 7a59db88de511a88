"""The last lines and the metrics of a job's output, collected while it passes."""

from __future__ import annotations

from threading import Lock
from typing import Final

from afterrun_exporter.client.arguments import MARK, Metrics
from afterrun_exporter.client.reports import MAX_MESSAGE

#: The length limit of a line of metrics, in bytes.
MAX_LINE: Final = 4096


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
