"""Brings reports to the daemon, one after another, while the job goes on.

What cannot be brought is in the spool. Nothing here raises, or takes longer than
the settings allow.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.daemon import (
    Answer,
    Daemon,
    HTTPDaemon,
    NotDeliveredError,
    RefusedError,
)
from afterrun_exporter.client.flush import flush
from afterrun_exporter.client.reports import Report, remarked
from afterrun_exporter.client.settings import Settings
from afterrun_exporter.client.spool import Entry, Spool, Tell, UnreadableError

#: Pauses between attempts grow from the first to the last, in seconds.
FIRST_PAUSE: Final = 0.25
LAST_PAUSE: Final = 4.0


class QueuedReport:
    """A report on its way."""

    def __init__(self, report: Report, give_up_at: float) -> None:
        self.report = report
        self.give_up_at = give_up_at
        #: Its place in the spool, while it has one.
        self.entry: Entry | None = None
        #: Whether it is worth a place there.
        self.worth_keeping = True
        #: Whether it says all there is to say of a run.
        self.final = False
        #: An earlier report that says nothing more once this one is safe.
        self.replaces: QueuedReport | None = None
        #: Set when nobody waits any more: one attempt is enough.
        self.hurry = Event()
        self.done = Event()
        self.verdict: Answer | None = None
        #: Why there is no verdict.
        self.problem = ""
        self.refused = False


class ReportSender:
    """Delivers parcels in the order in which they were handed over."""

    def __init__(
        self, settings: Settings, tell: Tell, daemon: Daemon | None = None
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._daemon = daemon or HTTPDaemon(settings.url, settings.token)
        self._spool = Spool(settings.spool, tell)
        self._queue: SimpleQueue[QueuedReport | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._parcels: list[QueuedReport] = []
        self._hurried = False
        #: Problems of the spool that have been printed.
        self._told: set[str] = set()

    def start(self, report: Report) -> QueuedReport:
        """Hand over the report of a start."""
        return self._hand_over(self._parcel(report))

    def beat(self, report: Report) -> None:
        """Hand over a sign of life, which nobody needs once it is late."""
        parcel = self._parcel(report)
        parcel.worth_keeping = False
        parcel.hurry.set()
        self._hand_over(parcel)

    def finish(
        self, report: Report, started: QueuedReport | None = None
    ) -> QueuedReport:
        """Hand over a report that must not be lost, whatever happens from now on.

        *started* told of the same run; if it is not delivered by now, it is not
        needed any more: this report says when the run began.
        """
        parcel = self._parcel(report)
        parcel.final = True
        if problem := self._keep(parcel):
            parcel.report = remarked(report, f"afterrun: {problem}")
        if started is not None:
            parcel.replaces = started
            started.worth_keeping = parcel.entry is None
            started.hurry.set()
        return self._hand_over(parcel)

    def hurry(self) -> None:
        """Somebody wants us to end: try each parcel once more, and keep it then."""
        self._hurried = True
        for parcel in self._parcels:
            parcel.hurry.set()

    def wait(self, parcel: QueuedReport) -> None:
        """Return once *parcel* is delivered or kept, or time is up."""
        left = parcel.give_up_at - clock.stopwatch()
        if not parcel.done.wait(max(0.0, left)):
            # The thread hangs in a lookup or a read; it ends with the process.
            parcel.problem = parcel.problem or f"no answer from {self._daemon.url}"
        if parcel.verdict is None and not parcel.refused:
            self._tell_undelivered(parcel)

    def close(self) -> None:
        """Take nothing more: the thread ends with what it has been handed."""
        if self._thread is not None:
            self._queue.put(None)

    def _parcel(self, report: Report) -> QueuedReport:
        return QueuedReport(report, clock.stopwatch() + self._settings.patience)

    def _hand_over(self, parcel: QueuedReport) -> QueuedReport:
        if self._hurried:
            parcel.hurry.set()
        self._parcels = [one for one in self._parcels if not one.done.is_set()]
        self._parcels.append(parcel)
        self._queue.put(parcel)
        if self._thread is None:
            thread = Thread(target=self._work, name="courier", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # There may be one for the next report, which then brings this too.
                parcel.problem = str(error)
            else:
                self._thread = thread
        return parcel

    def _work(self) -> None:
        while (parcel := self._queue.get()) is not None:
            try:
                self._drop_replaced(parcel)
                self._carry(parcel)
            except Exception as error:  # noqa: BLE001 - the job must not feel it
                parcel.problem = f"{type(error).__name__}: {error}"
            finally:
                self._drop_replaced(parcel)
                if parcel.entry is not None:
                    with suppress(OSError):
                        parcel.entry.release()
                parcel.done.set()

    def _carry(self, parcel: QueuedReport) -> None:
        pause = FIRST_PAUSE
        backlog = self._flush(parcel)
        while True:
            try:
                parcel.verdict = self._daemon.take(
                    parcel.report, self._budget(parcel.give_up_at)
                )
            except RefusedError as error:
                self._refused(parcel, str(error))
                return
            except NotDeliveredError as error:
                parcel.problem = str(error)
                if parcel.worth_keeping:
                    self._keep(parcel)
                left = parcel.give_up_at - clock.stopwatch()
                if not error.again or parcel.hurry.is_set() or left <= pause:
                    return
                parcel.hurry.wait(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                break
        self._forget(parcel.entry)
        parcel.entry = None
        if not backlog:
            self._flush(parcel)

    def _flush(self, parcel: QueuedReport) -> bool:
        """Deliver what waits; return whether there is nothing more to deliver."""
        # The other half of the time is for the parcel itself: it is news.
        until = (parcel.give_up_at + clock.stopwatch()) / 2
        try:
            flush(self._spool, self._daemon, lambda: self._budget(until), self._tell)
        except NotDeliveredError:
            return False
        except OSError as error:
            why = error.strerror or error
            self._tell_once(f"the spool {self._spool.folder} cannot be read: {why}")
        return True

    def _budget(self, until: float) -> float:
        left = until - clock.stopwatch()
        if left <= 0:
            raise NotDeliveredError("time is up", again=False)
        return min(self._settings.request_timeout, left)

    def _keep(self, parcel: QueuedReport) -> str:
        """Put *parcel* into the spool, if it is not there; return why that failed."""
        if parcel.entry is not None or not self._settings.keep:
            return ""
        try:
            parcel.entry = self._spool.put(self._daemon.url, parcel.report)
        except OSError as error:
            problem = _unwritable(self._spool.folder, error)
            self._tell_once(problem)
            return problem
        return ""

    def _refused(self, parcel: QueuedReport, why: str) -> None:
        parcel.refused = True
        parcel.problem = why
        if not parcel.final:
            self._forget(parcel.entry)
            parcel.entry = None
            return  # the end of the run is told, and is refused as well
        self._keep(parcel)
        kept = ""
        if parcel.entry is not None:
            try:
                parcel.entry.reject(why)
                kept = f"; it is kept in {self._spool.folder}/rejected"
            except OSError:
                self._forget(parcel.entry)
        parcel.entry = None
        self._tell(f"the report of {parcel.report.job!r} was refused: {why}{kept}")

    def _drop_replaced(self, parcel: QueuedReport) -> None:
        """Drop the start that waits and that *parcel*, once safe, makes needless."""
        safe = parcel.verdict is not None or parcel.entry is not None
        if parcel.replaces is None or not safe:
            return
        waiting, parcel.replaces = parcel.replaces.entry, None
        if waiting is None:
            return
        try:
            # Somebody may have delivered it, or be about to.
            self._forget(self._spool.claim(waiting.path.name))
        except (OSError, UnreadableError) as error:
            self._tell(f"the spool {self._spool.folder}: {error}")

    def _tell_once(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._tell(problem)

    def _forget(self, entry: Entry | None) -> None:
        if entry is None:
            return
        try:
            entry.remove()
        except OSError as error:
            self._tell(
                f"{entry.path} cannot be removed and will be sent again: {error}"
            )

    def _tell_undelivered(self, parcel: QueuedReport) -> None:
        if parcel.entry is not None and not parcel.entry.path.exists():
            return  # somebody has delivered it since
        if parcel.entry is not None:
            self._tell(
                f"{parcel.problem}; the report of {parcel.report.job!r} waits in "
                f"{self._spool.folder}: the next run delivers it, or afterrun spool flush"
            )
            return
        # Cron mails it: the last place where it can be kept.
        text = os.fsdecode(parcel.report.item())
        self._tell(f"{parcel.problem}; this report is lost: {text}")


def _unwritable(folder: Path, error: OSError) -> str:
    return f"the spool {folder} cannot be written: {error.strerror or error}"
