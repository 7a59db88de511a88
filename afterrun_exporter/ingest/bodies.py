"""Request bodies: size limits, decompression in steps, and parsing in threads.

aiohttp's own decompression is disabled. Only the part of a body that a handler reads
is decompressed.
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

#: Settings of connections: bodies are not decompressed, and only `skip_rest` reads the
#: rest of a body that no handler has read.
CONNECTION: Final[Mapping[str, Any]] = {"auto_decompress": False, "lingering_time": 0.0}

#: The largest bodies, in bytes, that are parsed on the event loop within a few
#: milliseconds: with one report, and with a batch.
LARGE: Final = 65_536
LARGE_BATCH: Final = 4096
#: The most large bodies that are parsed concurrently, to limit the memory.
AT_ONCE: Final = 2
#: The most bytes of an unread body that are skipped, so that clients that send all of it
#: first get a response and the connection remains usable.
MAX_SKIPPED: Final = 2**21
#: Timeout for skipping, in seconds.
SKIP_SECONDS: Final = 10.0
#: The most bytes of the end of a long body that are kept.
MAX_END: Final = 65_536
#: The most bytes between both ends that are read to reach the end.
MAX_MIDDLE: Final = 2**28

#: The most compressed bytes read, and decompressed bytes returned, in one step.
SLICE: Final = 4096
PIECE: Final = 65_536
#: Steps of decompression without yielding to the event loop.
STEPS: Final = 16

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
#: Encodings of clients that this server does not support.
UNSUPPORTED: Final = frozenset({"br", "zstd", "compress"})

_GZIP_START: Final = b"\x1f\x8b"

_parsers: Final = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parser")


async def parsed(size: int, parse: Callable[[], T], large: int = LARGE) -> T:
    """Return the result of *parse*, for a body of *size* bytes.

    A body larger than *large* is parsed in a thread, so that it does not block the
    event loop.
    """
    if size <= large:
        return parse()
    return await asyncio.get_running_loop().run_in_executor(_parsers, parse)


async def skip_rest(request: web.BaseRequest) -> bool:
    """Skip the rest of the body of *request*; return False if the limit was exceeded."""
    content = request.content
    if content.is_eof():
        return True
    skipped = 0
    try:
        async with asyncio.timeout(SKIP_SECONDS):
            while not content.is_eof() and skipped <= MAX_SKIPPED:
                skipped += len(await content.readany())
    except Exception:  # noqa: BLE001 - the connection is closed on any error
        return False
    return content.is_eof()


async def read_ends(request: web.Request, limit: int) -> tuple[bytes, bool]:
    """Return the body of *request*, and True if it was longer than *limit* bytes.

    Of a longer body the beginning and the end are kept, *limit* bytes in total.
    Raises PingError like `unpacked`.
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
    """Return the decompressed body of *request*, up to *limit* bytes.

    Raises HTTPRequestEntityTooLarge with *text* for a larger body, and PingError
    like `unpacked`.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit, length, text)
    content = request.content
    if content.is_eof() and not _coding(request):
        # The whole body arrived with the headers, as with small reports.
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

    Raises PingError if the compression or the chunks of the body are invalid.
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
        # Otherwise aiohttp waits for the rest of the body and logs an internal error.
        request.content.feed_eof()
        raise PingError(
            "the body cannot be read: its chunks do not match its Transfer-Encoding"
        ) from None


def _coding(request: web.Request) -> str:
    """Return the compression of the body, or ""; raise PingError if unsupported."""
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding in UNSUPPORTED:
        raise PingError(
            f"the body cannot be decompressed: Content-Encoding {coding!r} is not "
            "supported; use gzip or deflate"
        )
    return coding if coding in {GZIP, DEFLATE} else ""


class Unpacker:
    """Decompresses a body in pieces of limited size."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._is_new = True
        self._has_data = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield *data*, the next compressed bytes, decompressed.

        Pieces may be empty. Raises PingError.
        """
        for at in range(0, len(data), SLICE):
            rest = data[at : at + SLICE]
            self._has_data = True
            while rest:
                if self._stream.eof:
                    rest = self._next(rest)
                    continue
                yield self._step(rest)
                rest = self._stream.unconsumed_tail or self._stream.unused_data
        # zlib may buffer more than a piece of output after all input is consumed.
        while self._has_data and not self._stream.eof:
            if not (piece := self._step(b"")):
                return
            yield piece

    def end(self) -> None:
        """Raise PingError if the body ends before its compressed stream does."""
        if self._has_data and not self._stream.eof:
            raise self._invalid()

    def _step(self, data: bytes) -> bytes:
        if self._is_new and self._coding == DEFLATE and data:
            # "deflate" names two formats; one of them begins with a header.
            has_header = data[0] & 0x0F == 8
            bits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(bits)
        self._is_new = self._is_new and not data
        try:
            return self._stream.decompress(data, PIECE)
        except zlib.error:
            raise self._invalid() from None

    def _next(self, rest: bytes) -> bytes:
        """Start with the next member of a gzip file, at the beginning of *rest*."""
        rest = rest.lstrip(b"\0")
        if not rest:
            return rest
        if self._coding == DEFLATE or not _GZIP_START.startswith(rest[:2]):
            raise self._invalid()
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return rest

    def _invalid(self) -> PingError:
        return PingError(
            f"the body cannot be decompressed: it is not {self._coding!r}, as stated in "
            "its Content-Encoding"
        )


def _too_large(limit: int, size: int, text: str) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        limit,
        size,
        text=text
        or f"the body is over limits.body_bytes ({limit} bytes): nothing was "
        "recorded; send less, or raise the limit",
    )
