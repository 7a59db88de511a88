"""Settings that many jobs share, and that are reported once for all of them."""

from __future__ import annotations

from collections.abc import Iterator

from afterrun_exporter.importers.model import Source, Unmapped

#: The most jobs that a report names.
_NAMED = 5


class SharedSettings:
    """Settings without an equivalent, by value and reason, with their jobs."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], list[tuple[Source, str]]] = {}

    def add(self, source: Source, title: str, text: str, reason: str) -> None:
        """Add the setting *text* of the job with *title*."""
        self._jobs.setdefault((text, reason), []).append((source, title))

    def unmapped(self) -> Iterator[Unmapped]:
        """Yield a report for each setting, at its first place."""
        for (text, reason), jobs in self._jobs.items():
            names = ", ".join(title for _, title in jobs[:_NAMED])
            if (more := len(jobs) - _NAMED) > 0:
                names += f" and {more} more"
            yield Unmapped(jobs[0][0], f"{names}: {text}", reason)
