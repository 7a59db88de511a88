"""Keys of finished runs, which detect repeated reports as long as the run is kept.

The newest keys are in the row of their job. Older ones are written 32 at a time, which
costs a report almost nothing, and are loaded if a report might repeat an older run.
Then they stay in memory, for the jobs with the most recent reports.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from afterrun_exporter.core.duplicates import KEY_SIZE, NO_KEY, REMEMBERED, shortened
from afterrun_exporter.core.state import JobState, Transition

#: Keys of older runs that are stored together.
CHUNK: Final = REMEMBERED

#: Maximum memory for keys in bytes, without those of the last 32 runs of each job:
#: 8 bytes per run.
MEMORY: Final = 64 * 1024 * 1024

_NO_KEYS: Final = NO_KEY * CHUNK


class OlderKeys(NamedTuple):
    """Keys of runs with consecutive numbers, the last of which is *through*."""

    keys: bytes = b""
    through: int = 0


def rows_of(job_id: int, transition: Transition) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that the runs of *transition* complete."""
    state, runs = transition.state, transition.runs
    last = state.recorded
    before = last - len(runs)
    for chunk in range(before // CHUNK + 1, last // CHUNK + 1):
        end = len(state.run_keys) - (last - chunk * CHUNK) * KEY_SIZE
        keys = state.run_keys[max(0, end - CHUNK * KEY_SIZE) : max(0, end)]
        if keys.strip(NO_KEY[:1]):
            received_at = runs[chunk * CHUNK - before - 1].received_at
            yield job_id, chunk, keys.rjust(CHUNK * KEY_SIZE, b"\0"), received_at


def joined(chunks: Mapping[int, bytes]) -> OlderKeys:
    """Return the keys in *chunks*, by number."""
    first, last = min(chunks), max(chunks)
    # There is no row if no run of it had an id.
    rows = (chunks.get(chunk, _NO_KEYS) for chunk in range(first, last + 1))
    return OlderKeys(b"".join(rows), last * CHUNK)


class KeysInMemory:
    """Bounds the memory of the keys in *states*."""

    def __init__(self, states: dict[str, JobState], limit: int) -> None:
        self._states = states
        self._most = limit
        #: Bytes of the keys of each job that has more keys than are stored with its
        #: state, those with the most recent reports last.
        self._sizes: dict[str, int] = {}
        self._total = 0

    def note(self, states: Mapping[str, JobState]) -> None:
        """Update the sizes after *states* have been committed."""
        for name, state in states.items():
            size = len(state.run_keys)
            if size > REMEMBERED * KEY_SIZE:
                self._total += size - self._sizes.pop(name, 0)
                self._sizes[name] = size

    def replace(self, jobs: Iterable[str], states: Mapping[str, JobState]) -> None:
        """Update the sizes after *states* have replaced those of *jobs*."""
        for name in jobs:
            self._total -= self._sizes.pop(name, 0)
        self.note(states)

    def make_room(self) -> None:
        """Forget the keys of the jobs with the oldest reports."""
        while self._total > self._most:
            self.forget([next(iter(self._sizes))])

    def forget(self, jobs: Collection[str]) -> None:
        """Keep only the keys of *jobs* that are stored with their states."""
        for name in jobs:
            self._total -= self._sizes.pop(name, 0)
            if state := self._states.get(name):
                self._states[name] = shortened(state)
