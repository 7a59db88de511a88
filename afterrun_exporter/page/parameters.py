"""Parameters in the addresses of pages that list alerts or runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from multidict import MultiMapping

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.errors import RequestError

#: The longest value of a parameter.
LONGEST: Final = 200
#: The largest id of an alert or a run.
_LARGEST_ID: Final = 2**63 - 1


def values_of(parameters: MultiMapping[str], names: Sequence[str]) -> dict[str, str]:
    """Return the values of *parameters*; raise RequestError for others than *names*."""
    for name in parameters:
        if name not in names:
            hint = did_you_mean(name, names)
            raise RequestError(f"unknown parameter {name[:60]!r}{hint}")
        if (times := len(parameters.getall(name))) > 1:
            raise RequestError(
                f"parameter {name!r} is sent {times} times: send it once"
            )
    values = {name: text.strip() for name, text in parameters.items()}
    for name, text in values.items():
        if len(text) > LONGEST:
            raise RequestError(
                f"parameter {name!r} has {len(text)} characters: use at most {LONGEST}"
            )
    return values


def id_of(text: str, kind: str) -> int:
    """Return the value of ``before``, the id of *kind*; 0 for none."""
    before = text or "0"
    if not (before.isascii() and before.isdigit() and int(before) <= _LARGEST_ID):
        raise RequestError(f"before {before[:60]!r} is not the id of {kind}")
    return int(before)
