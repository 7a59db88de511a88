"""What an answer of Alertmanager, or none, comes to."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from afterrun_exporter.alertmanager.client import (
    alertmanager_client,
    without_credentials,
)
from afterrun_exporter.errors import AlertsRefusedError, PushError
from tests.e2e.network import free_port

ALERTS = [{"labels": {"alertname": "AfterRunJobFailing", "job_name": "b\xe4ckup"}}]


@dataclass
class Door:
    """What stands where Alertmanager should, and answers as it is told to."""

    status: int = 200
    text: str = "ok"
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, Any, str]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        who = request.headers.get("Authorization", "")
        body = await request.json()
        self.requests.append((request.method, request.path, body, who))
        return web.Response(
            status=self.status,
            text=self.text,
            content_type=self.content_type,
            headers=self.headers,
        )


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    async with TestServer(app) as server:
        door.url = str(server.make_url("")).rstrip("/")
        yield door


async def test_alerts_are_posted_to_the_api(door: Door) -> None:
    """Also below the path of a proxy."""
    async with alertmanager_client() as post:
        await post(door.url, ALERTS)
        await post(f"{door.url}/alerts/", ALERTS)

    assert door.requests == [
        ("POST", "/api/v2/alerts", ALERTS, ""),
        ("POST", "/alerts/api/v2/alerts", ALERTS, ""),
    ]


async def test_credentials_of_the_url_are_used(door: Door) -> None:
    url = door.url.replace("http://", "http://me:secret@")

    async with alertmanager_client() as post:
        await post(url, ALERTS)

    ((*_, authorization),) = door.requests
    assert b64decode(authorization.removeprefix("Basic ")) == b"me:secret"


@pytest.mark.parametrize(
    ("status", "content_type", "text", "error", "message"),
    [
        (
            400,
            "application/json",
            '"label set\n  is wrong"',
            AlertsRefusedError,
            'it answered 400: "label set is wrong"',
        ),
        # What Go says when TLS was expected: no word about any alert.
        (
            400,
            "text/plain",
            "Client sent an HTTP request to an HTTPS server.",
            PushError,
            "it answered 400: Client sent an HTTP request to an HTTPS server.",
        ),
        (404, "text/plain", "", PushError, "it answered 404: Not Found"),
        (503, "text/plain", "x" * 999, PushError, f"it answered 503: {'x' * 300}"),
        (599, "text/plain", "odd", PushError, "it answered 599: odd"),
    ],
)
async def test_an_answer_that_is_no_success_says_what_it_is(
    door: Door,
    status: int,
    content_type: str,
    text: str,
    error: type[PushError],
    message: str,
) -> None:
    door.status, door.content_type, door.text = status, content_type, text

    async with alertmanager_client() as post:
        with pytest.raises(PushError) as caught:
            await post(door.url, ALERTS)

    assert type(caught.value) is error
    assert str(caught.value) == message


async def test_a_redirect_is_not_followed(door: Door) -> None:
    """A POST would become a GET, and be answered 200 by some page."""
    door.status, door.text = 302, "elsewhere"
    door.headers["Location"] = f"{door.url}/login"

    async with alertmanager_client() as post:
        with pytest.raises(PushError, match="it answered 302: elsewhere"):
            await post(door.url, ALERTS)

    assert len(door.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:secret@127.0.0.1:{free_port()}",
        "http://me:secret@nowhere.invalid",
        "gopher://me:secret@127.0.0.1",
    ],
    ids=["refused", "unknown", "unheard of"],
)
async def test_where_nobody_answers_no_password_is_told(url: str) -> None:
    async with alertmanager_client() as post:
        with pytest.raises(PushError) as caught:
            await post(url, ALERTS)

    assert str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a:9093", "http://a:9093"),
        ("http://a:9093/", "http://a:9093"),
        ("https://me:pa@ss@a/prefix/", "https://a/prefix"),
        ("http://a?token=secret#x", "http://a"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
