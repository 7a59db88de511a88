"""The text of a request, as JSON."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from afterrun_exporter.errors import PingError

T = TypeVar("T")

#: What follows where the value of `"rows": $ROWS` should be, and is not.
EMPTY: Final = frozenset(",}]")
EMPTY_VARIABLE: Final = "; is a variable of the script empty?"

#: Longer integers than this are no number that anything here holds.
MAX_DIGITS: Final = 400

#: Objects and arrays that a text of up to ten times as many characters may have: an
#: empty one takes 64 bytes, and the garbage collector visits half a million in one go.
MAX_NESTED: Final = 100_000
TOO_MANY: Final = (
    f"the report has over {MAX_NESTED} objects and arrays: send less of them"
)

#: Charsets that are decoded in linear time, and without side effects.
_CHARSET: Final = re.compile(
    r"utf-?8|utf-?(16|32)(-?[lb]e)?|us-ascii|ascii|latin-?\d|iso-?8859-?\d{1,2}|"
    r"(windows-|cp)125\d|koi8-[ru]|gb(k|2312|18030)|big5|shift[_-]jis|euc-(jp|kr)",
    re.ASCII | re.IGNORECASE,
)
_PARAMETER: Final = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)


class Object(dict[str, Any]):
    """An object of a report in which a name may come more than once."""

    #: The values that later ones of the same name replace.
    replaced: tuple[tuple[str, Any], ...] = ()


def decode(body: bytes, content_type: str = "") -> str:
    """Return *body* as text; what its charset does not have is replaced.

    It is UTF-8 if it can be, or as a byte order mark, zero bytes (in JSON) or the
    *content_type* say.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        return body.decode(json.detect_encoding(body), "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        found = _PARAMETER.search(content_type)
        named = found is not None and _CHARSET.fullmatch(found[1]) is not None
        charset = found[1] if found is not None and named else "utf-8-sig"
        return body.decode(charset, "replace")


def read_json(body: bytes) -> Any:
    """Return what *body* says in JSON; raise PingError, saying where it stops."""
    return parse_json(decode(body))


def parse_json(text: str) -> Any:
    """Return what *text* says in JSON; raise PingError, saying where it stops.

    NaN, Infinity and numbers of any length are read, so that one such metric does not
    cost the report.
    """
    check_nested(len(text), text.count("{") + text.count("["))
    return _read(lambda: _DECODER.decode(text.removeprefix("\ufeff")))


def check_nested(size: int, count: int) -> None:
    """Raise PingError if *count* objects and arrays are too many for *size* characters."""
    if count > max(MAX_NESTED, size // 10):
        raise PingError(TOO_MANY)


def decode_first(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value at the index *at* of *text*, and the index of its end.

    Raises PingError as `parse_json` does.
    """
    return _read(lambda: _DECODER.raw_decode(text, at))


def _read(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except json.JSONDecodeError as error:
        text = error.doc
        raise PingError(
            f"the report is not JSON: {error.msg.lower()} at line {error.lineno} "
            f"column {error.colno}, near {_near(text, error.pos)!r}"
            f"{EMPTY_VARIABLE if text[error.pos : error.pos + 1] in EMPTY else ''}"
        ) from None
    except RecursionError:
        raise PingError(
            "the report is not JSON that can be read: it is nested too deeply"
        ) from None


def _integer(text: str) -> int | float:
    # Python refuses thousands of digits; as a float they are infinite.
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


#: Scripts put tabs and line ends into messages as they are.
_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, object_pairs_hook=_object, strict=False
)


def _near(text: str, at: int) -> str:
    return text[max(0, at - 24) : at + 12]
