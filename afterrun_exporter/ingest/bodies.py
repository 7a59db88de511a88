"""Reading what a client sends without letting it eat our memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from afterrun_exporter.errors import PingError

T = TypeVar("T")

#: Bodies up to so many bytes are parsed in a few milliseconds, whatever is in them.
LARGE: Final = 65_536
#: Bytes of the end of a long body that are kept.
MAX_END: Final = 65_536
#: Bytes between both ends that are read to reach the end: more is no log.
MAX_MIDDLE: Final = 2**28


async def parsed(size: int, parse: Callable[[], T]) -> T:
    """Return the result of *parse*, for a body of *size* bytes.

    Of a large one in a thread: it would hold up everything else.
    """
    return parse() if size <= LARGE else await asyncio.to_thread(parse)


async def read_ends(request: web.Request, limit: int) -> tuple[bytes, bool]:
    """Return the body of *request*, and whether it was longer than *limit* bytes.

    Of a longer one the beginning and the end are kept, together *limit* bytes.
    """
    end = min(MAX_END, limit // 2)
    chunks: list[bytes] = []
    size = 0
    content = request.content.iter_any()
    async for chunk in content:
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    body = b"".join(chunks)
    if size <= limit:
        return body, False
    tail = bytearray(body[-end:] if end else b"")
    async for chunk in content:
        size += len(chunk)
        tail += chunk
        if len(tail) > 2 * end:
            del tail[: len(tail) - end]
        if size > MAX_MIDDLE:
            break
    return body[: limit - end] + tail[len(tail) - end :], True


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the body of *request*, decompressed; refuse more than *limit* bytes.

    Raises HTTPRequestEntityTooLarge as soon as that is known, and PingError for
    a body that is not compressed as its Content-Encoding says.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit, length)
    try:
        return await _read(request, limit)
    except RequestPayloadError:
        # Or aiohttp looks for the rest of the body, and logs this as its own error.
        request.content.feed_eof()
        encoding = request.headers.get("Content-Encoding", "")
        raise PingError(
            f"the body cannot be decompressed; is it {encoding[:40]!r}, as its "
            "Content-Encoding says?"
        ) from None


async def _read(request: web.Request, limit: int) -> bytes:
    chunks, size = [], 0
    if request.content.is_eof():
        # All of it came with the headers, as a small report does.
        chunk = request.content.read_nowait()
        if len(chunk) > limit:
            raise _too_large(limit, len(chunk))
        return chunk
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, size)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int, size: int) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        limit,
        size,
        text=f"the body is over limits.body_bytes ({limit} bytes): nothing was "
        "recorded; send less, or raise the limit",
    )
