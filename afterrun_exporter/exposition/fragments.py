"""The job families as cached bytes: one fragment for each (family, job)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.exposition.families import FAMILIES, Subject, header

_HEADERS: Final = [header(family).encode() for family in FAMILIES]


class Fragments:
    """What a scrape is joined from; a job's part is re-made when it changes."""

    def __init__(self) -> None:
        self._lines: list[dict[str, bytes]] = [{} for _ in FAMILIES]
        self._statuses: dict[str, Status] = {}
        self._counts: Counter[Status] = Counter()

    def put(self, job: Job, state: JobState, settings: Settings) -> None:
        """Show *job* as *state* has it."""
        subject = Subject(job, state, settings)
        for family, lines in zip(FAMILIES, self._lines, strict=True):
            lines[job.name] = family.lines(subject).encode()
        self._count(job.name, status(job, state))

    def drop(self, name: str) -> None:
        """Show nothing of the job of this name any more."""
        for lines in self._lines:
            lines.pop(name, None)
        self._count(name, None)

    def counts(self) -> Iterable[tuple[Status, int]]:
        """Yield every state with the number of jobs that are in it."""
        return ((state, self._counts[state]) for state in Status)

    def pieces(self) -> list[bytes]:
        """Return what joins to the text of all families."""
        pieces: list[bytes] = []
        for opening, lines in zip(_HEADERS, self._lines, strict=True):
            pieces.append(opening)
            pieces.extend(lines.values())
        return pieces

    def _count(self, name: str, now: Status | None) -> None:
        before = self._statuses.pop(name, None)
        if before is not None:
            self._counts[before] -= 1
        if now is not None:
            self._statuses[name] = now
            self._counts[now] += 1
