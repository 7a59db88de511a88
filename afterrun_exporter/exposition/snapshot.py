"""The response to a scrape: all or some families, optionally compressed, in blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from afterrun_exporter.exposition.compression import Packed, gzipped, pack
from afterrun_exporter.exposition.encoders import Shape
from afterrun_exporter.exposition.families import opening

#: Bytes that are joined and sent between two yields.
BLOCK: Final = 2**18
#: The same for the compression thread, which waits for the GIL each time.
LARGE_BLOCK: Final = 2**21


class Snapshot:
    """The families of jobs at one moment, shared by concurrent scrapes.

    Only the counters, which are last, differ between both formats.
    """

    def __init__(self, families: Iterable[tuple[Shape, list[bytes]]]) -> None:
        self._families = list(families)
        #: All families that have the same bytes in both formats, compressed.
        self._common: Packed | None = None
        #: All families, by format.
        self._packed: dict[bool, Packed] = {}
        self._packing = asyncio.Lock()

    def pieces(
        self, names: Collection[str] | None, *, is_openmetrics: bool
    ) -> Iterator[bytes]:
        """Return the pieces of the text of all families, or only of *names*."""
        return _texts(
            (one for one in self._families if names is None or one[0].name in names),
            is_openmetrics=is_openmetrics,
        )

    async def packed(
        self, names: Collection[str] | None, *, is_openmetrics: bool
    ) -> Packed:
        """Return the same, compressed; the whole text is compressed only once."""
        if names is not None:
            pieces = self.pieces(names, is_openmetrics=is_openmetrics)
            return await asyncio.to_thread(pack, blocks(pieces, LARGE_BLOCK))
        async with self._packing:
            if is_openmetrics not in self._packed:
                packed = await asyncio.to_thread(self._pack, is_openmetrics)
                self._packed[is_openmetrics] = packed
            return self._packed[is_openmetrics]

    def _pack(self, is_openmetrics: bool) -> Packed:
        counters = [one[0].type == "counter" for one in self._families]
        start = counters.index(True) if True in counters else len(counters)
        common, others = self._families[:start], self._families[start:]
        if self._common is None:
            pieces = _texts(common, is_openmetrics=is_openmetrics)
            self._common = pack(blocks(pieces, LARGE_BLOCK))
        pieces = _texts(others, is_openmetrics=is_openmetrics)
        return pack(blocks(pieces, LARGE_BLOCK), self._common)


def _texts(
    families: Iterable[tuple[Shape, list[bytes]]], *, is_openmetrics: bool
) -> Iterator[bytes]:
    for family, pieces in families:
        yield opening(family, is_openmetrics=is_openmetrics)
        yield from pieces


class Page:
    """The response to a scrape: families of jobs, then the exporter's own."""

    def __init__(
        self,
        jobs: Snapshot,
        own: bytes,
        names: Collection[str] | None,
        *,
        is_openmetrics: bool,
    ) -> None:
        self._jobs = jobs
        self._own = own
        self._names = names
        self._is_openmetrics = is_openmetrics

    def text(self) -> list[bytes]:
        """Return the pieces of the text."""
        pieces = self._jobs.pieces(self._names, is_openmetrics=self._is_openmetrics)
        return [*pieces, self._own]

    async def compressed(self) -> list[bytes]:
        """Return the pieces of the text as a gzip file."""
        packed = await self._jobs.packed(
            self._names, is_openmetrics=self._is_openmetrics
        )
        return gzipped(packed, self._own)


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
