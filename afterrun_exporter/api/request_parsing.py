"""What a request asks for: its query and its body, or why they cannot be understood."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeVar, get_origin

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from afterrun_exporter.api.error_messages import (
    about_field,
    about_parameter,
    known,
    unknown,
)
from afterrun_exporter.api.operation import JSON, Operation
from afterrun_exporter.api.request_models import Query
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.error_messages import show
from afterrun_exporter.config.problems import findings
from afterrun_exporter.errors import PingError, RequestError
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.bodies import read_body as read

#: A body that is larger is parsed beside the event loop: there may be much wrong with it.
LARGE: Final = 4096
#: Values in a body, those inside of others among them.
MAX_VALUES: Final = 2_000

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=BaseModel)


def read_query(model: type[Q], given: MultiMapping[str]) -> Q:
    """Return the parameters of a query; raise RequestError for any but known ones.

    Each may be given once, those that are lists as often as one likes.
    """
    if not given:
        return model()
    names, values = known(model), dict[str, Any]()
    for name in dict.fromkeys(given):
        if name not in names:
            raise RequestError(unknown("parameter", name, model))
        all_of_it = given.getall(name)
        if not all(all_of_it):
            raise RequestError(
                f"parameter {name!r} is empty: give it a value or leave it out"
            )
        if get_origin(model.model_fields[name].annotation) is tuple:
            values[name] = tuple(all_of_it)
        elif len(all_of_it) == 1:
            values[name] = all_of_it[0]
        else:
            raise RequestError(
                f"parameter {name!r} is given {len(all_of_it)} times: give it once"
            )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestError(about_parameter(model, _first(error))) from None


async def read_body(operation: Operation[Any, B, Any], request: web.Request) -> B:
    """Return the object in the body of *request*, {} where it is empty.

    Where a body may be a text, that is one field of the object. Raises
    RequestError, and HTTPRequestEntityTooLarge for too long a body.
    """
    body = await _read(request, operation.most)
    is_text = operation.text is not None and request.content_type != JSON
    return await parsed(len(body), lambda: _object_of(operation, body, is_text), LARGE)


def _object_of(operation: Operation[Any, B, Any], body: bytes, is_text: bool) -> B:
    model = operation.body
    if operation.text is not None and is_text:
        field, _ = operation.text
        return model.model_validate({field: _text(body)})
    given = _parse(body) if body.strip() else {}
    if not isinstance(given, dict):
        raise RequestError("the body is not a JSON object: send {...}")
    _check_count(given)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RequestError(_wrong(model, given, error)) from None


def _check_count(given: dict[str, Any]) -> None:
    """Raise RequestError where *given* has more values than anybody sends."""
    count, rest = 0, [iter(given.values())]
    while rest:
        for value in rest.pop():
            count += 1
            if isinstance(value, dict | list):
                rest.append(iter(value.values() if isinstance(value, dict) else value))
            if count > MAX_VALUES:
                raise RequestError(f"the body has over {MAX_VALUES} values: send less")


def _wrong(model: type[BaseModel], given: object, error: ValidationError) -> str:
    if not issubclass(model, Spec):
        return about_field(model, _first(error))
    # It is written as afterrun.yml is: all that is wrong at once, in the same words.
    found = findings(model, given, error)
    return "\n".join(f"{show(one.path)}: {one.message}" for one in found)


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


def _first(error: ValidationError) -> Any:
    """Return what to tell of all that is wrong: a misspelt name is why one is missing."""
    found = error.errors(include_url=False)
    return next((one for one in found if one["type"] == "extra_forbidden"), found[0])


def _parse(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_once_each,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as error:
        raise RequestError(
            f"the body is not JSON: {error.msg.lower()} at line {error.lineno} "
            f"column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise RequestError("the body is not JSON that can be read") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RequestError(f"{name[:60]!r} is given twice: give it once")
        found[name] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise RequestError(f"the body is not JSON: {word} is no number there")
