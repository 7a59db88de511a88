"""Selection of the past runs that a daemon keeps.

A daemon keeps the last runs of each job that it recorded, and recognizes repeats of
those alone. Older ones of a file would replace newer runs, and would count again with
each import. So only those are sent that are among the newest of a job, together with
the runs that the daemon has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from afterrun_exporter.cli.run_checks import second_of


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
