"""Delivery of reports to the daemon, one after another, while the job goes on.

Undelivered reports are in the spool. Nothing here raises, or takes longer than
the settings allow.
"""

from __future__ import annotations

import os
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.daemon import (
    Answer,
    Daemon,
    NotDeliveredError,
    RefusedError,
)
from afterrun_exporter.client.flush import flush
from afterrun_exporter.client.reports import Report, remarked
from afterrun_exporter.client.settings import Settings
from afterrun_exporter.client.spool import Entry, Spool, UnreadableError, Warn

#: Pauses between attempts grow from the first to the last, in seconds.
FIRST_PAUSE: Final = 0.25
LAST_PAUSE: Final = 4.0


class QueuedReport:
    """A report to deliver."""

    def __init__(self, report: Report, give_up_at: float) -> None:
        self.report = report
        self.give_up_at = give_up_at
        #: Its file in the spool, if there is one.
        self.entry: Entry | None = None
        #: False if it is not worth keeping in the spool.
        self.worth_keeping = True
        #: True if it ends the run.
        self.final = False
        #: An earlier report that this one makes obsolete, once it is safe.
        self.replaces: QueuedReport | None = None
        #: Set when the caller no longer waits: one attempt is enough.
        self.last_attempt = Event()
        self.finished = Event()
        self.response: Answer | None = None
        #: The reason why there is no response.
        self.problem = ""
        self.refused = False


class ReportSender:
    """Delivers reports in the order in which they were queued."""

    def __init__(
        self, settings: Settings, warn: Warn, daemon: Daemon | None = None
    ) -> None:
        self._settings = settings
        self._warn = warn
        self._daemon = daemon or Daemon(settings.url, settings.token)
        self._spool = Spool(settings.spool, warn)
        self._queue: SimpleQueue[QueuedReport | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._pending: list[QueuedReport] = []
        self._last_attempts = False
        #: Problems of the spool that have been reported.
        self._reported: set[str] = set()

    def start(self, report: Report) -> QueuedReport:
        """Queue the report of a start."""
        return self._enqueue(self._new(report))

    def heartbeat(self, report: Report) -> None:
        """Queue a progress report, which is obsolete if it is late."""
        queued = self._new(report)
        queued.worth_keeping = False
        queued.last_attempt.set()
        self._enqueue(queued)

    def finish(self, report: Report, start: QueuedReport | None = None) -> QueuedReport:
        """Queue a report that must not be lost, even if the process is killed now.

        *start* reported the start of the same run; if it is not delivered by now, it is
        obsolete: this report has the start time, too.
        """
        queued = self._new(report)
        queued.final = True
        if problem := self._keep(queued):
            queued.report = remarked(report, f"afterrun: {problem}")
        if start is not None:
            queued.replaces = start
            start.worth_keeping = queued.entry is None
            start.last_attempt.set()
        return self._enqueue(queued)

    def flush_now(self) -> None:
        """Try each report once more and keep the undelivered ones in the spool."""
        self._last_attempts = True
        for queued in self._pending:
            queued.last_attempt.set()

    def wait(self, queued: QueuedReport) -> None:
        """Wait until *queued* is delivered or kept, or its time is up."""
        remaining = queued.give_up_at - clock.stopwatch()
        if not queued.finished.wait(max(0.0, remaining)):
            # The thread is blocked by a lookup or a read; it ends with the process.
            queued.problem = queued.problem or f"no response from {self._daemon.url}"
        if queued.response is None and not queued.refused:
            self._warn_undelivered(queued)

    def close(self) -> None:
        """Accept no more reports: the thread ends after the queued ones."""
        if self._thread is not None:
            self._queue.put(None)

    def _new(self, report: Report) -> QueuedReport:
        return QueuedReport(report, clock.stopwatch() + self._settings.patience)

    def _enqueue(self, queued: QueuedReport) -> QueuedReport:
        self._pending = [one for one in self._pending if not one.finished.is_set()]
        self._pending.append(queued)
        # Afterwards, as a signal may come in between.
        if self._last_attempts:
            queued.last_attempt.set()
        self._queue.put(queued)
        if self._thread is None:
            thread = Thread(target=self._work, name="reports", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # A thread started for the next report will deliver this one, too.
                queued.problem = str(error)
            else:
                self._thread = thread
        return queued

    def _work(self) -> None:
        while (queued := self._queue.get()) is not None:
            try:
                self._drop_replaced(queued)
                self._deliver(queued)
            except Exception as error:  # noqa: BLE001 - the job must not fail
                queued.problem = f"{type(error).__name__}: {error}"
            finally:
                self._drop_replaced(queued)
                if queued.entry is not None:
                    with suppress(OSError):
                        queued.entry.release()
                queued.finished.set()

    def _deliver(self, queued: QueuedReport) -> None:
        pause = FIRST_PAUSE
        backlog = self._flush(queued)
        while True:
            try:
                queued.response = self._daemon.send(
                    queued.report, self._budget(queued.give_up_at)
                )
            except RefusedError as error:
                self._reject(queued, str(error))
                return
            except NotDeliveredError as error:
                queued.problem = str(error)
                if queued.worth_keeping:
                    self._keep(queued)
                remaining = queued.give_up_at - clock.stopwatch()
                if (
                    not error.again
                    or queued.last_attempt.is_set()
                    or remaining <= pause
                ):
                    return
                queued.last_attempt.wait(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                break
        self._remove(queued.entry)
        queued.entry = None
        if not backlog:
            self._flush(queued)

    def _flush(self, queued: QueuedReport) -> bool:
        """Deliver the spooled reports; return False if some could not be delivered."""
        # The other half of the time is for the queued report itself: it is news.
        until = (queued.give_up_at + clock.stopwatch()) / 2
        try:
            flush(self._spool, self._daemon, lambda: self._budget(until), self._warn)
        except NotDeliveredError:
            return False
        except OSError as error:
            why = error.strerror or error
            self._warn_once(f"cannot read the spool {self._spool.folder}: {why}")
        return True

    def _budget(self, until: float) -> float:
        remaining = until - clock.stopwatch()
        if remaining <= 0:
            raise NotDeliveredError("time is up", again=False)
        return min(self._settings.request_timeout, remaining)

    def _keep(self, queued: QueuedReport) -> str:
        """Put *queued* into the spool, if it is not there; return the problem or ""."""
        if queued.entry is not None or not self._settings.keep:
            return ""
        try:
            queued.entry = self._spool.put(self._daemon.url, queued.report)
        except OSError as error:
            why = error.strerror or error
            problem = f"cannot write to the spool {self._spool.folder}: {why}"
            self._warn_once(problem)
            return problem
        return ""

    def _reject(self, queued: QueuedReport, why: str) -> None:
        queued.refused = True
        queued.problem = why
        if not queued.final:
            self._remove(queued.entry)
            queued.entry = None
            return  # the report of the end follows, and is refused as well
        self._keep(queued)
        location = ""
        if queued.entry is not None:
            try:
                queued.entry.reject(why)
                location = f"; it is kept in {self._spool.folder}/rejected"
            except OSError:
                self._remove(queued.entry)
        queued.entry = None
        self._warn(f"the report of {queued.report.job!r} was refused: {why}{location}")

    def _drop_replaced(self, queued: QueuedReport) -> None:
        """Drop the spooled start report that *queued*, once safe, makes obsolete."""
        safe = queued.response is not None or queued.entry is not None
        if queued.replaces is None or not safe:
            return
        waiting, queued.replaces = queued.replaces.entry, None
        if waiting is None:
            return
        try:
            # Another process may have delivered it, or be delivering it.
            self._remove(self._spool.claim(waiting.path.name))
        except (OSError, UnreadableError) as error:
            self._warn(f"the spool {self._spool.folder}: {error}")

    def _warn_once(self, problem: str) -> None:
        if problem not in self._reported:
            self._reported.add(problem)
            self._warn(problem)

    def _remove(self, entry: Entry | None) -> None:
        if entry is not None:
            entry.remove(self._warn)

    def _warn_undelivered(self, queued: QueuedReport) -> None:
        if queued.entry is not None and not queued.entry.path.exists():
            return  # another process has delivered it since
        if queued.entry is not None:
            self._warn(
                f"{queued.problem}; the report of {queued.report.job!r} waits in "
                f"{self._spool.folder}: the next run delivers it, or afterrun spool flush"
            )
            return
        # Cron mails this output: the last place where the report can be kept.
        text = os.fsdecode(queued.report.item())
        self._warn(f"{queued.problem}; this report is lost: {text}")
