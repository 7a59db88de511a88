"""`afterrun exec`: run a command, and report how it went.

The command comes first. Whatever goes wrong with the report, it runs as it would
have without us, and its exit status is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TypeVar

from afterrun_exporter.client import signals
from afterrun_exporter.client.child import Child, Ended, owns_terminal
from afterrun_exporter.client.courier import Courier, Parcel
from afterrun_exporter.client.lines import MetricLines, Tail
from afterrun_exporter.client.reports import cut, new_run_id, report
from afterrun_exporter.client.spool import Tell
from afterrun_exporter.client.surroundings import command_line, metadata
from afterrun_exporter.client.tee import Tee
from afterrun_exporter.client.words import Metrics, pairs

T = TypeVar("T")

#: No pause between two attempts is longer.
MAX_PAUSE: Final = 3600.0

#: Signs of life that may be lost in a row, and the shortest silence that means anything.
MISSED_BEATS: Final = 3
MIN_SILENCE: Final = 10.0

MAX_FILE: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run, and how it is to be reported."""

    job: str
    command: Sequence[str]
    run_id: str = field(default_factory=new_run_id)
    timeout: float | None = None
    kill_after: float = 10.0
    retries: int = 0
    retry_delay: float = 60.0
    heartbeat: float | None = None
    capture: bool = True
    #: How many lines of output become the message.
    tail: int = 50
    metrics: Sequence[str] = ()
    metrics_file: str | None = None
    metadata: Sequence[str] = ()


def pauses(first: float) -> Iterator[float]:
    """Yield the pauses before the second attempt and those that follow.

    The second is made at once: much that fails once works the next time.
    """
    yield 0.0
    pause = first
    while True:
        yield min(pause, MAX_PAUSE)
        pause = min(2 * pause, MAX_PAUSE)


def silence_of(heartbeat: float | None) -> float | None:
    """Return how long a run that sends a sign of life every *heartbeat* may be silent.

    A request may fail now and then, and take a while.
    """
    return None if heartbeat is None else max(MISSED_BEATS * heartbeat, MIN_SILENCE)


def execute(
    order: Order, courier: Courier, environ: Mapping[str, str], tell: Tell
) -> int:
    """Run the command of *order* as often as it asks for; return the exit status."""
    run = _Run(order, courier, environ, tell)
    ended = run.attempt(1)
    for attempt, pause in zip(
        range(2, order.retries + 2), pauses(order.retry_delay), strict=False
    ):
        # What cannot be started now cannot be started in a minute either.
        if ended.status == 0 or not ended.ran or run.stopped.wait(pause):
            break
        ended = run.attempt(attempt)
    return run.close(ended)


class _Run:
    """A run of a job, in one attempt or more."""

    def __init__(
        self, order: Order, courier: Courier, environ: Mapping[str, str], tell: Tell
    ) -> None:
        self._order = order
        self._courier = courier
        self._environ = environ
        self._tell = tell
        self._child: Child | None = None
        self._parcels: list[Parcel] = []
        #: Set once we are asked to end: nothing is tried again.
        self.stopped = Event()
        #: What asked us.
        self._stop: int | None = None
        self._metadata = self._quietly(self._known) or {}
        try:
            self._own_group = not owns_terminal()
            signals.forward(self._signalled)
        except (OSError, RuntimeError, ValueError) as error:
            tell(f"signals are not passed on: {error}")
            self._own_group = False

    def attempt(self, number: int) -> Ended:
        """Run the command once, report it, return how it ended."""
        order = self._order
        metrics, tail = Metrics(), Tail(order.tail)
        lines = MetricLines(metrics)
        named = self._named(number)
        tees = self._tees(tail, lines)
        self._child = child = Child(
            order.command, self._child_environ(number), own_group=self._own_group
        )
        if self._stop is not None:
            # It came while there was nobody to pass it on to.
            child.signal(self._stop)
        # One pipe serves both where they go to the same place.
        ended = child.start(*((tees[0].sink, tees[-1].sink) if tees else (None, None)))
        for tee in tees:
            tee.close_sink()
        began = {**named, "started_at": child.started_at, "metadata": self._metadata}
        started: Parcel | None = None
        if ended is None:
            started = self._quietly(self._report_start, began)
            ended = self._watched(child, named)
        for tee in tees:
            tee.finish()
        lines.close()
        if not ended.ran:
            self._tell(ended.remark)
        self._quietly(self._report_end, ended, began, metrics, tail.text(), started)
        for tee in tees:
            tee.drain(self.stopped)
        return ended

    def close(self, ended: Ended) -> int:
        """Wait for the reports to be delivered or kept; return the exit status."""
        for parcel in self._parcels:
            self._quietly(self._wait, parcel)
        return ended.status

    def _quietly(self, act: Callable[..., T], *args: Any) -> T | None:
        """Return what *act* returns; a mistake of ours must not cost the job its status."""
        try:
            return act(*args)
        except Exception as error:  # noqa: BLE001 - that is what is promised
            self._tell(f"a report was lost: {type(error).__name__}: {error}")
            return None

    def _report_start(self, began: Mapping[str, Any]) -> Parcel:
        silence = silence_of(self._order.heartbeat)
        told = {**began, "heartbeat_seconds": silence}
        return self._courier.start(report(self._order.job, "start", **told))

    def _report_end(
        self,
        ended: Ended,
        began: Mapping[str, Any],
        metrics: Metrics,
        output: str,
        started: Parcel | None,
    ) -> None:
        finish = report(
            self._order.job,
            self._outcome(ended),
            **began,
            ended_at=ended.ended_at,
            duration_ms=round(1000 * ended.duration, 3),
            exit_code=ended.status,
            message=cut("\n".join(t for t in (output, self._remark(ended)) if t)),
            metrics=self._measured(metrics),
        )
        self._parcels.append(self._courier.finish(finish, started))

    def _wait(self, parcel: Parcel) -> None:
        self._courier.wait(parcel)
        for warning in (parcel.verdict or {}).get("warnings", ()):
            self._tell(f"the daemon remarks: {warning}")

    def _watched(self, child: Child, named: Mapping[str, Any]) -> Ended:
        """Return how *child* ended; meanwhile mind its time, and give signs of life."""
        order = self._order
        over = Event()
        try:
            if order.timeout is not None:
                child.limit(order.timeout, order.kill_after)
            if order.heartbeat is not None:
                told = {**named, "heartbeat_seconds": silence_of(order.heartbeat)}
                beat = report(order.job, "progress", **told)

                def work(every: float = order.heartbeat) -> None:
                    while not over.wait(every):
                        self._courier.beat(beat)

                Thread(target=work, name="heartbeat", daemon=True).start()
        except RuntimeError as error:
            self._tell(f"--timeout and --heartbeat do without: {error}")
        ended = child.wait()
        over.set()
        return ended

    def _tees(self, tail: Tail, lines: MetricLines) -> list[Tee]:
        if not self._order.capture:
            return []
        try:
            stdout = Tee(1, (tail.add, lines.add))
            # Through two pipes lines would not keep their order.
            return [stdout] if _same(1, 2) else [stdout, Tee(2, (tail.add,))]
        except (OSError, RuntimeError) as error:
            self._tell(f"the output is not captured: {error}")
            return []

    def _signalled(self, number: int) -> None:
        if number in signals.STOPS:
            self._stop = number
            self.stopped.set()
            self._courier.hurry()
        if self._child is not None:
            self._child.signal(number)

    def _named(self, number: int) -> dict[str, Any]:
        tried = {"attempt": number, "max_attempts": self._order.retries + 1}
        return {"run_id": self._order.run_id, **(tried if self._order.retries else {})}

    def _child_environ(self, number: int) -> dict[str, str]:
        return {
            **self._environ,
            "AFTERRUN_JOB": self._order.job,
            "AFTERRUN_RUN_ID": self._order.run_id,
            "AFTERRUN_ATTEMPT": str(number),
        }

    def _known(self) -> dict[str, Any]:
        given, problems = pairs(self._order.metadata)
        for problem in problems:
            self._tell(f"--metadata {problem}")
        command = {"command": command_line(self._order.command)}
        try:
            return {**metadata(self._environ, Path.cwd()), **command, **given}
        except OSError:
            return {**command, **given}  # the folder we are in has been removed

    def _remark(self, ended: Ended) -> str:
        if ended.timed_out:
            return f"timed out after {self._order.timeout:g} s"
        return ended.remark

    def _outcome(self, ended: Ended) -> str:
        if ended.timed_out:
            return "timeout"
        return "fail" if ended.status else "ok"

    def _measured(self, metrics: Metrics) -> dict[str, float]:
        """Return all metrics: what the command line says, the file, the output."""
        if (file := self._order.metrics_file) is not None:
            try:
                with Path(file).open(encoding="utf-8", errors="replace") as opened:
                    metrics.add_file(opened.read(MAX_FILE), file)
            except OSError as error:
                metrics.problems.append(f"--metrics-file {file!r}: {error.strerror}")
        metrics.add_pairs(self._order.metrics)
        for problem in metrics.problems:
            self._tell(problem)
        return metrics.values


def _same(one: int, other: int) -> bool:
    """Return whether two descriptors lead to the same place."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def to_stderr(text: str) -> None:
    """Say *text* to whoever reads the job's mail, if anybody can be told."""
    try:
        os.write(2, f"afterrun: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
