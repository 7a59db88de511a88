"""The response to a scrape: all or some families, optionally compressed, in blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import Final

from afterrun_exporter.exposition.compression import Packed, gzipped, pack

#: Bytes that are joined and sent between two yields.
BLOCK: Final = 2**18
#: The same for the compression thread, which waits for the GIL each time.
LARGE_BLOCK: Final = 2**21


class Snapshot:
    """The families of jobs at one moment, shared by concurrent scrapes."""

    def __init__(self, families: Iterable[tuple[str, list[bytes]]]) -> None:
        self._families = list(families)
        self._packed: Packed | None = None
        self._packing = asyncio.Lock()

    def pieces(self, names: Collection[str] | None) -> Iterator[bytes]:
        """Return the pieces of the text of all families, or only of *names*."""
        return chain.from_iterable(
            pieces for name, pieces in self._families if names is None or name in names
        )

    async def packed(self, names: Collection[str] | None) -> Packed:
        """Return the same, compressed; the whole text is compressed only once."""
        if names is not None:
            return await asyncio.to_thread(self._pack, names)
        async with self._packing:
            if self._packed is None:
                self._packed = await asyncio.to_thread(self._pack, None)
            return self._packed

    def _pack(self, names: Collection[str] | None) -> Packed:
        return pack(blocks(self.pieces(names), LARGE_BLOCK))


class Page:
    """The response to a scrape: families of jobs, then the exporter's own."""

    def __init__(
        self, jobs: Snapshot, own: bytes, names: Collection[str] | None
    ) -> None:
        self._jobs = jobs
        self._own = own
        self._names = names

    def text(self) -> list[bytes]:
        """Return the pieces of the text."""
        return [*self._jobs.pieces(self._names), self._own]

    async def compressed(self) -> list[bytes]:
        """Return the pieces of the text as a gzip file."""
        return gzipped(await self._jobs.packed(self._names), self._own)


def blocks(pieces: Iterable[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """Yield *pieces* joined to blocks of at least *size* bytes, except the last."""
    block: list[bytes] = []
    length = 0
    for piece in pieces:
        block.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(block)
            block, length = [], 0
    if block:
        yield b"".join(block)
