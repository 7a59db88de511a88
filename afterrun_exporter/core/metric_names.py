"""Names of metrics: the one grammar for reports, rules, gauges and the API.

A name is any printable text. A rule writes it plainly (``rows_processed``), with labels
as a pushed sample has them (``backup_status{profile="photos"}``), or in double quotes
with JSON's escapes (``"rows processed"``), which is the way to write any of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

#: Characters of a name.
MAX_NAME: Final = 128

#: A name without labels that needs no quotes.
PLAIN: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_.:-]*")

#: Fields of a report, which are metrics in quotes alone.
FIELDS: Final = frozenset({"duration_ms", "duration_seconds"})

#: A text in double quotes, as a regular expression.
STRING: Final = r'"(?:[^"\\]|\\.)*"'

_LABELLED = re.compile(rf"({PLAIN.pattern}) ?\{{(.*)\}}", re.DOTALL)
_LABEL = re.compile(rf"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*({STRING})\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"\\": "\\", '"': '"', "n": "\n"}
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

#: Prometheus cannot evaluate an expression with a replacement character in it.
UNUSABLE: Final = "\ufffd"


def is_name(name: str) -> bool:
    """Return True if a metric can be called *name*."""
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series as rules and exposed metrics spell it."""
    if not labels:
        return name
    pairs = (f'{key}="{labels[key].translate(_ESCAPES)}"' for key in sorted(labels))
    return f"{name}{{{','.join(pairs)}}}"


def written(name: str) -> str:
    """Return the metric *name* as a rule has it; `read` returns it again."""
    try:
        is_plain = name not in FIELDS and UNUSABLE not in name and read(name) == name
    except ValueError:
        is_plain = False
    return name if is_plain else quoted(name)


def read(text: str) -> str:
    """Return the name of the metric that a rule calls *text*.

    Raises ValueError where it is none, with the way to write it.
    """
    if text.startswith('"'):
        name = unquoted(text)
    elif PLAIN.fullmatch(text):
        name = text
    elif match := _LABELLED.fullmatch(text):
        name = series_name(match[1], _labels(match[2], text))
    else:
        raise ValueError(
            f"{text!r} is not a metric name: it starts with a letter or _ and goes on "
            "with letters, digits, _ . : or -; write any other name in double quotes: "
            f"{quoted(text)}"
        )
    if not is_name(name):
        raise ValueError(
            f"no metric is called {text!r:.60}: a name has 1 to {MAX_NAME} printable "
            "characters"
        )
    return name


def quoted(text: str) -> str:
    """Return *text* in double quotes, printable; `unquoted` returns it again."""
    return "".join(
        one if one.isprintable() and one != UNUSABLE else json.dumps(one)[1:-1]
        for one in json.dumps(text, ensure_ascii=False)
    )


def unquoted(text: str) -> str:
    """Return what *text* in double quotes stands for; raise ValueError if nothing."""
    try:
        found: str = json.loads(text)
        found.encode()
    except ValueError:
        raise ValueError(
            f"cannot read {text}: inside double quotes write \\\\ for a backslash, "
            '\\" for a quote, \\n for a line end, \\u00e4 for any character'
        ) from None
    return found


def _labels(text: str, whole: str) -> dict[str, str]:
    """Return the labels that *text* lists, the inside of the braces of *whole*."""
    found: dict[str, str] = {}
    start = 0
    while text[start:].strip():
        match = _LABEL.match(text, start)
        if match is None or text[match.end() : match.end() + 1] not in {"", ","}:
            raise ValueError(
                f"cannot read the labels of {whole!r}: write them like "
                'backup_status{profile="photos"}, each with = and a value in double '
                "quotes"
            )
        label, value = match.groups()
        if label in found:
            raise ValueError(f"label {label!r} is there twice in {whole!r}")
        found[label] = _ESCAPE.sub(lambda one: _value(one, whole), value[1:-1])
        start = match.end() + 1
    return found


def _value(escape: re.Match[str], whole: str) -> str:
    if (found := _ESCAPED.get(escape[1])) is not None:
        return found
    raise ValueError(
        f'{escape[0]!r} in {whole!r} is no escape: write \\\\ for a backslash, \\" for '
        "a quote, \\n for a line end"
    )
