"""`afterrun exec`: run a command and report the result.

The command comes first. If a report fails, the command still runs as it would
without us, and its exit status is ours.
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
from afterrun_exporter.client.child import Child, ProcessEnd, owns_terminal
from afterrun_exporter.client.environment import command_environ, command_line, metadata
from afterrun_exporter.client.file_descriptors import read_limited
from afterrun_exporter.client.outcomes import (
    AttemptOutcome,
    attempt_outcome,
    explanation,
)
from afterrun_exporter.client.report_sender import QueuedReport, ReportSender
from afterrun_exporter.client.reports import cut, new_run_id, report
from afterrun_exporter.client.spool import Warn

T = TypeVar("T")

#: The longest pause between two attempts, in seconds.
MAX_PAUSE: Final = 3600.0

#: Heartbeats in a row that may get lost, and the shortest silence that is reported.
MISSED_HEARTBEATS: Final = 3
MIN_SILENCE: Final = 10.0

MAX_FILE: Final = 2**20

#: Time for a slow reader of the output after the time limit or a signal that ends
#: the run, in seconds.
DRAIN: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOptions:
    """The command, and the options for running and reporting it."""

    job: str
    command: Sequence[str]
    run_id: str = field(default_factory=new_run_id)
    timeout: float | None = None
    kill_after: float = 10.0
    retries: int = 0
    retry_delay: float = 60.0
    heartbeat: float | None = None
    capture: bool = True
    #: The number of last lines of output for the message.
    tail: int = 50
    metrics: Sequence[str] = ()
    metrics_file: str | None = None
    metadata: Sequence[str] = ()
    #: Outcomes of exit statuses that are not failures.
    exits: Mapping[int, str] = field(default_factory=dict)
    #: True if the token is passed to the command.
    pass_token: bool = False
    #: Those of stdin, stdout and stderr that were closed at the start.
    closed: frozenset[int] = frozenset()


def pauses(first: float) -> Iterator[float]:
    """Yield the pauses before the second and later attempts, in seconds.

    The second attempt follows at once: many failures do not repeat.
    """
    yield 0.0
    pause = first
    while True:
        yield min(pause, MAX_PAUSE)
        pause = min(2 * pause, MAX_PAUSE)


def allowed_silence(heartbeat: float | None) -> float | None:
    """Return the silence to allow a run with a *heartbeat* of so many seconds.

    It is longer than one interval: a request may fail, or be slow.
    """
    return (
        None if heartbeat is None else max(MISSED_HEARTBEATS * heartbeat, MIN_SILENCE)
    )


def execute(
    options: ExecOptions, sender: ReportSender, environ: Mapping[str, str], warn: Warn
) -> int:
    """Run the command, with retries; return the exit status."""
    run = _Run(options, sender, environ, warn)
    result = run.attempt(1)
    for attempt, pause in zip(
        range(2, options.retries + 2), pauses(options.retry_delay), strict=False
    ):
        if not result.again or run.stopped.wait(pause):
            break
        result = run.attempt(attempt)
    run.close()
    return result.status


class _Run:
    """A run of a job, in one attempt or more."""

    def __init__(
        self,
        options: ExecOptions,
        sender: ReportSender,
        environ: Mapping[str, str],
        warn: Warn,
    ) -> None:
        self._options = options
        self._sender = sender
        self._environ = environ
        self._warn = warn
        self._child: Child | None = None
        self._pending: list[QueuedReport] = []
        #: Set once a signal asks us to end: there are no more retries.
        self.stopped = Event()
        #: That signal.
        self._stop: int | None = None
        self._metadata = self._quietly(self._run_metadata) or {}
        try:
            self._own_group = not owns_terminal()
            signals.forward(self._on_signal)
            signals.keep_children()
        except (OSError, RuntimeError, ValueError) as error:
            warn(f"signals are not forwarded: {error}")
            self._own_group = False

    def attempt(self, number: int) -> AttemptOutcome:
        """Run the command once, report it, return its outcome."""
        options = self._options
        attempt_fields = self._attempt_fields(number)
        capture = Capture(options.tail, self._warn)
        if options.capture:
            capture.open(options.closed, tail=options.tail > 0)
        self._child = child = Child(
            options.command,
            self._child_environ(number),
            self._warn,
            own_group=self._own_group,
        )
        if self._stop is not None:
            # The signal came before the start, when there was no process for it.
            child.signal(self._stop)
        end = child.start(*capture.sinks())
        capture.close_sinks()
        common_fields = {
            **attempt_fields,
            "started_at": child.started_at,
            "metadata": self._metadata,
        }
        start_report: QueuedReport | None = None
        if end is None:
            start_report = self._quietly(self._report_start, common_fields)
            end = self._wait_for_end(child, attempt_fields, capture)
        else:
            self._warn(end.remark)
            capture.finish(str)
        result = attempt_outcome(
            end,
            options.exits,
            output_lost=bool(capture.lost_output),
            reader_gone=capture.reader_gone,
        )
        self._quietly(
            self._report_end, end, result, common_fields, capture, start_report
        )
        return result

    def close(self) -> None:
        """Wait for the reports to be delivered or kept."""
        for queued in self._pending:
            self._quietly(self._wait, queued)

    def _quietly(self, act: Callable[..., T], *args: Any) -> T | None:
        """Call *act*; an error in reporting must not change the job's exit status."""
        try:
            return act(*args)
        except Exception as error:  # noqa: BLE001 - see above
            self._warn(f"a report was lost: {type(error).__name__}: {error}")
            return None

    def _report_start(self, common_fields: Mapping[str, Any]) -> QueuedReport:
        silence = allowed_silence(self._options.heartbeat)
        fields = {**common_fields, "heartbeat_seconds": silence}
        return self._sender.start(report(self._options.job, "start", **fields))

    def _report_end(
        self,
        end: ProcessEnd,
        result: AttemptOutcome,
        common_fields: Mapping[str, Any],
        capture: Capture,
        start_report: QueuedReport | None,
    ) -> None:
        metrics, problems = self._all_metrics(capture)
        lines = (
            capture.text(),
            *(f"afterrun: {text}" for text in (*problems, *capture.lost_output)),
            *explanation(result),
            self._remark(end),
        )
        fields = {**common_fields, "exit_code": result.status}
        retried = result.again and not self.stopped.is_set()
        if "attempt" in fields and result.outcome != "ok" and not retried:
            # Otherwise the daemon would wait for the next attempt before alerting.
            fields["max_attempts"] = fields["attempt"]
        if result.mapped:
            # The field "exit_code" would make the run a failure.
            code = fields.pop("exit_code")
            fields["metadata"] = {**self._metadata, "exit_code": code}
        finish = report(
            self._options.job,
            result.outcome,
            **fields,
            ended_at=end.ended_at,
            duration_ms=round(1000 * end.duration, 3),
            message=cut("\n".join(line for line in lines if line)),
            metrics=metrics,
        )
        self._pending.append(self._sender.finish(finish, start_report))

    def _wait(self, queued: QueuedReport) -> None:
        self._sender.wait(queued)
        for warning in (queued.response or {}).get("warnings", ()):
            self._warn(f"warning from the daemon: {warning}")

    def _wait_for_end(
        self, child: Child, attempt_fields: Mapping[str, Any], capture: Capture
    ) -> ProcessEnd:
        """Return the end of *child*, after its output is passed on.

        Meanwhile enforce the time limit, and send heartbeats.
        """
        options = self._options
        finished = Event()
        try:
            if options.timeout is not None:
                child.limit(options.timeout, options.kill_after)
            if options.heartbeat is not None:
                fields = {
                    **attempt_fields,
                    "heartbeat_seconds": allowed_silence(options.heartbeat),
                }
                heartbeat = report(options.job, "progress", **fields)

                def work(every: float = options.heartbeat) -> None:
                    while not finished.wait(every):
                        self._sender.heartbeat(heartbeat)

                Thread(target=work, name="heartbeat", daemon=True).start()
        except RuntimeError as error:
            capture.add_problem(f"--timeout and --heartbeat have no effect: {error}")
        end = child.wait()
        drain_limit = _DrainLimit(child.began, options.timeout, self.stopped)
        capture.finish(drain_limit.exhausted)
        finished.set()
        if drain_limit.timed_out and not end.timed_out:
            return replace(end, timed_out=True)
        return end

    def _on_signal(self, number: int) -> None:
        if number in signals.STOPS:
            self._stop = number
            self.stopped.set()
            self._sender.flush_now()
        if self._child is not None:
            self._child.signal(number)

    def _attempt_fields(self, number: int) -> dict[str, Any]:
        count = {"attempt": number, "max_attempts": self._options.retries + 1}
        return {
            "run_id": self._options.run_id,
            **(count if self._options.retries else {}),
        }

    def _child_environ(self, number: int) -> dict[str, str]:
        secrets = self._options.pass_token
        return {
            **command_environ(self._environ, secrets=secrets),
            "AFTERRUN_JOB": self._options.job,
            "AFTERRUN_RUN_ID": self._options.run_id,
            "AFTERRUN_ATTEMPT": str(number),
        }

    def _run_metadata(self) -> dict[str, Any]:
        options, problems = pairs(self._options.metadata)
        for problem in problems:
            self._warn(f"--metadata {problem}")
        command = {"command": command_line(self._options.command)}
        try:
            return {**metadata(self._environ, Path.cwd()), **command, **options}
        except OSError:
            return {**command, **options}  # the current folder has been removed

    def _remark(self, end: ProcessEnd) -> str:
        if end.timed_out:
            return f"timed out after {self._options.timeout:g} s"
        return end.remark

    def _all_metrics(self, capture: Capture) -> tuple[dict[str, float], list[str]]:
        """Return the metrics of output, file and command line, and their problems."""
        # A copy: output that is still read must not change it while it is sent.
        metrics = capture.metrics.copy()
        try:
            if (file := self._options.metrics_file) is not None:
                _add_file(metrics, file)
            metrics.add_pairs(self._options.metrics)
        except Exception as error:  # noqa: BLE001 - the report goes without them
            metrics.add_problem(f"metrics are missing: {error!r}")
        problems = metrics.all_problems()
        for problem in problems:
            self._warn(problem)
        return metrics.values, [*capture.problems, *problems]


class _DrainLimit:
    """A time limit for the reader of the output after the command has ended."""

    def __init__(self, began: float, timeout: float | None, stopped: Event) -> None:
        self._until = inf
        if timeout is not None:
            self._until = max(began + timeout, clock.stopwatch() + DRAIN)
        self._stopped = stopped
        self._stop_until = inf
        #: True if that exceeded the time limit of the run.
        self.timed_out = False

    def exhausted(self) -> str:
        """Return the reason to stop waiting, or an empty text."""
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
    """Add the metrics that the command wrote to *file*."""
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
    """Print *text* to stderr, if possible; cron mails it."""
    try:
        os.write(2, f"afterrun: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return
