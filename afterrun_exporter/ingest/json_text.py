"""Decoding and parsing of JSON in requests."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from afterrun_exporter.errors import PingError

T = TypeVar("T")

#: Characters that follow a missing value, as in `"rows": $ROWS` with an empty variable.
EMPTY: Final = frozenset(",}]")
EMPTY_VARIABLE: Final = "; is a variable of the script empty?"

#: The most digits of an integer; longer ones are parsed as floats.
MAX_DIGITS: Final = 400

#: The most objects and arrays in a text of up to twenty times as many characters. An
#: empty one takes 64 bytes, decoders do not let others run before they have made all, and
#: the garbage collector visits half a million in one pass.
MAX_NESTED: Final = 50_000
TOO_MANY: Final = f"the report has over {MAX_NESTED} objects and arrays: send fewer"

#: Charsets that are decoded in linear time, and without side effects.
_CHARSET: Final = re.compile(
    r"utf-?8|utf-?(16|32)(-?[lb]e)?|us-ascii|ascii|latin-?\d|iso-?8859-?\d{1,2}|"
    r"(windows-|cp)125\d|koi8-[ru]|gb(k|2312|18030)|big5|shift[_-]jis|euc-(jp|kr)",
    re.ASCII | re.IGNORECASE,
)
_PARAMETER: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)


class Object(dict[str, Any]):
    """A JSON object with the values of repeated names."""

    #: Values that later ones of the same name replaced.
    replaced: tuple[tuple[str, Any], ...] = ()

    def all(self, name: str) -> list[Any]:
        """Return all values of *name*, the last one last."""
        before = [value for other, value in self.replaced if other == name]
        return [*before, self[name]] if name in self else before


def decode(body: bytes, content_type: str = "") -> str:
    """Return *body* as text; invalid bytes are replaced.

    The charset is UTF-8 if that is valid; otherwise it follows from a byte order mark,
    zero bytes (in JSON) or the *content_type*.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        return body.decode(json.detect_encoding(body), "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        named = _PARAMETER.search(content_type)
        charset = named[1] if named and _CHARSET.fullmatch(named[1]) else "utf-8-sig"
        return body.decode(charset, "replace")


def read_json(body: bytes) -> Any:
    """Return *body* parsed as JSON; raise PingError with the place of an error."""
    return parse_json(decode(body))


def parse_json(text: str) -> Any:
    """Return *text* parsed as JSON; raise PingError with the place of an error.

    NaN, Infinity and numbers of any length are accepted, so that one such metric does
    not reject the report.
    """
    check_nested(len(text), text.count("{") + text.count("["))
    return _read(lambda: _DECODER.decode(text.removeprefix("\ufeff")))


def check_nested(size: int, count: int) -> None:
    """Raise PingError if *count* objects and arrays are too many for *size* characters."""
    if is_nested_too_much(size, count):
        raise PingError(TOO_MANY)


def is_nested_too_much(size: int, count: int) -> bool:
    """Return True if *count* objects and arrays are too many for *size* characters."""
    return count > max(MAX_NESTED, size // 20)


def decode_first(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value at the index *at* of *text*, and the index of its end.

    Raises PingError like `parse_json`.
    """
    return _read(lambda: _DECODER.raw_decode(text, at))


def _read(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except json.JSONDecodeError as error:
        raise PingError(syntax_error("report", error)) from None
    except RecursionError:
        raise PingError(
            "the report is not JSON that can be parsed: it is nested too deeply"
        ) from None


def syntax_error(what: str, error: json.JSONDecodeError) -> str:
    """Return the message with the place of *error* in *what*."""
    text, at = error.doc, error.pos
    return (
        f"the {what} is not JSON: {error.msg.lower()} at line {error.lineno} column "
        f"{error.colno}, near {text[max(0, at - 24) : at + 12]!r}"
        f"{EMPTY_VARIABLE if text[at : at + 1] in EMPTY else ''}"
    )


def _integer(text: str) -> int | float:
    # int() refuses thousands of digits; as a float they are infinite.
    return int(text) if len(text) <= MAX_DIGITS else float(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    last = {name: number for number, (name, _) in enumerate(pairs)}
    repeated = Object(fields)
    repeated.replaced = tuple(
        pair for number, pair in enumerate(pairs) if last[pair[0]] != number
    )
    return repeated


#: Not strict: scripts put raw tabs and line ends into messages.
_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, object_pairs_hook=_object, strict=False
)
