"""The job families as cached bytes: for each family, the lines of many jobs at once.

An object for each (family, job) would be 36 of them a job. In a chunk, the lines of
a job that changed are cut out and replaced; the rest is copied, not made again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Final

from afterrun_exporter.exposition.exposed_job import ExposedJob
from afterrun_exporter.exposition.families import FAMILIES, header

#: Jobs in a chunk. With fewer there are more pieces to go through at each scrape,
#: with more there is more to copy where a job changed.
SIZE: Final = 128

_HEADERS: Final = [header(family).encode() for family in FAMILIES]


class Chunk:
    """The lines of some jobs, family by family."""

    __slots__ = ("_bounds", "names", "texts")

    def __init__(self) -> None:
        self.names: list[str] = []
        #: The lines of all its jobs, for each family.
        self.texts = [b""] * len(FAMILIES)
        # Where the lines of each job begin, and where the last ones end; those that
        # were added since are missing.
        self._bounds = [array("I", [0]) for _ in FAMILIES]

    def add(self, name: str) -> None:
        """Make room at the end for the job of this name; it has no lines yet."""
        self.names.append(name)

    def update(self, subjects: Iterable[ExposedJob]) -> None:
        """Show these of its jobs as they are now."""
        at = {name: place for place, name in enumerate(self.names)}
        changed = sorted(subjects, key=lambda one: at[one.job.name])
        places = [at[one.job.name] for one in changed]
        for number, family in enumerate(FAMILIES):
            self._replace(number, places, family.lines(changed))

    def drop(self, name: str) -> None:
        """Show nothing of the job of this name any more."""
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
            # Characters are bytes, unless a label says something in other letters.
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
    """All jobs in chunks, in the order in which they came."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._chunks: list[Chunk] = []
        self._homes: dict[str, Chunk] = {}

    def home(self, name: str) -> Chunk:
        """Return the chunk that has the job of this name, or is to have it."""
        chunk = self._homes.get(name)
        if chunk is None:
            if not self._chunks or len(self._chunks[-1].names) >= self._size:
                self._chunks.append(Chunk())
            chunk = self._homes[name] = self._chunks[-1]
            chunk.add(name)
        return chunk

    def drop(self, name: str) -> None:
        """Show nothing of the job of this name any more."""
        if (chunk := self._homes.pop(name, None)) is not None:
            chunk.drop(name)
            if not chunk.names:
                self._chunks.remove(chunk)

    def pieces(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield the name of every family, and what joins to its text."""
        for number, (family, opening) in enumerate(
            zip(FAMILIES, _HEADERS, strict=True)
        ):
            yield family.name, [opening, *[one.texts[number] for one in self._chunks]]
