"""Messages about invalid values, the same for files, requests and reports.

A message has the value and a way to correct it; the place is a path in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from afterrun_exporter.core.did_you_mean import did_you_mean, unknown_value

#: Keys and list positions from the top of the file down to a value.
Path = tuple[str | int, ...]

_PLAIN_PART = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_SHOWN = 50

#: The message for a key without a value.
EMPTY: Final = "empty: set a value or remove the key"

_EXPECTED: Final = {
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_type": "keys and values",
    "string_type": "text",
    "tuple_type": "a list such as [one, two]",
}
#: Sections whose values are not quoted, because they may contain secrets.
_SECRETIVE: Final = frozenset(
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
_WORDS: Final = {
    "greater_than_equal": "{value} is too small: at least {ge}",
    "less_than_equal": "{value} is too large: at most {le}",
    "string_too_long": "{value} is too long: at most {max_length} characters",
    "string_too_short": EMPTY,
    "value_error": "{error}",
}
_QUOTED: Final = re.compile("'([^']*)'")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem at a path of a file or a body."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{show(self.path)}: {self.message}" if self.path else self.message


def findings(
    spec: type[BaseModel], data: object, error: ValidationError, at: Path = ()
) -> Iterator[Finding]:
    """Yield the findings for *error* in *data*, which is at the path *at*."""
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


def _message(spec: type[BaseModel], details: ErrorDetails, is_shown: bool) -> str:
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        return _unknown_key(spec, details["loc"])
    if kind == "missing":
        return f"{details['loc'][-1]!r} is missing"
    if kind in _EXPECTED:
        return _unexpected(kind, value, is_shown)
    if kind in {"enum", "literal_error"}:
        return unknown_choice("value", details)
    words = _WORDS.get(kind, "{msg}")
    return words.format(
        msg=details["msg"], value=quote(value), **details.get("ctx", {})
    )


def _unexpected(kind: str, value: object, is_shown: bool) -> str:
    if value is None:
        return EMPTY
    quotes = kind == "string_type" and isinstance(value, bool | int | float)
    hint = ": put it in quotes" if quotes else ""
    text = quote(value) if is_shown else kind_of(value)
    return f"expected {_EXPECTED[kind]}, not {text}{hint}"


def unknown_choice(what: str, details: ErrorDetails) -> str:
    """Return the message for a value that is none of the choices for *what*."""
    value, choices = details["input"], _QUOTED.findall(details["ctx"]["expected"])
    if isinstance(value, str):
        return unknown_value(what, value, choices)
    return f"expected one of {', '.join(choices)}, not {quote(value)}"


def _unknown_key(spec: type[BaseModel], location: Path) -> str:
    *section, key = location
    for part in section:
        if isinstance(part, str):
            spec = _section(spec, part) or spec
    names = keys(spec)
    hint = did_you_mean(str(key), names) or _elsewhere(spec, str(key))
    way_out = f": use one of {', '.join(names)}" if names else ": remove it"
    return f"unknown key{hint or way_out}"


def keys(spec: type[BaseModel]) -> list[str]:
    """Return the keys of *spec* as people write them."""
    fields = spec.model_fields.items()
    return [field.alias or name for name, field in fields]


def _elsewhere(spec: type[BaseModel], key: str) -> str:
    """Return the hint for a key that belongs to a section of *spec*, or ""."""
    for name in spec.model_fields:
        inner = _section(spec, name)
        if inner is not None and key in inner.model_fields:
            return f"; did you mean {f'{name}.{key}'!r}?"
    return ""


def _section(spec: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the spec of key *name*, or None."""
    field = spec.model_fields.get(name)
    return None if field is None else _inside(field.annotation)


def _inside(annotation: object) -> type[BaseModel] | None:
    """Return the spec in *annotation*, also of the items of a collection."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = map(_inside, get_args(annotation))
    return next((spec for spec in inner if spec is not None), None)


def show(path: Path) -> str:
    """Return *path* for messages: ``jobs.backup.rules[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." if text else ""
            text += part if _PLAIN_PART.fullmatch(part) else quote(part)
    return text


def quote(value: object) -> str:
    """Return *value* for messages: on one line and shortened.

    Lists and mappings are only named, because aliases can make them huge.
    """
    if isinstance(value, str):
        short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        return repr(short)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list | tuple):
        return "keys and values" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else repr(value)


def kind_of(value: object) -> str:
    """Return the type of *value* without the value, which may be a secret."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return quote(value)
