"""The application with the JSON API, on a memory store and a clock turned by hand."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from jsonschema import Draft202012Validator
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.openapi import document
from afterrun_exporter.api.routes import routes
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

DOCUMENT: Final = document("1.2.3")
METHODS: Final = {hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_DELETE}


@web.middleware
async def as_documented(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have every answer of every test here be one that the document tells of."""
    response = await handler(request)
    route = request.match_info.route.resource
    path = route.canonical if route else ""
    if path in DOCUMENT["paths"] and request.method in METHODS:
        check_answer(path, request.method, response)
    return response


def check_answer(path: str, method: str, response: web.StreamResponse) -> None:
    """Fail unless the document has this answer for what is at *path*."""
    told = DOCUMENT["paths"][path][method.lower()]["responses"][str(response.status)]
    body = response.body if isinstance(response, web.Response) else b""
    content = told.get("content", {})
    if not content:
        assert not body
        return
    schema = content[response.content_type]["schema"]
    if response.content_type.endswith("json"):
        assert isinstance(body, bytes)
        validator(schema).validate(json.loads(body))
    for name in told.get("headers", {}).keys() - {"Link"}:
        assert name in response.headers


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return what validates by *schema*, which is a part of the document."""
    whole = {"components": DOCUMENT["components"], **schema}
    return Draft202012Validator(
        whole, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


@pytest.fixture
def receivers(store: MemoryStore) -> Receivers:
    """No alertmanager.yml is kept, until a test says so."""
    return Receivers(store, reload_alertmanager)


@pytest.fixture
async def client(
    service: Service,
    store: MemoryStore,
    receivers: Receivers,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> Client:
    api = routes(service, store, receivers, clock)
    app = app_of(service, clock, more=api)
    app.middlewares.insert(0, as_documented)
    return await aiohttp_client(app)
