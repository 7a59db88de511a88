"""Fields of a record that a report has no field for: nothing in them is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from afterrun_exporter.ingest.vocabulary import sense_of

#: Errors of a run that succeeded in part.
ERRORS: Final = "errors"
#: Errors that the message repeats.
MAX_ERRORS: Final = 100


def sorted_out(
    others: Mapping[str, Any], metrics: dict[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return more fields of a report, with all *others* in them.

    Numbers become *metrics*, texts and the rest metadata, and errors the message where
    *fields* have none. What claims an outcome stays where it is read.
    """
    known = fields.get("metadata")
    metadata = {**known} if isinstance(known, dict) else {}
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
    """Return a list of errors with one on each line."""
    if not isinstance(errors, list):
        return errors if isinstance(errors, str) else json.dumps(errors)
    first = errors[:MAX_ERRORS]
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in first)
