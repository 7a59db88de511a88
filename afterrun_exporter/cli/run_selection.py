"""Selection of the past runs that a daemon keeps.

A daemon keeps the last runs of each job that it recorded, and recognizes repeats of
those alone. Older ones of a file would replace newer runs, and would count again with
each import. So only those are sent that are among the newest of a job, together with
the runs that the daemon has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from afterrun_exporter.cli.run_checks import line_of, second_of


class Selection:
    """The lines of a file to send."""

    def __init__(self) -> None:
        self._lines = bytearray()
        #: The number of lines with runs that are too old to be kept, by job.
        self.older: Counter[str] = Counter()

    def add(
        self,
        job: str,
        ranks: Sequence[int],
        kept_ends: Iterable[int],
        most: int,
        count: int,
    ) -> None:
        """Add the lines of *job*, which has *count* runs in the file.

        The other parameters are those of `lowest_rank`.
        """
        lowest = lowest_rank(ranks, kept_ends, most)
        lines = [line_of(rank) for rank in ranks if rank >= lowest]
        if lines:
            self._lines += bytes(max(0, max(lines) + 1 - len(self._lines)))
        for line in lines:
            self._lines[line] = 1
        if older := count - len(lines):
            self.older[job] = older

    def has(self, line: int) -> bool:
        """Return True if the line of this number is to be sent."""
        return line < len(self._lines) and bool(self._lines[line])


def lowest_rank(ranks: Sequence[int], kept_ends: Iterable[int], most: int) -> int:
    """Return the lowest of *ranks* to send; one above all if there is none.

    *ranks* are those of the newest runs in the file, in order, *kept_ends* the seconds
    of the ends of the kept runs, of which there are *most* at most.
    """
    in_file = Counter(map(second_of, ranks))
    existing = Counter(kept_ends)
    count, selected = 0, 0
    for second in sorted(in_file.keys() | existing.keys(), reverse=True):
        room = most - count
        if room <= 0:
            break
        # Runs that end in the same second are the same ones, as far as can be seen.
        repeats = min(in_file[second], existing[second])
        new = min(in_file[second] - repeats, max(0, room - existing[second]))
        selected += min(repeats, room) + new
        count += existing[second] + new
    if not selected:
        return ranks[-1] + 1 if ranks else 0
    return ranks[-selected]
