"""The families of jobs as cached bytes, in chunks of many jobs.

An object for each family and job would be 36 objects per job. In a chunk, the lines of
a changed job are replaced; the rest is copied, not rendered again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from afterrun_exporter.exposition.encoders import Shape
from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import FAMILIES

#: Jobs in a chunk. Smaller chunks make scrapes slower, larger ones make changes slower.
SIZE: Final = 128


class Chunk:
    """The lines of some jobs, by family."""

    __slots__ = ("_bounds", "_families", "names", "texts")

    def __init__(self, families: Sequence[Shape] = FAMILIES) -> None:
        self._families = families
        self.names: list[str] = []
        #: The lines of all its jobs, by family.
        self.texts = [b""] * len(families)
        # Offsets of the lines of each job, and of the end; without jobs added since.
        self._bounds = [array("I", [0]) for _ in families]

    def add(self, name: str) -> None:
        """Add a job, without lines yet."""
        self.names.append(name)

    def update(self, subjects: Iterable[ExposedJob]) -> None:
        """Replace the lines of these jobs."""
        at = {name: place for place, name in enumerate(self.names)}
        changed = sorted(subjects, key=lambda one: at[one.job.name])
        places = [at[one.job.name] for one in changed]
        for number, family in enumerate(self._families):
            self._replace(number, places, family.lines(changed))

    def drop(self, name: str) -> None:
        """Remove a job and its lines."""
        place = self.names.index(name)
        for number, bounds in enumerate(self._bounds):
            self._replace(number, [place], [""])
            del bounds[place + 1]
        del self.names[place]

    def _replace(self, number: int, places: list[int], lines: list[str]) -> None:
        text, bounds = self.texts[number], self._bounds[number]
        if len(lines) == len(self.names):
            whole = "".join(lines)
            self.texts[number] = text = whole.encode()
            # Lengths differ from bytes only if labels have non-ASCII characters.
            plain = len(text) == len(whole)
            lengths = map(len, lines if plain else map(str.encode, lines))
            bounds[:] = array("I", accumulate(lengths, initial=0))
            return
        bounds.extend([bounds[-1]] * (len(self.names) + 1 - len(bounds)))
        pieces: list[bytes] = []
        resized: dict[int, int] = {}
        copied = 0
        for place, line in zip(places, map(str.encode, lines), strict=True):
            begin, end = bounds[place], bounds[place + 1]
            if text[begin:end] == line:
                continue
            pieces += (text[copied:begin], line)
            copied = end
            if len(line) != end - begin:
                resized[place] = len(line)
        if pieces:
            self.texts[number] = b"".join((*pieces, text[copied:]))
        if resized:
            sizes = [end - begin for begin, end in pairwise(bounds)]
            for place, length in resized.items():
                sizes[place] = length
            bounds[:] = array("I", accumulate(sizes, initial=0))


class Chunks:
    """All jobs in chunks, in the order of their registration."""

    def __init__(self, families: Sequence[Shape] = FAMILIES, size: int = SIZE) -> None:
        self._families = families
        self._size = size
        self._chunks: list[Chunk] = []
        self._homes: dict[str, Chunk] = {}

    def home(self, name: str) -> Chunk:
        """Return the chunk of a job; add the job if it is new."""
        chunk = self._homes.get(name)
        if chunk is None:
            if not self._chunks or len(self._chunks[-1].names) >= self._size:
                self._chunks.append(Chunk(self._families))
            chunk = self._homes[name] = self._chunks[-1]
            chunk.add(name)
        return chunk

    def drop(self, name: str) -> None:
        """Remove a job and its lines."""
        if (chunk := self._homes.pop(name, None)) is not None:
            chunk.drop(name)
            if not chunk.names:
                self._chunks.remove(chunk)

    def pieces(self) -> Iterator[tuple[Shape, list[bytes]]]:
        """Yield every family and the pieces of the text of its samples."""
        for number, family in enumerate(self._families):
            yield family, [one.texts[number] for one in self._chunks]
