"""Error messages for invalid requests: the value, and how to correct it."""

from __future__ import annotations

import json
from typing import Any, get_args

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from afterrun_exporter.core.did_you_mean import did_you_mean, unknown_value

#: Types of fields by pydantic's error type, in words for people.
_WORDS = {"string_type": "a string", "bool_type": "true or false"}


def about_parameter(query: type[BaseModel], error: ErrorDetails) -> str:
    """Return the message for *error* in a parameter of *query*."""
    name, value, kind = str(error["loc"][0]), error["input"], error["type"]
    if kind == "extra_forbidden":
        return unknown("parameter", name, query)
    if kind in {"enum", "literal_error"}:
        return unknown_value(name, str(value), _choices(error))
    if kind == "value_error":
        return f"{name} {error['ctx']['error']}"
    least, most = _span(query, name)
    return f"{name} {str(value)[:60]!r} is out of range: use a number from {least} to {most}"


def about_field(body: type[BaseModel], error: ErrorDetails) -> str:
    """Return the message for *error* in one field of *body*, or in the whole body."""
    kind, value = error["type"], error["input"]
    message = str(error["ctx"]["error"]) if kind == "value_error" else ""
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if kind == "extra_forbidden":
        return unknown("field", name, body)
    if kind == "missing":
        needed = [
            key for key, field in body.model_fields.items() if field.is_required()
        ]
        return f"{name!r} is missing: send {' and '.join(needed)}"
    if kind == "enum" and isinstance(value, str):
        return unknown_value(name, value, _choices(error))
    if kind == "string_too_short":
        message = "it is empty: give it a value or leave it out"
    if message:
        return f"{name}: {message}"
    expected = _WORDS.get(kind, "a string")
    return (
        f"{name}: {json.dumps(value)[:60]} is not {expected}: send one, or leave it out"
    )


def unknown(what: str, name: str, model: type[BaseModel]) -> str:
    """Return the message for a parameter or field that *model* does not have."""
    names = field_names(model)
    way_out = f": use {', '.join(names)}" if names else f": no {what}s are allowed here"
    return f"unknown {what} {name[:60]!r}{did_you_mean(name, names) or way_out}"


def field_names(model: type[BaseModel]) -> list[str]:
    """Return the names of the fields of *model* as they appear in requests."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _choices(error: ErrorDetails) -> list[str]:
    expected: str = error["ctx"]["expected"]
    return expected.replace("'", "").replace(" or ", ", ").split(", ")


def _span(model: type[BaseModel], name: str) -> tuple[Any, Any]:
    """Return the smallest and the largest value of a parameter."""
    field = model.model_fields[name]
    bounds = list(field.metadata)
    for choice in get_args(field.annotation):
        for one in getattr(choice, "__metadata__", ()):
            bounds += getattr(one, "metadata", ())
    (least,) = (bound.ge for bound in bounds if isinstance(bound, Ge))
    (most,) = (bound.le for bound in bounds if isinstance(bound, Le))
    return least, most
