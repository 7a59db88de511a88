"""How a message shows the place and the value that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable

from afterrun_exporter.core.did_you_mean import near

#: Keys and list positions from the top of the file down to a value.
Path = tuple[str | int, ...]

_PLAIN_PART = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SHOWN = 50


def show(path: Path) -> str:
    """Return *path* the way a problem shows it: ``jobs.backup.rules[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _PLAIN_PART.fullmatch(part) else quote(part)
    return text


def quote(value: object) -> str:
    """Return what the user wrote, on one line and of a bearable length.

    Lists and mappings are not written out: aliases can make them enormous.
    """
    if isinstance(value, str):
        short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        return repr(short)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "keys and values" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else repr(value)


def kind_of(value: object) -> str:
    """Return what sort of value this is, without the value: it may be a secret."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return quote(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that offers what *word* may have meant."""
    meant = near(word, known)
    return f"; did you mean {meant!r}?" if meant else ""
