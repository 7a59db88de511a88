"""Fields of a record without an equivalent in a report, kept as metrics or metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from afterrun_exporter.ingest.vocabulary import sense_of

#: The errors of a partially successful run.
ERRORS: Final = "errors"
#: The most errors that the message repeats.
MAX_ERRORS: Final = 100


def distributed(
    others: Mapping[str, Any], metrics: dict[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return additional fields of a report for all *others*.

    Numbers become *metrics*, other values metadata, and errors the message if *fields*
    have none. Fields that claim an outcome stay at the top level.
    """
    existing = fields.get("metadata")
    metadata = {**existing} if isinstance(existing, dict) else {}
    more: dict[str, Any] = {}
    for name, value in others.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number:
            metrics.setdefault(name, value)
        if sense_of(name) is not None or isinstance(value, dict):
            more[name] = value
        if not is_number and (sense_of(name) is None or name == "results"):
            metadata.setdefault(name, value)
    if "message" not in fields and (errors := others.get(ERRORS)):
        more["message"] = message_of(errors)
    if metadata:
        more["metadata"] = metadata
    return more


def message_of(errors: object) -> str:
    """Return a list of errors as text, one per line."""
    if not isinstance(errors, list):
        return errors if isinstance(errors, str) else json.dumps(errors)
    first = errors[:MAX_ERRORS]
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in first)
