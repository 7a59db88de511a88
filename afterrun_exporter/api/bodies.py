"""JSON bodies: an object of known fields, or the request is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from afterrun_exporter.errors import RequestError

#: What the fields of our objects may be, and what people call that.
WORDS: Final[Mapping[type, str]] = {str: "a string", bool: "true or false"}

Fields = Mapping[str, type]


async def read_object(request: web.Request, fields: Fields) -> dict[str, Any]:
    """Return the object in the body of *request*; {} where it is empty.

    It has fields out of *fields* alone, each of its type. Raises RequestError,
    and HTTPRequestEntityTooLarge for a body over what aiohttp takes (1 MiB).
    """
    try:
        body = await request.read()
    except RequestPayloadError:
        # Or aiohttp looks for the rest of the body, and logs this as its own error.
        request.content.feed_eof()
        raise RequestError(
            "the body cannot be decompressed; is it what its Content-Encoding says?"
        ) from None
    given = _parse(body) if body.strip() else {}
    if not isinstance(given, dict):
        raise RequestError("the body is not a JSON object: send {...}")
    for name, value in given.items():
        if name not in fields:
            raise RequestError(_unknown(name, fields))
        if not isinstance(value, fields[name]):
            written = json.dumps(value)[:60]
            raise RequestError(
                f"{name}: {written} is not {WORDS[fields[name]]}: send one, or leave "
                "it out"
            )
    return given


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


def _unknown(name: str, fields: Fields) -> str:
    if near := get_close_matches(name, fields, n=1):
        return f"unknown field {name[:60]!r}; did you mean {near[0]!r}?"
    return f"unknown field {name[:60]!r}: use {', '.join(fields)}"
