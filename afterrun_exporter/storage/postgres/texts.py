"""Texts as PostgreSQL stores them: it has no NUL character.

NUL is stored as two characters, and so is the one that begins these. So every text is
stored losslessly, and equal texts remain equal. Connections do this for each value, but
not for arrays: there it is done with `columns`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

#: Data link escape: the first of two characters that stand for one.
_ESCAPE: Final = "\x10"
_NUL: Final = "\0"
_PAIR: Final = re.compile("\x10([0\x10])")


def escaped(text: str) -> str:
    """Return *text* without NUL characters."""
    if _NUL in text or _ESCAPE in text:
        text = text.replace(_ESCAPE, _ESCAPE * 2).replace(_NUL, f"{_ESCAPE}0")
    return text


def unescaped(text: str) -> str:
    """Return the text that was escaped as *text*."""
    if _ESCAPE in text:
        return _PAIR.sub(lambda pair: _NUL if pair[1] == "0" else _ESCAPE, text)
    return text


def encode(text: str) -> bytes:
    """Return *text* for PostgreSQL. Raises UnicodeEncodeError for a lone surrogate."""
    return escaped(text).encode()


def decode(data: bytes) -> str:
    """Return the text that was stored as *data*."""
    return unescaped(data.decode())


def columns(
    names: Collection[str], rows: Iterable[Sequence[Any]]
) -> Iterator[list[Any]]:
    """Yield the columns *names* of *rows*, with escaped texts, as arrays."""
    values = [*zip(*rows, strict=True)] or [()] * len(names)
    for column in values:
        first = next((one for one in column if one is not None), None)
        if isinstance(first, str):
            yield [one and escaped(one) for one in column]
        else:
            yield [*column]
