"""`afterrun exec`: run a command, and report how it went.

The command comes first. Whatever goes wrong with the report, it runs as it would
have without us, and its exit status is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TypeVar

from afterrun_exporter.client import clock, signals
from afterrun_exporter.client.arguments import Metrics, pairs
from afterrun_exporter.client.capture import Capture
from afterrun_exporter.client.child import Child, Ended, owns_terminal
from afterrun_exporter.client.environment import (
    command_environ,
    command_line,
    metadata,
)
from afterrun_exporter.client.file_descriptors import read_limited
from afterrun_exporter.client.outcomes import AttemptOutcome, explanation, judge
from afterrun_exporter.client.report_sender import QueuedReport, ReportSender
from afterrun_exporter.client.reports import cut, new_run_id, report
from afterrun_exporter.client.spool import Tell

T = TypeVar("T")

#: No pause between two attempts is longer.
MAX_PAUSE: Final = 3600.0

#: Signs of life that may be lost in a row, and the shortest silence that means anything.
MISSED_BEATS: Final = 3
MIN_SILENCE: Final = 10.0

MAX_FILE: Final = 2**20

#: How long a slow reader of the output may take after the time limit, or a signal
#: to end, in seconds.
DRAIN: Final = 2.0


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
    #: Outcomes of exit statuses that are no failure.
    exits: Mapping[int, str] = field(default_factory=dict)
    #: Whether the command may know the token.
    pass_token: bool = False
    #: Those of stdin, stdout and stderr that were closed when we were started.
    closed: frozenset[int] = frozenset()


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
    order: Order, courier: ReportSender, environ: Mapping[str, str], tell: Tell
) -> int:
    """Run the command of *order* as often as it asks for; return the exit status."""
    run = _Run(order, courier, environ, tell)
    verdict = run.attempt(1)
    for attempt, pause in zip(
        range(2, order.retries + 2), pauses(order.retry_delay), strict=False
    ):
        if not verdict.again or run.stopped.wait(pause):
            break
        verdict = run.attempt(attempt)
    run.close()
    return verdict.status


class _Run:
    """A run of a job, in one attempt or more."""

    def __init__(
        self,
        order: Order,
        courier: ReportSender,
        environ: Mapping[str, str],
        tell: Tell,
    ) -> None:
        self._order = order
        self._courier = courier
        self._environ = environ
        self._tell = tell
        self._child: Child | None = None
        self._parcels: list[QueuedReport] = []
        #: Set once we are asked to end: nothing is tried again.
        self.stopped = Event()
        #: What asked us.
        self._stop: int | None = None
        self._metadata = self._quietly(self._known) or {}
        try:
            self._own_group = not owns_terminal()
            signals.forward(self._signalled)
            signals.keep_children()
        except (OSError, RuntimeError, ValueError) as error:
            tell(f"signals are not passed on: {error}")
            self._own_group = False

    def attempt(self, number: int) -> AttemptOutcome:
        """Run the command once, report it, return its outcome."""
        order = self._order
        named = self._named(number)
        capture = Capture(order.tail, self._tell)
        if order.capture:
            capture.open(order.closed, tail=order.tail > 0)
        self._child = child = Child(
            order.command,
            self._child_environ(number),
            self._tell,
            own_group=self._own_group,
        )
        if self._stop is not None:
            # It came while there was nobody to pass it on to.
            child.signal(self._stop)
        ended = child.start(*capture.sinks())
        capture.close_sinks()
        began = {**named, "started_at": child.started_at, "metadata": self._metadata}
        started: QueuedReport | None = None
        if ended is None:
            started = self._quietly(self._report_start, began)
            ended = self._watched(child, named, capture)
        else:
            self._tell(ended.remark)
            capture.finish(str)
        verdict = judge(
            ended, order.exits, lost=bool(capture.lost), unread=capture.unread
        )
        self._quietly(self._report_end, ended, verdict, began, capture, started)
        return verdict

    def close(self) -> None:
        """Wait for the reports to be delivered or kept."""
        for parcel in self._parcels:
            self._quietly(self._wait, parcel)

    def _quietly(self, act: Callable[..., T], *args: Any) -> T | None:
        """Return what *act* returns; a mistake of ours must not cost the job its status."""
        try:
            return act(*args)
        except Exception as error:  # noqa: BLE001 - that is what is promised
            self._tell(f"a report was lost: {type(error).__name__}: {error}")
            return None

    def _report_start(self, began: Mapping[str, Any]) -> QueuedReport:
        silence = silence_of(self._order.heartbeat)
        told = {**began, "heartbeat_seconds": silence}
        return self._courier.start(report(self._order.job, "start", **told))

    def _report_end(
        self,
        ended: Ended,
        verdict: AttemptOutcome,
        began: Mapping[str, Any],
        capture: Capture,
        started: QueuedReport | None,
    ) -> None:
        metrics, problems = self._measured(capture)
        lines = (
            capture.text(),
            *(f"afterrun: {text}" for text in (*problems, *capture.lost)),
            *explanation(verdict),
            self._remark(ended),
        )
        fields = {**began, "exit_code": verdict.status}
        tried_again = verdict.again and not self.stopped.is_set()
        if "attempt" in fields and verdict.outcome != "ok" and not tried_again:
            # Otherwise the daemon would wait for the next one before it judges.
            fields["max_attempts"] = fields["attempt"]
        if verdict.mapped:
            # As a field it would say that the run failed.
            code = fields.pop("exit_code")
            fields["metadata"] = {**self._metadata, "exit_code": code}
        finish = report(
            self._order.job,
            verdict.outcome,
            **fields,
            ended_at=ended.ended_at,
            duration_ms=round(1000 * ended.duration, 3),
            message=cut("\n".join(line for line in lines if line)),
            metrics=metrics,
        )
        self._parcels.append(self._courier.finish(finish, started))

    def _wait(self, parcel: QueuedReport) -> None:
        self._courier.wait(parcel)
        for warning in (parcel.verdict or {}).get("warnings", ()):
            self._tell(f"the daemon remarks: {warning}")

    def _watched(
        self, child: Child, named: Mapping[str, Any], capture: Capture
    ) -> Ended:
        """Return how *child* ended, once its output is passed on.

        Meanwhile limit its time, and report progress.
        """
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
            capture.add_problem(f"--timeout and --heartbeat have no effect: {error}")
        ended = child.wait()
        patience = _Patience(child.began, order.timeout, self.stopped)
        capture.finish(patience.exhausted)
        over.set()
        if patience.timed_out and not ended.timed_out:
            return replace(ended, timed_out=True)
        return ended

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
        secrets = self._order.pass_token
        return {
            **command_environ(self._environ, secrets=secrets),
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

    def _measured(self, capture: Capture) -> tuple[dict[str, float], list[str]]:
        """Return all metrics, of the output, the file and the command line.

        And the reasons why some are missing.
        """
        # What is still being read must not change them while they are sent.
        metrics = capture.metrics.copy()
        try:
            if (file := self._order.metrics_file) is not None:
                _add_file(metrics, file)
            metrics.add_pairs(self._order.metrics)
        except Exception as error:  # noqa: BLE001 - the report goes without them
            metrics.add_problem(f"metrics are missing: {error!r}")
        problems = metrics.all_problems()
        for problem in problems:
            self._tell(problem)
        return metrics.values, [*capture.problems, *problems]


class _Patience:
    """The time that the reader of a command's output has after the command has ended."""

    def __init__(self, began: float, timeout: float | None, stopped: Event) -> None:
        self._until = inf
        if timeout is not None:
            self._until = max(began + timeout, clock.stopwatch() + DRAIN)
        self._stopped = stopped
        self._stop_until = inf
        #: Set if that took longer than the run may take.
        self.timed_out = False

    def exhausted(self) -> str:
        """Return why there is no point in waiting any longer, or ""."""
        now = clock.stopwatch()
        if self._stopped.is_set():
            self._stop_until = min(self._stop_until, now + DRAIN)
        if now >= self._until:
            self.timed_out = True
            return "not all of it was read within --timeout"
        if now >= self._stop_until:
            return "not all of it was read when a signal ended the run"
        return ""


def _add_file(metrics: Metrics, file: str) -> None:
    """Add the metrics that the command has left in *file*."""
    try:
        content = read_limited(file, MAX_FILE)
    except OSError as error:
        metrics.add_problem(f"--metrics-file {file!r}: {error.strerror or error}")
    except ValueError as error:
        metrics.add_problem(f"--metrics-file {file!r}: {error}")
    else:
        if not content.strip():
            metrics.add_problem(f"--metrics-file {file!r}: the file is empty")
        metrics.add_file(content.decode("utf-8-sig", "replace"), file)


def to_stderr(text: str) -> None:
    """Say *text* to whoever reads the job's mail, if anybody can be told."""
    try:
        os.write(2, f"afterrun: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
