"""YAML for afterrun.yml, in the style of a file that people write by hand.

Every text that another YAML reader may understand as a number, a date or a boolean
is quoted, also where AfterRun itself reads it as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

#: The maximum width of a list or mapping on one line.
WIDTH: Final = 80

_PLAIN = re.compile(
    r"[A-Za-z/][\w./=@%+-]*(?::[\w./=@%+-]+)*(?: [\w./=@%+<>!()-][\w./=@%+()-]*)*",
    re.ASCII,
)
#: Durations, sizes and shares.
_QUANTITY = re.compile(r"(?:[0-9]+(?:ms|[smhdw]))+|[0-9]+(?:[kKMGT]i?)?B|[0-9]+%")
#: Words that YAML 1.1 or 1.2 reads as something other than text.
_WORDS: Final = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
#: Lines that can be in a literal block as they are.
_BLOCK_LINE = re.compile(r"(?:[!-~]|[^\W_])(?:[ -~]|[^\W_])*(?<! )|")


def scalar(value: object) -> str:
    """Return *value* on one line, quoted if needed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    if is_plain or _QUANTITY.fullmatch(text):
        return text
    if ('"' in text or "\\" in text) and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def inline(value: object) -> str:
    """Return *value* on one line."""
    if isinstance(value, Mapping):
        pairs = (f"{scalar(key)}: {inline(one)}" for key, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return scalar(value)


def entry(key: str, value: object, indent: int = 0) -> Iterator[str]:
    """Yield the lines of ``key: value`` of a block mapping."""
    margin, name = " " * indent, scalar(key)
    if isinstance(value, str) and _is_block(value):
        mark = "|" if value.endswith("\n") else "|-"
        yield f"{margin}{name}: {mark}"
        lines = value.removesuffix("\n").split("\n")
        yield from (f"{margin}  {line}" if line else "" for line in lines)
        return
    one_line = f"{margin}{name}: {inline(value)}"
    if not value or (_is_flat(value) and len(one_line) <= WIDTH):
        yield one_line
    elif isinstance(value, Mapping):
        yield f"{margin}{name}:"
        for inner, one in value.items():
            yield from entry(inner, one, indent + 2)
    elif isinstance(value, list | tuple):
        yield f"{margin}{name}:"
        for one in value:
            yield from item(one, indent + 2)
    else:
        yield one_line


def item(value: object, indent: int = 0) -> Iterator[str]:
    """Yield the lines of an item of a block list."""
    margin = " " * indent
    one_line = f"{margin}- {inline(value)}"
    is_short = not value or len(one_line) <= WIDTH
    if not isinstance(value, Mapping | list | tuple) or is_short:
        yield one_line
        return
    if isinstance(value, Mapping):
        pairs = (entry(key, one, indent + 2) for key, one in value.items())
    else:
        pairs = (item(one, indent + 2) for one in value)
    lines = [line for pair in pairs for line in pair]
    yield f"{margin}- {lines[0][indent + 2 :]}"
    yield from lines[1:]


def comment(text: str, indent: int = 0) -> str:
    """Return *text* as a comment on one line."""
    plain = "".join(c if c.isprintable() else " " for c in text).strip()
    return f"{' ' * indent}# {plain}".rstrip()


def _is_block(text: str) -> bool:
    """Return True if *text* is lines that a literal block shows as they are."""
    lines: Sequence[str] = text.removesuffix("\n").split("\n")
    return (
        "\n" in text.strip("\n")
        and bool(lines[0])
        and bool(lines[-1])
        and all(_BLOCK_LINE.fullmatch(line) for line in lines)
    )


def _is_flat(value: object) -> bool:
    """Return True if *value* has no nested list or mapping, unless it is empty."""
    if isinstance(value, Mapping):
        values: Sequence[object] = list(value.values())
    elif isinstance(value, list | tuple):
        values = value
    else:
        return True
    return not any(isinstance(one, Mapping | list | tuple) and one for one in values)
