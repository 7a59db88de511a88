"""The spool, delivered: in batches, the oldest first."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.client.daemon import (
    FAULT,
    Answer,
    Daemon,
    NotDeliveredError,
    RefusedError,
)
from afterrun_exporter.client.spool import REJECTED, Entry, Spool, Tell, UnreadableError

#: A batch stays well below the 1 MiB that a daemon reads by default.
BATCH: Final = 100
BATCH_BYTES: Final = 256 * 1024

#: The status by which a token is refused that is for other jobs.
FORBIDDEN: Final = 403

#: When the daemon fails over reports of so many jobs, one after another, it is down.
MAX_STUMBLES: Final = 5

#: Of many files that cannot be read the first are named.
MAX_NAMED: Final = 5

#: Returns how many seconds a request may still take; raises NotDeliveredError
#: when there is no time for another.
Budget = Callable[[], float]


@dataclass(slots=True)
class Flushed:
    """The numbers of reports that waited, by what happened to them."""

    delivered: int = 0
    rejected: int = 0
    #: Reports that are for another daemon.
    elsewhere: int = 0
    #: Reports of jobs that the token is not for; they stay.
    forbidden: int = 0
    #: Files that cannot be read, or are no reports.
    unreadable: int = 0
    #: Reports over which the daemon stumbles; they stay.
    failed: int = 0


def flush(
    spool: Spool,
    daemon: Daemon,
    budget: Budget,
    tell: Tell,
    *,
    everything: bool = False,
) -> Flushed:
    """Deliver what waits for *daemon*, or *everything* whomever it was for.

    What somebody else is busy with is left to them, and a file that cannot be read
    is left out. Raises NotDeliveredError when the daemon stops taking reports; those
    stay. May raise OSError.
    """
    one = _Flush(spool, daemon, budget, tell)
    url = None if everything else daemon.url
    batches = one.batches(url)
    try:
        for batch in batches:
            try:
                one.deliver(batch)
            finally:
                for entry in batch:
                    entry.release()
    finally:
        batches.close()
        one.count_unreadable()
    return one.flushed


class _Flush:
    """One delivery of the spool."""

    def __init__(
        self, spool: Spool, daemon: Daemon, budget: Budget, tell: Tell
    ) -> None:
        self._spool = spool
        self._daemon = daemon
        self._budget = budget
        self._tell = tell
        self.flushed = Flushed()
        #: Jobs with a report over which the daemon fails: those that follow wait, too.
        self._held: set[str] = set()
        self._stumbles = 0

    def batches(self, url: str | None) -> Generator[list[Entry]]:
        """Yield the reports for the daemon at *url*, or all, a batch at a time."""
        batch: list[Entry] = []
        size = 0
        for name in self._spool.names():
            entry = self._claim(name)
            if entry is None:
                continue
            if url is not None and entry.url != url:
                self.flushed.elsewhere += 1
                entry.release()
                continue
            if entry.report.job in self._held:
                self.flushed.failed += 1
                entry.release()
                continue
            batch.append(entry)
            size += len(entry.report.item())
            if len(batch) == BATCH or size > BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def deliver(self, batch: list[Entry]) -> None:
        """Send *batch*, and remove what is recorded."""
        try:
            answers = self._take(batch)
        except RefusedError as error:
            if len(batch) == 1:
                self._reject(batch[0], str(error))
                return
        except NotDeliveredError as error:
            if not error.broken:
                raise
            if len(batch) == 1:
                self._stumble(batch[0], str(error))
                if self._stumbles >= MAX_STUMBLES:
                    raise
                return
        else:
            self._sort(batch, answers)
            return
        # One of them spoils it for the others, or there are too many at once.
        for entry in batch:
            if entry.report.job in self._held:
                self.flushed.failed += 1
            else:
                self.deliver([entry])

    def count_unreadable(self) -> None:
        """Print how many more files cannot be read than were named."""
        more = self.flushed.unreadable - MAX_NAMED
        if more > 0:
            self._tell(
                f"{more} more files in {self._spool.folder} cannot be read: afterrun "
                "spool list shows them"
            )

    def _claim(self, name: str) -> Entry | None:
        try:
            return self._spool.claim(name)
        except UnreadableError as error:
            self.flushed.unreadable += 1
            if self.flushed.unreadable <= MAX_NAMED:
                self._tell(str(error))
            return None

    def _take(self, batch: list[Entry]) -> list[Answer]:
        return self._daemon.take_all([entry.report for entry in batch], self._budget())

    def _sort(self, batch: list[Entry], answers: list[Answer]) -> None:
        down = ""
        for entry, answer in zip(batch, answers, strict=True):
            if "title" not in answer:
                self._remove(entry)
                continue
            status = int(answer.get("status", FAULT))
            why = str(answer.get("detail", answer["title"]))
            if status == FORBIDDEN:
                # The token can be changed, and then it is taken.
                self.flushed.forbidden += 1
                self._tell(f"a report of {entry.report.job!r} waits: {why}")
            elif status == FAULT:
                self._stumble(entry, why)
            elif status > FAULT:
                down = why
            else:
                self._reject(entry, why)
        if down:
            raise NotDeliveredError(
                f"{self._daemon.url} could not record a report: {down}"
            )

    def _remove(self, entry: Entry) -> None:
        self.flushed.delivered += 1
        self._stumbles = 0
        try:
            entry.remove()
        except OSError as error:
            self._tell(
                f"{entry.path} cannot be removed and will be sent again: "
                f"{error.strerror or error}"
            )

    def _stumble(self, entry: Entry, why: str) -> None:
        job = entry.report.job
        self.flushed.failed += 1
        self._stumbles += 1
        self._held.add(job)
        self._tell(f"a report of {job!r} waits, for the daemon failed over it: {why}")

    def _reject(self, entry: Entry, why: str) -> None:
        job, name = entry.report.job, entry.path.name
        self.flushed.rejected += 1
        refused = f"a report of {job!r} was refused: {why}"
        try:
            entry.reject(why)
        except OSError as error:
            self._tell(
                f"{refused}; it cannot be moved to {REJECTED}/ and stays: "
                f"{error.strerror or error}"
            )
        else:
            self._tell(f"{refused}; it is kept as {REJECTED}/{name}")
