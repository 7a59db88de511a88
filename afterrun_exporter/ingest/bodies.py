"""Request bodies: read up to a limit, unpacked in steps, parsed beside the event loop.

aiohttp passes on what is on the wire. Nothing is unpacked of a request that no handler
reads, and never more than a handler reads of it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, TypeVar

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestPayloadError

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.errors import PingError

T = TypeVar("T")

#: Settings of connections: bodies arrive as they are on the wire, and the rest of one
#: that no handler has read is skipped by `skip_rest` alone.
CONNECTION: Final[Mapping[str, Any]] = {"auto_decompress": False, "lingering_time": 0.0}

#: Bodies up to so many bytes are parsed in a few milliseconds, whatever is in them: with
#: one report, and with many of which each takes time of its own.
LARGE: Final = 65_536
LARGE_BATCH: Final = 4096
#: Large bodies that are parsed at once: each takes memory, and no two are parsed faster.
AT_ONCE: Final = 2
#: Bytes of a body without a reader that are skipped: clients that send all of it before
#: they read still get their answer, and the connection remains usable.
MAX_SKIPPED: Final = 2**21
#: Seconds in which they must arrive.
SKIP_SECONDS: Final = 10.0
#: Bytes of the end of a long body that are kept.
MAX_END: Final = 65_536
#: Bytes between both ends that are read to reach the end: more is no log.
MAX_MIDDLE: Final = 2**28

#: Packed bytes that are unpacked in one step, and bytes that a step results in.
SLICE: Final = 4096
PIECE: Final = 65_536
#: Steps of unpacking before everything else gets its turn.
STEPS: Final = 16

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
#: Encodings that clients know and this server does not.
FOREIGN: Final = frozenset({"br", "zstd", "compress"})

_GZIP_START: Final = b"\x1f\x8b"

_parsers: Final = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parser")


async def parsed(size: int, parse: Callable[[], T], large: int = LARGE) -> T:
    """Return the result of *parse*, for a body of *size* bytes.

    Of one that is larger than *large* in a thread: it would hold up everything else.
    """
    if size <= large:
        return parse()
    return await asyncio.get_running_loop().run_in_executor(_parsers, parse)


async def skip_rest(request: web.BaseRequest) -> bool:
    """Skip the rest of the body of *request*; return False if there is more of it."""
    content = request.content
    if content.is_eof():
        return True
    skipped = 0
    try:
        async with asyncio.timeout(SKIP_SECONDS):
            while not content.is_eof() and skipped <= MAX_SKIPPED:
                skipped += len(await content.readany())
    except Exception:  # noqa: BLE001 - the connection ends, whatever is wrong with it
        return False
    return content.is_eof()


async def read_ends(request: web.Request, limit: int) -> tuple[bytes, bool]:
    """Return the body of *request*, and whether it was longer than *limit* bytes.

    Of a longer one the beginning and the end are kept, together *limit* bytes.
    Raises PingError as `unpacked` does.
    """
    end = min(MAX_END, limit // 2)
    chunks: list[bytes] = []
    body, tail = b"", bytearray()
    size = 0
    async with aclosing(unpacked(request)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if body:
                tail += piece
                if len(tail) > 2 * end:
                    del tail[: len(tail) - end]
                if size > MAX_MIDDLE:
                    break
                continue
            chunks.append(piece)
            if size > limit:
                body = b"".join(chunks)
                tail += body[len(body) - end :]
    if not body:
        return b"".join(chunks), False
    return body[: limit - end] + tail[len(tail) - end :], True


async def read_body(request: web.Request, limit: int, text: str = "") -> bytes:
    """Return the body of *request*, decompressed; refuse more than *limit* bytes.

    Raises HTTPRequestEntityTooLarge with *text* as soon as that is known, and
    PingError as `unpacked` does.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit, length, text)
    content = request.content
    if content.is_eof() and not _coding(request):
        # All of it came with the headers, as a small report does.
        body = content.read_nowait()
        if len(body) > limit:
            raise _too_large(limit, len(body), text)
        return body
    chunks, size = [], 0
    async with aclosing(unpacked(request)) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise _too_large(limit, size, text)
            chunks.append(piece)
    return b"".join(chunks)


async def unpacked(request: web.Request) -> AsyncGenerator[bytes]:
    """Yield the body of *request*, decompressed piece by piece.

    Raises PingError for a body that is not compressed, or chunked, as its headers
    say.
    """
    coding = _coding(request)
    if not coding:
        async for chunk in _chunks(request):
            yield chunk
        return
    unpacker = Unpacker(coding)
    steps = 0
    async for chunk in _chunks(request):
        for piece in unpacker.pieces(chunk):
            if piece:
                yield piece
            steps += 1
            if steps % STEPS == 0:
                await yield_to_loop()
    unpacker.end()


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except RequestPayloadError:
        # Or aiohttp looks for the rest of the body, and logs this as its own error.
        request.content.feed_eof()
        raise PingError(
            "the body cannot be read: it is not chunked as its Transfer-Encoding says"
        ) from None


def _coding(request: web.Request) -> str:
    """Return the encoding that the body has to be unpacked from; "" for none.

    Raises PingError for one that this server does not know.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding in FOREIGN:
        raise PingError(
            f"the body cannot be decompressed: Content-Encoding {coding!r} is not "
            "supported; use gzip or deflate"
        )
    return coding if coding in {GZIP, DEFLATE} else ""


class Unpacker:
    """Decompresses a body, no more at a time than is asked for."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._is_new = True
        self._is_begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data*, the next bytes on the wire, is unpacked to.

        Pieces may be empty. Raises PingError.
        """
        for at in range(0, len(data), SLICE):
            rest = data[at : at + SLICE]
            self._is_begun = True
            while rest:
                if self._stream.eof:
                    rest = self._next(rest)
                    continue
                yield self._step(rest)
                rest = self._stream.unconsumed_tail or self._stream.unused_data
        # zlib may hold more than a piece of output when all input is consumed.
        while self._is_begun and not self._stream.eof:
            if not (piece := self._step(b"")):
                return
            yield piece

    def end(self) -> None:
        """Raise PingError if the body ends before its compressed stream does."""
        if self._is_begun and not self._stream.eof:
            raise self._wrong()

    def _step(self, data: bytes) -> bytes:
        if self._is_new and self._coding == DEFLATE and data:
            # Two formats have that name; one begins with a header.
            has_header = data[0] & 0x0F == 8
            bits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(bits)
        self._is_new = self._is_new and not data
        try:
            return self._stream.decompress(data, PIECE)
        except zlib.error:
            raise self._wrong() from None

    def _next(self, rest: bytes) -> bytes:
        """Begin with the next member of a gzip file, which *rest* begins with."""
        rest = rest.lstrip(b"\0")
        if not rest:
            return rest
        if self._coding == DEFLATE or not _GZIP_START.startswith(rest[:2]):
            raise self._wrong()
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return rest

    def _wrong(self) -> PingError:
        return PingError(
            f"the body cannot be decompressed; is it {self._coding!r}, as its "
            "Content-Encoding says?"
        )


def _too_large(limit: int, size: int, text: str) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        limit,
        size,
        text=text
        or f"the body is over limits.body_bytes ({limit} bytes): nothing was "
        "recorded; send less, or raise the limit",
    )
