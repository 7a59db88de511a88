"""Requests whose lines end with a bare LF, as printf and here-documents write them."""

from __future__ import annotations

import re
from typing import Final

#: Longer heads are refused by the parser in any case.
MAX_HEAD: Final = 8190

_REQUEST_LINE: Final = re.compile(rb"[A-Z]+ [^\r\n]+ HTTP/1\.[01]\n")
_CHUNKED: Final = re.compile(rb"\ntransfer-encoding\s*:", re.IGNORECASE)

#: The connection is closed after such a request: nothing can hide behind it.
_LAST: Final = b"Connection: close\r\n\r\n"


def is_bare(start: bytes) -> bool:
    """Return True if a connection *start*s with a request line that ends with LF."""
    return _REQUEST_LINE.match(start) is not None


def is_whole(start: bytes) -> bool:
    """Return True if there is nothing to wait for: the head is complete, or refused."""
    return b"\n\n" in start or b"\r" in start or len(start) > MAX_HEAD


def with_crlf(start: bytes) -> bytes:
    """Return a bare request as HTTP has it.

    A head that mixes both line ends, or has a Transfer-Encoding, stays as it is, so that
    the parser refuses it: a proxy in front may have read it differently.
    """
    head, blank, body = start.partition(b"\n\n")
    if not blank or b"\r" in head or _CHUNKED.search(head):
        return start
    return b"%b\r\n%b%b" % (head.replace(b"\n", b"\r\n"), _LAST, body)
