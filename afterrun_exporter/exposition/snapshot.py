"""What one scrape is answered: whole, in part, compressed, and never in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import Final

from afterrun_exporter.exposition.compression import Packed, gzipped, pack

#: Bytes that are joined, and sent, before everything else gets its turn.
BLOCK: Final = 2**18
#: The same for the thread that compresses; it has to wait for its turn each time.
LARGE_BLOCK: Final = 2**21


class Snapshot:
    """The families of jobs as of one moment; scrapes at once share it."""

    def __init__(self, families: Iterable[tuple[str, list[bytes]]]) -> None:
        self._families = list(families)
        self._packed: Packed | None = None
        self._packing = asyncio.Lock()

    def pieces(self, wanted: Collection[str] | None) -> Iterator[bytes]:
        """Return what joins to the text of all families, or those that are *wanted*."""
        return chain.from_iterable(
            pieces
            for name, pieces in self._families
            if wanted is None or name in wanted
        )

    async def packed(self, wanted: Collection[str] | None) -> Packed:
        """Return the same, compressed; all of it is compressed only once."""
        if wanted is not None:
            return await asyncio.to_thread(self._pack, wanted)
        async with self._packing:
            if self._packed is None:
                self._packed = await asyncio.to_thread(self._pack, None)
            return self._packed

    def _pack(self, wanted: Collection[str] | None) -> Packed:
        return pack(blocks(self.pieces(wanted), LARGE_BLOCK))


class Page:
    """The answer to one scrape: families of jobs, then the exporter's own."""

    def __init__(
        self, jobs: Snapshot, own: bytes, wanted: Collection[str] | None
    ) -> None:
        self._jobs = jobs
        self._own = own
        self._wanted = wanted

    def text(self) -> list[bytes]:
        """Return what joins to the text."""
        return [*self._jobs.pieces(self._wanted), self._own]

    async def compressed(self) -> list[bytes]:
        """Return what joins to the text as a gzip file."""
        return gzipped(await self._jobs.packed(self._wanted), self._own)


def blocks(pieces: Iterable[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """Yield *pieces* joined to blocks of at least *size* bytes, but for the last."""
    gathered: list[bytes] = []
    length = 0
    for piece in pieces:
        gathered.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(gathered)
            gathered, length = [], 0
    if gathered:
        yield b"".join(gathered)
