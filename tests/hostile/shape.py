"""Pieces of a body that are repeated, and the formats that bodies have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data; boundary=b"
TEXT: Final = "text/plain"
PROTOBUF: Final = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
    "encoding=delimited"
)
ENVELOPE: Final = "application/x-sentry-envelope"
YAML: Final = "application/yaml"


@dataclass(frozen=True, slots=True)
class Shape:
    """Pieces that are repeated between a beginning and an end; `%d` counts them."""

    type: str
    piece: bytes
    first: bytes = b""
    last: bytes = b""
    #: The piece again, after all of them: what closes each.
    closing: bytes = b""

    def body(self, size: int) -> bytes:
        """Return a body of at most *size* bytes."""
        room = size - len(self.first) - len(self.last)
        numbered = b"%d" in self.piece
        each = len(self.piece % 9_999_999 if numbered else self.piece)
        times = room // (each + len(self.closing))
        pieces = (
            b"".join(self.piece % one for one in range(times))
            if numbered
            else self.piece * times
        )
        return self.first + pieces + self.last + self.closing * times


def fields(count: int, value: bytes = b"1", name: bytes = b"k") -> bytes:
    """Return so many fields of a JSON object, all of that *value*."""
    return b",".join(b'"%b%d" :%b' % (name, number, value) for number in range(count))
