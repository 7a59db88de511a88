"""The text of a request, as JSON."""

from __future__ import annotations

import json
from typing import Any, Final

from afterrun_exporter.errors import PingError

#: What follows where the value of `"rows": $ROWS` should be, and is not.
EMPTY: Final = frozenset(",}]")
EMPTY_VARIABLE: Final = "; is a variable of the script empty?"


def read_json(body: bytes) -> Any:
    """Return what *body* says in JSON; raise PingError, saying where it stops.

    NaN and Infinity are read, so that one such metric does not cost the report.
    """
    text = body.decode("utf-8-sig", "replace")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PingError(
            f"the report is not JSON: {error.msg.lower()} at line {error.lineno} "
            f"column {error.colno}, near {_near(text, error.pos)!r}"
            f"{EMPTY_VARIABLE if text[error.pos : error.pos + 1] in EMPTY else ''}"
        ) from None
    except (ValueError, RecursionError):
        raise PingError(
            "the report is not JSON that can be read: its numbers are too long or "
            "it is nested too deeply"
        ) from None


def _near(text: str, at: int) -> str:
    return text[max(0, at - 24) : at + 12]
