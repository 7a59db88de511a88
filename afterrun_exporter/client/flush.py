"""Delivery of the spool in batches, the oldest reports first."""

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
from afterrun_exporter.client.plurals import plural
from afterrun_exporter.client.spool import REJECTED, Entry, Spool, UnreadableError, Warn

#: A batch stays well below 1 MiB, the default limit of a daemon.
BATCH: Final = 100
BATCH_BYTES: Final = 256 * 1024

#: The status for a token that is not valid for the report's job.
FORBIDDEN: Final = 403

#: The daemon is considered down after failures for so many jobs in a row.
MAX_FAILURES: Final = 5

#: The number of unreadable files that are named.
MAX_NAMED: Final = 5

#: Returns the time left for a request in seconds; raises NotDeliveredError if there
#: is none.
Budget = Callable[[], float]


@dataclass(slots=True)
class FlushResult:
    """Numbers of spooled reports by result."""

    delivered: int = 0
    rejected: int = 0
    #: Reports for another daemon.
    elsewhere: int = 0
    #: Reports of jobs that the token is not valid for; they stay.
    forbidden: int = 0
    #: Files that cannot be read, or are malformed.
    unreadable: int = 0
    #: Reports on which the daemon fails; they stay.
    failed: int = 0


def flush(
    spool: Spool,
    daemon: Daemon,
    budget: Budget,
    warn: Warn,
    *,
    everything: bool = False,
) -> FlushResult:
    """Deliver the reports for *daemon*, or *everything*, also those for other daemons.

    Reports locked by another process and unreadable files are skipped. Raises
    NotDeliveredError when the daemon stops accepting reports; the rest stays in the
    spool. May raise OSError.
    """
    one = _Flush(spool, daemon, budget, warn)
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
        self, spool: Spool, daemon: Daemon, budget: Budget, warn: Warn
    ) -> None:
        self._spool = spool
        self._daemon = daemon
        self._budget = budget
        self._warn = warn
        self.flushed = FlushResult()
        #: Jobs with a report on which the daemon fails: their later reports wait, too.
        self._blocked_jobs: set[str] = set()
        self._failures = 0

    def batches(self, url: str | None) -> Generator[list[Entry]]:
        """Yield the reports for the daemon at *url*, or all, in batches."""
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
            if entry.report.job in self._blocked_jobs:
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
        """Send *batch*, and remove the recorded reports."""
        try:
            answers = self._daemon.send_all(
                [entry.report for entry in batch], self._budget()
            )
        except RefusedError as error:
            if len(batch) == 1:
                self._reject(batch[0], str(error))
                return
        except NotDeliveredError as error:
            if not error.broken:
                raise
            if len(batch) == 1:
                self._fail(batch[0], str(error))
                if self._failures >= MAX_FAILURES:
                    raise
                return
        else:
            self._handle_answers(batch, answers)
            return
        # One report fails the whole batch, or the batch is too large.
        for entry in batch:
            if entry.report.job in self._blocked_jobs:
                self.flushed.failed += 1
            else:
                self.deliver([entry])

    def count_unreadable(self) -> None:
        """Print the number of unreadable files that were not named."""
        more = self.flushed.unreadable - MAX_NAMED
        if more > 0:
            self._warn(
                f"{plural(more, 'more file')} in {self._spool.folder} cannot be read: "
                "afterrun spool list shows them"
            )

    def _claim(self, name: str) -> Entry | None:
        try:
            return self._spool.claim(name)
        except UnreadableError as error:
            self.flushed.unreadable += 1
            if self.flushed.unreadable <= MAX_NAMED:
                self._warn(str(error))
            return None

    def _handle_answers(self, batch: list[Entry], answers: list[Answer]) -> None:
        down = ""
        for entry, answer in zip(batch, answers, strict=True):
            if "title" not in answer:
                self._remove(entry)
                continue
            status = int(answer.get("status", FAULT))
            why = str(answer.get("detail", answer["title"]))
            if status == FORBIDDEN:
                # The token can be changed; the report is then accepted.
                self.flushed.forbidden += 1
                self._warn(f"a report of {entry.report.job!r} waits: {why}")
            elif status == FAULT:
                self._fail(entry, why)
            elif status > FAULT:
                down = why
            else:
                self._reject(entry, why)
        if down:
            raise NotDeliveredError(
                f"{self._daemon.url} failed to record a report: {down}"
            )

    def _remove(self, entry: Entry) -> None:
        self.flushed.delivered += 1
        self._failures = 0
        entry.remove(self._warn)

    def _fail(self, entry: Entry, reason: str) -> None:
        job = entry.report.job
        self.flushed.failed += 1
        self._failures += 1
        self._blocked_jobs.add(job)
        self._warn(f"a report of {job!r} waits: the daemon fails on it: {reason}")

    def _reject(self, entry: Entry, why: str) -> None:
        job, name = entry.report.job, entry.path.name
        self.flushed.rejected += 1
        refused = f"a report of {job!r} was refused: {why}"
        try:
            entry.reject(why)
        except OSError as error:
            self._warn(
                f"{refused}; it cannot be moved to {REJECTED}/ and stays: "
                f"{error.strerror or error}"
            )
        else:
            self._warn(f"{refused}; it is kept as {REJECTED}/{name}")
