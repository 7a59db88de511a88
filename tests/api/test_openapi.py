"""The OpenAPI document tells of all there is, and tells the truth."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from afterrun_exporter.api.operations import OPERATIONS
from afterrun_exporter.api.report_operations import PINGS
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.http_problems import KINDS, STATUS
from tests.api.conftest import DOCUMENT, check_answer, validator
from tests.http import Client

#: Where the API is, but for what other systems' clients ask for there.
OURS = r"/api/v1/(?!heartbeat/|status$).*|/badge/.*|/ping|/ping/{job}"

EVERY = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_the_document_is_one_of_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()

    assert DOCUMENT["openapi"].startswith("3.1.")


async def test_the_document_is_served_as_it_is(client: Client) -> None:
    response = await client.get("/api/v1/openapi.json")

    served = await response.json()
    assert served["paths"] == DOCUMENT["paths"]
    assert served["components"] == DOCUMENT["components"]


async def test_all_that_can_be_asked_for_is_in_the_document(client: Client) -> None:
    """And all that is in it can be asked for."""
    assert client.app is not None
    own = {
        (route.resource.canonical, route.method)
        for route in client.app.router.routes()
        if route.resource
        and re.fullmatch(OURS, route.resource.canonical)
        and route.method not in {"HEAD", "OPTIONS"}
    }
    told = {
        (path, method.upper())
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }

    assert own == told
    assert len(told) == len(OPERATIONS) + len(PINGS)


@pytest.mark.parametrize(("path", "method", "operation"), EVERY)
def test_every_operation_is_told_whole(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    """With what it needs, what it may answer, and what one must be allowed to do."""
    named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
    (_, guard) = operation["security"]
    responses = operation["responses"]

    assert named == set(re.findall(r"{(\w+)}", path))
    assert guard["token"][0] in set(Scope)
    assert (guard["token"] == ["admin"]) <= (method in {"post", "delete"})
    assert ("requestBody" in operation) == (method == "post")
    assert {"401", "403"} <= responses.keys()
    assert any(status.startswith("2") for status in responses)
    for status, response in responses.items():
        kinds = set(response.get("content", {}))
        if status >= "400" and "svg" not in path:
            assert kinds == {"application/problem+json"}


def test_operations_have_names_of_their_own() -> None:
    names = [one.name for one in (*OPERATIONS, *PINGS)]

    assert len(set(names)) == len(names)


def test_an_answer_that_is_not_as_told_is_noticed() -> None:
    """Every answer of every test of the API goes through this check."""
    wrong = web.json_response({"receivers": [], "more": 1}, headers={"ETag": '"x"'})
    unknown = web.json_response({}, status=418)

    with pytest.raises(ValidationError, match="more"):
        check_answer("/api/v1/receivers", "GET", wrong)
    with pytest.raises(KeyError):
        check_answer("/api/v1/receivers", "GET", unknown)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("NewReceiver", {"alert_type": "email", "target": "a@b.example"}, True),
        ("NewReceiver", {"alert_type": "sms", "target": "1"}, False),
        ("NewReceiver", {"target": "a@b.example"}, False),
        ("Pause", {"for": "2h", "resume_on_ping": True}, True),
        ("Pause", {"fro": "2h"}, False),
        ("Report", {"status": "ok", "started_at": "2026-11-22T02:00:00Z"}, True),
        ("Report", {"run_id": 5, "exit_code": "0", "later": "ignored"}, True),
        ("Report", {"metrics": []}, False),
    ],
)
def test_bodies_are_told_as_they_are_read(name: str, value: Any, fits: bool) -> None:
    schema = {"$ref": f"#/components/schemas/{name}"}

    assert validator(schema).is_valid(value) is fits


async def test_reports_are_answered_as_told(client: Client) -> None:
    """Each of them goes through the check, the bad ones and the many too."""
    await client.get("/ping/backup")
    await client.post("/ping/backup", json={"metrics": {"rows": 0}, "run_id": "1"})
    await client.post("/ping/backup", json={"status": "start"})
    bad = await client.post("/ping/backup", data="{")
    many = [{"job": "backup"}, {"job": "-"}, {}, {"job": "backup", "status": "x"}]
    answer = await client.post("/ping", json=many)
    empty = await client.post("/ping", data="")

    assert (bad.status, empty.status) == (400, 400)
    assert (await bad.json(content_type=None))["recorded"] is True
    taken = await answer.json()
    assert (taken["accepted"], taken["rejected"]) == (2, 2)


async def test_the_page_tells_what_the_document_does(client: Client) -> None:
    """Without a script, and with every link leading to somewhere on it."""
    page = await (await client.get("/api/v1/docs")).text()
    same = await (await client.get("/api/v1/")).text()

    assert page == same
    assert "<script" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    anchors = set(re.findall(r' id="([^"]+)"', page))
    linked = set(re.findall(r' href="#([^"]*)"', page))
    assert linked <= anchors
    assert {one.name for one in (*OPERATIONS, *PINGS)} <= anchors
    assert set(DOCUMENT["components"]["schemas"]) <= anchors
    assert {*KINDS.values(), *(error.kind for error in STATUS)} <= anchors
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                assert f"<code>{parameter['name']}</code>" in page
