"""Queries and headers that are as long as they may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: The longest line of a head, less what stands around.
LONG: Final = 8000
#: As many lines of headers as there may be, less those that each request has.
LINES: Final = 120

ADDRESSES: Final = (
    "/ping/backup",
    "/snitch/backup",
    "/p/key/backup",
    "/api/push/backup",
    "/api/42/cron/backup",
    "/",
    "/jobs/backup",
    "/api/v1/jobs",
    "/api/v1/jobs/backup/runs",
    "/api/v3/checks/",
    "/metrics",
    "/-/targets",
)
PIECES: Final = (
    *(
        "a=1&",
        "status=ok&",
        "state=fail&",
        "label=a%3Db&",
        "q=a%20&",
        "tag=x&",
        "m=a:1&",
    ),
    *(
        "&",
        "%",
        "%41",
        "+",
        "=",
        "a[b]=1&",
        "metric=rows:1&",
        "a",
        "[",
        "a;",
        "%ED%A0%80",
    ),
)
HEADERS: Final = {
    "Accept": ("a/b,", "text/html;q=0.1,", ";q=", ",", "*/*;", " "),
    "Accept-Encoding": ("gzip,", "gzip;q=0.", ",", ";", "*;q=0,"),
    "Authorization": ("Bearer ", "a", "Basic QQ==", "QTpC", "Basic ", "="),
    "Content-Type": ("a/b;", "; charset=", ';a="', "multipart/form-data;", "\\"),
    "Cookie": ("a=b; ", ";", "a=", '"', "=", "csrf="),
    "Host": ("a.", "[", "a:", "1", "xn--"),
    "If-None-Match": ('"a",', "W/", '"', ","),
    "If-Modified-Since": ("Sun, ", "0", ":"),
    "Idempotency-Key": ("a", "\xe4"),
    "Origin": ("http://", "a.", ":"),
    "Range": ("bytes=", "0-0,", "-"),
    "X-Forwarded-For": ("1.2.3.4, ", ",", "::", "a"),
    "X-Forwarded-Host": ("a.", ","),
    "X-Sentry-Auth": ("sentry_key=a,", "Sentry ", ",", "="),
    "X-Api-Key": ("a",),
    "X": ("a", " ", "\t"),
}


def requests() -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and requests."""
    for number, piece in enumerate(PIECES):
        for address in ADDRESSES[number % 3 :: 3]:
            query = piece * (LONG // len(piece))
            yield f"{piece} to {address}", _request(f"{address}?{query}", ())
    for name, pieces in HEADERS.items():
        for piece in pieces:
            line = f"{name}: {piece * (LONG // len(piece))}"
            for number, address in enumerate(ADDRESSES):
                if number % len(pieces) == 0:
                    yield f"{name} {piece} to {address}", _request(address, (line,))
            yield f"{LINES} times {name} {piece}", _request("/", (line,) * LINES)


def _request(target: str, lines: tuple[str, ...]) -> bytes:
    host = (
        () if any(line.startswith("Host:") for line in lines) else ("Host: localhost",)
    )
    head = (f"GET {target} HTTP/1.1", *host, *lines, "Connection: close", "", "")
    return "\r\n".join(head).encode("latin-1")
