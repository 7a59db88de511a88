"""Tokens as the clients of other systems send them, and how those are refused."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, locked, token, whole_app

UUID: Final = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"
ENVELOPE: Final = '{}\n{"type": "check_in"}\n{"monitor_slug": "mine", "status": "ok"}\n'


def basic(user: str, password: str) -> dict[str, str]:
    code = b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {code}"}


@pytest.fixture
async def keyed(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
) -> Client:
    """A daemon with a token for some jobs, one for others, and one to read."""
    security = locked(
        KEY=token(Scope.PING, jobs=f"mine.*|123|start|{UUID}"),
        OTHER=token(Scope.PING, jobs="theirs"),
        READER=token(Scope.READ),
    )
    return await aiohttp_client(whole_app(service, store, clock, security))


#: How a report of a job of ours comes, with {} where the key goes.
WAYS: Final[dict[str, tuple[str, str, dict[str, str], str | None]]] = {
    "Healthchecks, slug": ("GET", "/ping/{}/mine", {}, None),
    "Healthchecks, start": ("GET", "/ping/{}/mine/start", {}, None),
    "Healthchecks, X-Api-Key": ("GET", f"/ping/{UUID}", {"X-Api-Key": "{}"}, None),
    "Healthchecks, user in the URL": ("GET", f"/{UUID}", {"user": "{}"}, None),
    "Cronitor": ("GET", "/p/{}/mine", {}, None),
    "Cronitor, state in the path": ("GET", "/p/{}/mine/complete", {}, None),
    "Cronitor, ping": ("GET", "/ping/{}/mine?state=complete", {}, None),
    "Cronitor, user": ("GET", "/p/x/mine", {"alone": "{}"}, None),
    "Sentry, path": ("GET", "/api/42/cron/mine/{}/?status=ok", {}, None),
    "Sentry, query": ("GET", "/api/42/cron/mine?status=ok&sentry_key={}", {}, None),
    "Sentry, header": ("POST", "/api/42/envelope/",
                       {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key={}"},
                       ENVELOPE),
    "Sentry, envelope": ("POST", "/api/42/envelope/?sentry_key={}", {}, ENVELOPE),
    "Uptime Kuma": ("GET", "/api/push/mine", {"user": "{}"}, None),
    "Dead Man's Snitch": ("GET", "/snitch/mine", {"user": "{}"}, None),
    "Better Stack": ("GET", "/api/v1/heartbeat/mine", {"user": "{}"}, None),
    "Pushgateway": ("PUT", "/metrics/job/mine", {"user": "{}"}, "rows 1\n"),
    "a bearer": ("POST", "/ping/mine", {"Authorization": "Bearer {}"}, "{}"),
}  # fmt: skip


async def send(client: Client, way: str, key: str) -> tuple[int, str, Any]:
    method, path, headers, body = WAYS[way]
    given = {name: value.replace("{}", key) for name, value in headers.items()}
    if user := given.pop("user", ""):
        given |= basic("anybody", user)
    if alone := given.pop("alone", ""):
        given |= basic(alone, "")
    response = await client.session.request(
        method, client.make_url(path.replace("{}", key)), headers=given, data=body
    )
    return response.status, await response.text(), response


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_comes_as_the_client_sends_its_key(
    keyed: Client, store: MemoryStore, way: str
) -> None:
    """It opens what it is for; another, none, and one to read with open nothing."""
    before = set(store.states)
    for key, status in (("WRONG", 401), ("OTHER", 403), ("READER", 403)):
        assert (await send(keyed, way, key))[0] == status, key
    assert set(store.states) == before

    status, text, _ = await send(keyed, way, "KEY")

    assert status in {200, 201, 202}, text
    (job,) = set(store.states) - before
    assert job in {"mine", UUID}


@pytest.mark.parametrize("slug", ["123", "start"])
async def test_a_key_is_never_taken_for_the_name_of_a_job(
    keyed: Client, store: MemoryStore, slug: str
) -> None:
    """Though `/ping/JOB/start` is of a job of that name, where it is no key."""
    response = await keyed.get(f"/ping/KEY/{slug}")

    assert response.status == 200
    assert slug in store.states
    assert not any("KEY" in name for name in store.states)


@pytest.mark.parametrize(
    ("way", "content_type", "beginning"),
    [
        ("Healthchecks, slug", "text/plain", "{reason}"),
        ("Sentry, path", "application/json", '{"detail":"{reason}'),
        ("Uptime Kuma", "application/json", '{"ok":false,"msg":"{reason}'),
        ("Pushgateway", "text/plain", "{reason}"),
        ("Dead Man's Snitch", "application/problem+json", '{"t'),
        ("Cronitor", "application/problem+json", '{"t'),
        ("a bearer", "application/problem+json", '{"t'),
    ],
)
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("WRONG", "invalid token"),
        ("READER", 'token "read" lacks scope "ping"'),
        ("OTHER", 'token "ping" cannot report runs of job "mine"'),
    ],
)
async def test_a_client_is_refused_in_words_that_it_reads(
    keyed: Client, way: str, content_type: str, beginning: str, key: str, reason: str
) -> None:
    status, text, response = await send(keyed, way, key)

    assert response.content_type == content_type
    in_body = json.dumps(reason)[1:-1] if "json" in content_type else reason
    assert text.startswith(beginning.replace("{reason}", in_body))
    assert in_body in text
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert key not in text


async def test_who_may_not_report_may_not_describe_a_job_either(
    keyed: Client, store: MemoryStore
) -> None:
    """Its schedule is said with a report, and would be taken before it."""
    told = '{"monitor_slug": "mine", "status": "ok", "monitor_config": %s}'
    config = '{"schedule": {"type": "crontab", "value": "0 2 * * *"}}'
    envelope = '{}\n{"type": "check_in"}\n' + told % config
    for path, body in (
        ("/ping/OTHER/mine?create=1&timeout=60", None),
        ("/api/42/envelope/?sentry_key=OTHER", envelope),
    ):
        response = await keyed.post(path, data=body)
        assert response.status == 403

    assert "mine" not in store.states
