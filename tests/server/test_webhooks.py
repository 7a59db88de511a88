"""Webhooks of git servers reload the configuration, with a token for that alone."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError, GitError, Problem
from tests.fakes import ManualClock
from tests.http import Client, app_of, locked, token

#: What servers send: headers and a body.
HOOKS: Final[dict[str, tuple[dict[str, str], bytes]]] = {
    "GitHub": (
        {
            "User-Agent": "GitHub-Hookshot/044aadd",
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": "sha256=" + "0" * 64,
        },
        b'{"ref": "refs/heads/main", "after": "0123"}',
    ),
    "GitHub, as a form": (
        {
            "User-Agent": "GitHub-Hookshot/044aadd",
            "Content-Type": "application/x-www-form-urlencoded",
            "X-GitHub-Event": "ping",
        },
        b"payload=%7B%7D",
    ),
    "GitLab": (
        {
            "User-Agent": "GitLab/17.0",
            "Content-Type": "application/json",
            "X-Gitlab-Event": "Push Hook",
            "X-Gitlab-Token": "unused",
        },
        b'{"object_kind": "push", "commits": ["' + b"x" * 100_000 + b'"]}',
    ),
    "Gitea": ({"X-Gitea-Event": "push"}, b"{not JSON"),
    "nothing": ({}, b""),
}


class Reloads:
    """The reloads that were requested."""

    def __init__(self) -> None:
        self.retiring: list[bool] = []
        self.error: Exception | None = None

    async def __call__(self, *, retire_all: bool = False) -> None:
        self.retiring.append(retire_all)
        if self.error is not None:
            raise self.error


@pytest.fixture
def reloads() -> Reloads:
    return Reloads()


@pytest.fixture
async def client(
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    reloads: Reloads,
) -> Client:
    security = locked(
        hook=token(Scope.RELOAD), admin=token(Scope.ADMIN), reader=token(Scope.READ)
    )
    app = app_of(service, clock, reload=reloads, security=security)
    return await aiohttp_client(app)


def basic(secret: str) -> dict[str, str]:
    """Return the header for ``https://git:SECRET@...``."""
    return {"Authorization": f"Basic {b64encode(f'git:{secret}'.encode()).decode()}"}


@pytest.mark.parametrize(("headers", "body"), HOOKS.values(), ids=HOOKS)
async def test_a_webhook_reloads(
    client: Client, reloads: Reloads, headers: dict[str, str], body: bytes
) -> None:
    response = await client.post(
        "/-/reload", headers={**headers, **basic("hook")}, data=body
    )

    assert (response.status, reloads.retiring) == (200, [False])


@pytest.mark.parametrize(
    ("credentials", "status"),
    [({}, 401), (basic("wrong"), 401), (basic("reader"), 403), (basic("admin"), 200)],
)
async def test_others_do_not(
    client: Client, reloads: Reloads, credentials: dict[str, str], status: int
) -> None:
    """The secrets of webhooks are not those of the daemon."""
    response = await client.post(
        "/-/reload", headers={"X-Gitlab-Token": "hook", **credentials}
    )

    assert response.status == status
    assert reloads.retiring == [False] * (status == 200)


async def test_its_token_allows_nothing_else(client: Client, reloads: Reloads) -> None:
    """Retiring every job is for admins."""
    for path in ("/-/reload?retire=all", "/ping/backup", "/ping"):
        assert (await client.post(path, headers=basic("hook"))).status == 403
    assert (await client.get("/metrics", headers=basic("hook"))).status == 403
    assert reloads.retiring == []

    response = await client.post("/-/reload?retire=all", headers=basic("admin"))
    assert (response.status, reloads.retiring) == (200, [True])


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (GitError("it cannot be fetched"), 502, "repository-unavailable"),
        (
            ConfigError("x", [Problem(3, "jobs.a", "it cannot be used", "abc:a.yml")]),
            500,
            "invalid-configuration",
        ),
    ],
)
async def test_the_response_has_the_result(
    client: Client, reloads: Reloads, error: Exception, status: int, kind: str
) -> None:
    reloads.error = error

    response = await client.post("/-/reload", headers=basic("hook"))

    assert response.status == status
    problem = await response.json(content_type=None)
    assert problem["type"] == f"urn:afterrun:problem:{kind}"
    assert problem["detail"] == str(error)
