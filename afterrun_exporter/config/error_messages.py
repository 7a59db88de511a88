"""Formatting of paths and values in error messages."""

from __future__ import annotations

import re

#: Keys and list positions from the top of the file down to a value.
Path = tuple[str | int, ...]

_PLAIN_PART = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SHOWN = 50


def show(path: Path) -> str:
    """Return *path* for messages: ``jobs.backup.rules[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _PLAIN_PART.fullmatch(part) else quote(part)
    return text


def quote(value: object) -> str:
    """Return *value* for messages: on one line and shortened.

    Lists and mappings are only named, because aliases can make them huge.
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
    """Return the type of *value* without the value, which may be a secret."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return quote(value)
