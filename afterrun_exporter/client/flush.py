"""The spool, delivered: in batches, the oldest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.client.daemon import Daemon, NotDeliveredError, RefusedError
from afterrun_exporter.client.spool import Entry, Spool, Tell

#: A batch stays well below the 1 MiB that a daemon reads by default.
BATCH: Final = 100
BATCH_BYTES: Final = 256 * 1024

#: The status by which a token is refused that is for other jobs.
FORBIDDEN: Final = 403

#: Returns how many seconds a request may still take; raises NotDeliveredError
#: when there is no time for another.
Budget = Callable[[], float]


@dataclass(slots=True)
class Flushed:
    """What became of the reports that waited."""

    delivered: int = 0
    rejected: int = 0
    #: Reports that are for another daemon.
    elsewhere: int = 0
    #: Reports of jobs that the token is not for; they stay.
    forbidden: int = 0


def flush(
    spool: Spool,
    daemon: Daemon,
    budget: Budget,
    tell: Tell,
    *,
    everything: bool = False,
) -> Flushed:
    """Deliver what waits for *daemon*, or *everything* whomever it was for.

    What somebody else is busy with is left to them. Raises NotDeliveredError when
    the daemon stops taking reports; those stay. May raise OSError.
    """
    flushed = Flushed()
    for batch in _batches(spool, None if everything else daemon.url, flushed):
        try:
            _deliver(batch, daemon, budget, tell, flushed)
        finally:
            for entry in batch:
                entry.release()
    return flushed


def _batches(spool: Spool, url: str | None, flushed: Flushed) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for name in spool.names():
        entry = spool.claim(name)
        if entry is None:
            continue
        if url is not None and entry.url != url:
            flushed.elsewhere += 1
            entry.release()
            continue
        batch.append(entry)
        size += len(entry.report.item())
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _deliver(
    batch: list[Entry], daemon: Daemon, budget: Budget, tell: Tell, flushed: Flushed
) -> None:
    try:
        answers = daemon.take_all([entry.report for entry in batch], budget())
    except RefusedError as error:
        if len(batch) == 1:
            _reject(batch[0], str(error), tell, flushed)
            return
        # One of them spoils it for the others, or there are too many at once.
        for entry in batch:
            _deliver([entry], daemon, budget, tell, flushed)
        return
    failed = ""
    for entry, answer in zip(batch, answers, strict=True):
        if "title" not in answer:
            entry.remove()
            flushed.delivered += 1
        elif int(answer.get("status", 500)) == FORBIDDEN:
            # The token can be changed, and then it is taken.
            flushed.forbidden += 1
            tell(f"a report of {entry.report.job!r} waits: {answer.get('detail')}")
        elif int(answer.get("status", 500)) >= 500:
            failed = str(answer.get("detail", answer["title"]))
        else:
            _reject(entry, str(answer.get("detail", answer["title"])), tell, flushed)
    if failed:
        raise NotDeliveredError(f"{daemon.url} could not record a report: {failed}")


def _reject(entry: Entry, why: str, tell: Tell, flushed: Flushed) -> None:
    job, name = entry.report.job, entry.path.name
    entry.reject()
    flushed.rejected += 1
    tell(f"a report of {job!r} was refused: {why}; it is kept as rejected/{name}")
