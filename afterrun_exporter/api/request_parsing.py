"""Parsing and validation of query parameters and JSON bodies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar, get_origin

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from afterrun_exporter.api.operation import JSON, Operation
from afterrun_exporter.api.request_models import Query
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.bodies import read_body as read
from afterrun_exporter.ingest.json_text import syntax_error
from afterrun_exporter.validation_messages import findings, keys, unknown_choice

#: Larger bodies are parsed in a thread, because they may contain many errors.
LARGE: Final = 4096
#: The maximum number of values in a body, including nested ones.
MAX_VALUES: Final = 2_000
#: The maximum number of problems in a response.
MAX_PROBLEMS: Final = 100

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=BaseModel)


def read_query(model: type[Q], parameters: MultiMapping[str]) -> Q:
    """Return the parsed parameters; raise RequestError for unknown or invalid ones.

    Only parameters that are lists may be repeated.
    """
    if not parameters:
        return model()
    names, values = keys(model), dict[str, Any]()
    for name in dict.fromkeys(parameters):
        if name not in names:
            raise RequestError(_unknown_parameter(name, names))
        all_of_it = parameters.getall(name)
        if not all(all_of_it):
            raise RequestError(
                f"parameter {name!r} is empty: set a value or leave it out"
            )
        if get_origin(model.model_fields[name].annotation) is tuple:
            values[name] = tuple(all_of_it)
        elif len(all_of_it) == 1:
            values[name] = all_of_it[0]
        else:
            raise RequestError(
                f"parameter {name!r} is sent {len(all_of_it)} times: send it once"
            )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(_invalid_parameters(model, values, error)) from None


def _unknown_parameter(name: str, names: Sequence[str]) -> str:
    way_out = (
        f": use {', '.join(names)}" if names else ": no parameters are allowed here"
    )
    return f"unknown parameter {name[:60]!r}{did_you_mean(name, names) or way_out}"


def _invalid_parameters(
    model: type[Query], values: object, error: ValidationError
) -> str:
    (first, *_), (finding, *_) = error.errors(), findings(model, values, error)
    if first["type"] in {"enum", "literal_error"}:
        return unknown_choice(str(finding.path[0]), first)
    return str(finding)


async def read_body(operation: Operation[Any, B, Any], request: web.Request) -> B:
    """Return the parsed body of *request*; an empty body counts as {}.

    A text body fills one field of the model. Raises RequestError, and
    HTTPRequestEntityTooLarge if the body is too large.
    """
    body = await _read(request, operation.most)
    is_text = operation.text is not None and request.content_type != JSON
    return await parsed(len(body), lambda: _object_of(operation, body, is_text), LARGE)


def _object_of(operation: Operation[Any, B, Any], body: bytes, is_text: bool) -> B:
    model = operation.body
    if operation.text is not None and is_text:
        field, _ = operation.text
        return model.model_validate({field: _text(body)})
    data = _parse(body) if body.strip() else {}
    if not isinstance(data, dict):
        raise RequestError("the body is not a JSON object: send {...}")
    _check_count(data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = islice(findings(model, data, error), MAX_PROBLEMS)
        raise RequestError("\n".join(map(str, problems))) from None


def _check_count(data: dict[str, Any]) -> None:
    """Raise RequestError if *data* has more than MAX_VALUES values."""
    count, rest = 0, [iter(data.values())]
    while rest:
        for value in rest.pop():
            count += 1
            if isinstance(value, dict | list):
                rest.append(iter(value.values() if isinstance(value, dict) else value))
            if count > MAX_VALUES:
                raise RequestError(f"the body has over {MAX_VALUES} values: send less")


async def _read(request: web.Request, most: int) -> bytes:
    try:
        return await read(
            request, most, f"the body is larger than {most} bytes: send less"
        )
    except PingError as error:
        raise RequestError(str(error)) from None


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise RequestError(
            f"the body is not UTF-8: byte 0x{body[error.start]:02x} in line {line}"
        ) from None


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_once_each,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise RequestError(syntax_error("body", error)) from None
    except (ValueError, RecursionError):
        raise RequestError("the body is not valid JSON") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    errors: dict[str, Any] = {}
    for name, value in pairs:
        if name in errors:
            raise RequestError(f"{name[:60]!r} is sent twice: send it once")
        errors[name] = value
    return errors


def _no_number(word: str) -> NoReturn:
    raise RequestError(f"the body is not JSON: {word} is not a JSON number")
