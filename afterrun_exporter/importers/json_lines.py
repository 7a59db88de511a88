"""JSON files, and the lines of the objects in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.model import InputFile

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}\n]')


def json_document(file: InputFile, hint: str) -> Any:
    """Return the data in *file*; raise ConfigError with *hint* if it is not JSON."""
    try:
        return json.loads(file.text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.lower()} at column {error.colno}; {hint}"
        raise ConfigError(file.name, [Problem(error.lineno, "", message)]) from None
    except (ValueError, RecursionError):
        message = f"not JSON that can be read: nested too deeply; {hint}"
        raise ConfigError(file.name, [Problem(0, "", message)]) from None


def object_lines(text: str, depth: int) -> list[int]:
    """Return the lines on which the objects at *depth* begin; the whole text is at 1.

    *text* is valid JSON.
    """
    return list(_lines(text, depth))


def _lines(text: str, depth: int) -> Iterator[int]:
    line, level = 1, 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark == "\n":
            line += 1
        elif mark in "[{":
            level += 1
            if mark == "{" and level == depth:
                yield line
        elif mark in "]}":
            level -= 1
