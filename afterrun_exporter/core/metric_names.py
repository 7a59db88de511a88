"""Names of metrics: one grammar for reports, rules, gauges and the API.

A name is any printable text. A rule writes it plainly (``rows_processed``), with labels
like a pushed sample (``backup_status{profile="photos"}``), or in double quotes with
JSON's escapes (``"rows processed"``), which works for any name.
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

#: Fields of a report, which are metrics in quotes only.
FIELDS: Final = frozenset({"duration_ms", "duration_seconds"})

#: A text in double quotes, as a regular expression.
STRING: Final = r'"(?:[^"\\]|\\.)*"'

_LABELLED = re.compile(rf"({PLAIN.pattern}) ?\{{(.*)\}}", re.DOTALL)
_LABEL = re.compile(rf"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*({STRING})\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"\\": "\\", '"': '"', "n": "\n"}
#: Characters of a text in double quotes that must be escaped.
ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

#: Prometheus cannot evaluate an expression with a replacement character in it.
UNUSABLE: Final = "\ufffd"


def is_name(name: str) -> bool:
    """Return True if *name* is a valid name of a metric."""
    return 0 < len(name) <= MAX_NAME and name.isprintable()


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series as written in rules and exposed metrics."""
    if not labels:
        return name
    pairs = (f'{key}="{labels[key].translate(ESCAPES)}"' for key in sorted(labels))
    return f"{name}{{{','.join(pairs)}}}"


def as_rule(name: str) -> str:
    """Return the metric *name* as written in a rule; the inverse of `read`."""
    try:
        is_plain = name not in FIELDS and UNUSABLE not in name and read(name) == name
    except ValueError:
        is_plain = False
    return name if is_plain else quoted(name)


def read(text: str) -> str:
    """Return the name of the metric that a rule writes as *text*.

    Raises ValueError with the correct syntax if it is none.
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
    """Return *text* in double quotes, printable; the inverse of `unquoted`."""
    return "".join(
        one if one.isprintable() and one != UNUSABLE else json.dumps(one)[1:-1]
        for one in json.dumps(text, ensure_ascii=False)
    )


def unquoted(text: str) -> str:
    """Return the content of *text* in double quotes; raise ValueError if malformed."""
    try:
        content: str = json.loads(text)
        content.encode()
    except ValueError:
        raise ValueError(
            f"cannot read {text}: inside double quotes write \\\\ for a backslash, "
            '\\" for a quote, \\n for a line end, \\u00e4 for any character'
        ) from None
    return content


def _labels(text: str, whole: str) -> dict[str, str]:
    """Return the labels in *text*, the part in braces of *whole*."""
    labels: dict[str, str] = {}
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
        if label in labels:
            raise ValueError(f"label {label!r} is repeated in {whole!r}")
        labels[label] = _ESCAPE.sub(lambda one: _value(one, whole), value[1:-1])
        start = match.end() + 1
    return labels


def _value(escape: re.Match[str], whole: str) -> str:
    if (character := _ESCAPED.get(escape[1])) is not None:
        return character
    raise ValueError(
        f'{escape[0]!r} in {whole!r} is not an escape: write \\\\ for a backslash, \\" for '
        "a quote, \\n for a line end"
    )
