"""The OpenAPI document, and the same content as a web page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from jinja2 import ChainableUndefined, Environment, PackageLoader

from afterrun_exporter.api import openapi
from afterrun_exporter.api.handlers import fresh
from afterrun_exporter.api.operation import HTML, JSON
from afterrun_exporter.api.request_models import NoQuery
from afterrun_exporter.api.request_parsing import read_query
from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.http_problems import KINDS, STATUS, TYPES

_PAGES: Final = Environment(
    loader=PackageLoader("afterrun_exporter.api", "templates"),
    autoescape=True,
    undefined=ChainableUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


#: The address of the API in the document.
_SERVER: Final = '"url": "/"'


def handlers(version: str) -> tuple[Handler, Handler]:
    """Return the handlers of the OpenAPI document and of the reference as a page."""
    text, html = _texts(version)
    return partial(_static, text, JSON), partial(_static, html, HTML)


@cache
def _texts(version: str) -> tuple[str, str]:
    """Return the document as JSON and as HTML; cached, because it takes most of startup."""
    described = openapi.document(version)
    text = json.dumps(described, indent=1, ensure_ascii=False)
    return text, render(described)


def render(described: Mapping[str, Any]) -> str:
    """Return the web page for a document."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            one = {**operation, "method": method.upper(), "path": path}
            groups.setdefault(operation["tags"][0], []).append(one)
    return _PAGES.get_template("reference.html").render(
        document=described,
        groups=groups,
        kinds=sorted(_kinds()),
        types=TYPES,
        kind_of=partial(kind_of, named=described["components"]["schemas"]),
        name_of=name_of,
    )


def kind_of(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """Return a short description of the type in *schema*; *named* are other schemas."""
    if "$ref" in schema:
        name = name_of(schema)
        return kind_of(named[name], named) if "enum" in named[name] else name
    if "anyOf" in schema:
        kinds = (kind_of(choice, named) for choice in schema["anyOf"])
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}), named)}"
    if isinstance(more := schema.get("additionalProperties"), dict):
        return f"object of {kind_of(more, named)}"
    kind = schema.get("type", "any")
    return {"date-time": "time"}.get(schema.get("format", ""), str(kind))


def name_of(schema: Mapping[str, Any]) -> str:
    """Return the name of the schema that *schema* refers to, or ""."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kinds() -> Iterator[tuple[int, str, str]]:
    for error, status in STATUS.items():
        yield status.value, error.kind, openapi.meaning(error)
    for status, kind in KINDS.items():
        yield status.value, kind, status.description


async def _static(text: str, media: str, request: web.Request) -> web.Response:
    read_query(NoQuery, request.query)
    if media == JSON and (prefix := prefix_of(request)):
        text = text.replace(_SERVER, json.dumps({"url": f"{prefix}/"})[1:-1], 1)
    return fresh(request, web.Response(text=text, content_type=media))
