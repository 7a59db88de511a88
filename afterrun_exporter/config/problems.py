"""Error messages for pydantic's errors: the path, the value, and how to correct it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.error_messages import Path, kind_of, quote
from afterrun_exporter.core.did_you_mean import did_you_mean

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "int_type": "a whole number",
    "model_type": "keys and values",
    "string_type": "text",
    "tuple_type": "a list such as [one, two]",
}
#: Sections whose values are not quoted, because they may contain secrets.
_SECRETIVE = frozenset(
    {
        "alertmanager",
        "auth",
        "basic_auth_users",
        "http_server_config",
        "projects",
        "tls_server_config",
    }
)
# Templates for the value and the context of pydantic's error.
_WORDS = {
    "greater_than_equal": "{value} is too small: at least {ge}",
    "less_than_equal": "{value} is too large: at most {le}",
    "enum": "{value} is unknown: use {expected}",
    "literal_error": "{value} is unknown: use {expected}",
    "value_error": "{error}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at a path of the file."""

    path: Path
    message: str


def findings(
    spec: type[Spec], data: object, error: ValidationError, at: Path = ()
) -> Iterator[Finding]:
    """Yield the findings for *error* in *data*, which is at path *at* of the file."""
    for details in error.errors(include_url=False):
        path = (*at, *_within(data, details["loc"]))
        # A wrong file may consist of a single token.
        is_shown = bool(path) and path[0] not in _SECRETIVE
        yield Finding(path, _message(spec, details, is_shown))


def _within(data: object, location: Path) -> Path:
    """Return the part of *location* that exists in *data*.

    Where a shorthand is allowed, such as text for a rule or a value for a list of one,
    pydantic's location is deeper than the file.
    """
    path: list[str | int] = []
    for part in location:
        if isinstance(part, int) and not isinstance(data, list):
            continue
        inside = dict(enumerate(data)) if isinstance(data, list) else data
        if not isinstance(inside, dict) or part not in inside:
            break
        data = inside[part]
        path.append(part)
    return tuple(path)


def _message(spec: type[Spec], details: ErrorDetails, is_shown: bool) -> str:
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        return _unknown_key(spec, details["loc"])
    if kind == "missing":
        return f"{details['loc'][-1]!r} is missing"
    if kind in _EXPECTED:
        return _unexpected(kind, value, is_shown)
    words = _WORDS.get(kind, "{msg}")
    return words.format(
        msg=details["msg"], value=quote(value), **details.get("ctx", {})
    )


def _unexpected(kind: str, value: object, is_shown: bool) -> str:
    if value is None:
        return "empty: set a value or remove the line"
    quotes = kind == "string_type" and isinstance(value, bool | int | float)
    hint = ": put it in quotes" if quotes else ""
    text = quote(value) if is_shown else kind_of(value)
    return f"expected {_EXPECTED[kind]}, not {text}{hint}"


def _unknown_key(spec: type[Spec], location: Path) -> str:
    *section, key = location
    for part in section:
        if isinstance(part, str):
            spec = _section(spec, part) or spec
    hint = did_you_mean(str(key), _keys(spec))
    return f"unknown key{hint or _elsewhere(spec, str(key))}"


def _keys(spec: type[Spec]) -> list[str]:
    """Return the keys of *spec* as they appear in the file."""
    fields = spec.model_fields.items()
    return [field.alias or name for name, field in fields]


def _elsewhere(spec: type[Spec], key: str) -> str:
    """Return the hint for a key that belongs to a section of *spec*."""
    for name in spec.model_fields:
        inner = _section(spec, name)
        if inner is not None and key in inner.model_fields:
            return f"; did you mean {f'{name}.{key}'!r}?"
    return f": use one of {', '.join(_keys(spec))}"


def _section(spec: type[Spec], name: str) -> type[Spec] | None:
    """Return the spec of key *name*, or None."""
    field = spec.model_fields.get(name)
    return None if field is None else _inside(field.annotation)


def _inside(annotation: object) -> type[Spec] | None:
    """Return the spec in *annotation*, also of the items of a collection."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return annotation
    inner = map(_inside, get_args(annotation))
    return next((spec for spec in inner if spec is not None), None)
