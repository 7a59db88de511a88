"""Texts that a run reported: its message, and fields of its metadata by name.

A field is the text at a path of keys joined by dots. At each level the longest matching
key counts, as keys may have dots. Numbers and booleans are texts as in JSON; null,
lists and objects are not. Unreadable metadata has no fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import DecodeError, Raw, json

#: The field that is not in the metadata.
MESSAGE: Final = "message"
_METADATA: Final = "metadata."

#: Maximum characters of a text in a violation.
MAX_EXCERPT: Final = 200

#: Maximum characters of a message in an alert.
MAX_QUOTE: Final = 300

#: What terminals read as colours, titles and links.
_CODES: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z])"
)

_NOTHING: Final[Mapping[str, Raw]] = {}
_OBJECT: Final = json.Decoder(dict[str, Raw])
_STRING: Final = json.Decoder(str)
#: Errors beyond DecodeError: nesting, and bytes that are not text.
_UNREADABLE: Final = (DecodeError, RecursionError, UnicodeError)


def field(name: str) -> str:
    """Return the name of the field *name* in gauges: without ``metadata.``.

    Unless that would be the name of another field.
    """
    rest = name.removeprefix(_METADATA)
    return name if rest in {"", MESSAGE} or rest.startswith(_METADATA) else rest


def without_codes(text: str) -> str:
    """Return *text* without the colours that programs print for terminals."""
    return _CODES.sub("", text) if "\x1b" in text else text


def last_words(text: str) -> str:
    """Return the end of *text* in one line: it has the errors, which alerts quote."""
    # Only the end of a long text is processed.
    end = without_codes(text.rstrip()[-4 * MAX_QUOTE :])
    line = "".join(one if one.isprintable() else " " for one in end)
    line = " ".join(line.split())
    if len(line) > MAX_QUOTE:
        return f"…{line[-MAX_QUOTE:]}"
    return f"…{line}" if len(text.strip()) > 4 * MAX_QUOTE else line


def reported_host(metadata: str) -> str:
    """Return the host of a run with this *metadata*, in one short line, or ""."""
    if not metadata:
        return ""
    fields = Texts("", metadata)
    host = fields.get("host") or fields.get("hostname") or ""
    return last_words(host)


class Texts:
    """Text fields of one run; its metadata is parsed when first needed."""

    __slots__ = ("_fields", "_message", "_metadata")

    def __init__(self, message: str, metadata: str) -> None:
        self._message = message
        self._metadata = metadata
        self._fields: Mapping[str, Raw] | None = None

    def get(self, name: str) -> str | None:
        """Return the text of the field *name*; None if the run has none.

        Every run has a message, which may be empty.
        """
        if name == MESSAGE:
            return self._message
        fields, path = self._top(), name.removeprefix(_METADATA)
        while (key := _longest(fields, path)) is not None:
            value = bytes(fields[key]).strip()
            if key == path:
                return _text(value)
            fields, path = _fields(value), path[len(key) + 1 :]
        return None

    def names(self) -> Iterator[str]:
        """Yield the names of the text fields at the top level of the metadata."""
        return (name for name in self._top() if self.get(name) is not None)

    def _top(self) -> Mapping[str, Raw]:
        if self._fields is None:
            self._fields = _fields(self._metadata.encode("utf-8", "replace"))
        return self._fields


def excerpt(text: str, around: str = "") -> str:
    """Return at most `MAX_EXCERPT` characters of *text*, with *around* in the middle.

    Without *around*, the end of it, which has the errors.
    """
    if len(text) <= MAX_EXCERPT:
        return text
    start = len(text) - MAX_EXCERPT
    if around and (at := text.find(around)) >= 0:
        before = max(0, MAX_EXCERPT - len(around)) // 2
        start = min(max(0, at - before), start)
    part = text[start : start + MAX_EXCERPT]
    after = "…" if start + MAX_EXCERPT < len(text) else ""
    return f"{'…' if start else ''}{part}{after}"


def _longest(fields: Mapping[str, Raw], path: str) -> str | None:
    end = len(path)
    while end >= 0:
        if path[:end] in fields:
            return path[:end]
        end = path.rfind(".", 0, end)
    return None


def _fields(value: bytes) -> Mapping[str, Raw]:
    try:
        return _OBJECT.decode(value)
    except _UNREADABLE:
        return _NOTHING


def _text(value: bytes) -> str | None:
    if value.startswith(b'"'):
        # It was validated with the object that has it.
        return _STRING.decode(value)
    return None if value.startswith((b"{", b"[", b"n")) else value.decode()
