"""The answers of other systems, byte for byte: clients compare them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

UUID: Final = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"
EVENT: Final = "9ec79c33ec9942ab8353589fcb2e04dc"
HYPHENATED: Final = rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

TEXT: Final = "text/plain; charset=utf-8"
#: Express names the charset, and neither Django nor Sentry's Relay do.
EXPRESS: Final = "application/json; charset=utf-8"
JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request, and the answer of the peer's own server."""

    method: str = "GET"
    path: str
    status: int = 200
    #: A pattern, where the peer makes something up.
    body: bytes | re.Pattern[bytes]
    type: str = TEXT
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def envelope(header: bytes) -> bytes:
    item = b'{"monitor_slug":"backup","status":"ok"}'
    return b'%b\n{"type":"check_in","length":%d}\n%b' % (header, len(item), item)


KUMA = {
    "up": Exchange(path="/api/push/backup?status=up&msg=OK&ping=", body=b'{"ok":true}'),
    "down": Exchange(path="/api/push/backup?status=down", body=b'{"ok":true}'),
    "POST": Exchange(method="POST", path="/api/push/backup", body=b'{"ok":true}'),
    "unknown": Exchange(
        path="/api/push/unknown",
        status=404,
        body=b'{"ok":false,"msg":"Monitor not found or not active."}',
    ),
}
SNITCH = {
    "GET": Exchange(path="/snitch/backup", status=202, body=b"Got it, thanks!"),
    "failed": Exchange(path="/snitch/backup?s=1", status=202, body=b"Got it, thanks!"),
    "form": Exchange(
        method="POST",
        path="/snitch/backup",
        data=b"m=done",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        status=202,
        body=b"Got it, thanks!",
    ),
}
BETTER_STACK = {
    "GET": Exchange(path="/api/v1/heartbeat/backup", body=b"OK"),
    "fail": Exchange(path="/api/v1/heartbeat/backup/fail", body=b"OK"),
}
HEALTHCHECKS = {
    "success": Exchange(path="/ping/key/backup", body=b"OK"),
    "start": Exchange(path="/ping/key/backup/start", body=b"OK"),
    "POST": Exchange(method="POST", path="/ping/key/backup/1", body=b"OK", data=b"x"),
    "PUT": Exchange(method="PUT", path="/ping/key/backup", body=b"OK"),
    "HEAD": Exchange(method="HEAD", path="/ping/key/backup", body=b""),
    "unknown slug": Exchange(
        path="/ping/key/unknown", status=404, body=b"not found", type=TEXT
    ),
    "unknown UUID": Exchange(path=f"/ping/{UUID}", status=404, body=b"not found"),
    "exit status": Exchange(
        path="/ping/key/backup/256", status=400, body=b"invalid url format"
    ),
    "rid": Exchange(
        path="/ping/key/backup?rid=1", status=400, body=b"invalid uuid format"
    ),
    "no check": Exchange(
        path=f"/api/v3/checks/{UUID}",
        status=404,
        body=b'{"error": "check not found"}',
        type=JSON,
    ),
    "no checks": Exchange(
        path="/api/v3/checks/?slug=none", body=b'{"checks": []}', type=JSON
    ),
    "no JSON": Exchange(
        method="POST",
        path="/api/v3/checks/",
        data=b"{",
        status=400,
        body=b'{"error": "could not parse request body"}',
        type=JSON,
    ),
    "no number": Exchange(
        method="POST",
        path="/api/v1/checks/",
        data=b'{"timeout": "1"}',
        status=400,
        body=b'{"error": "json validation error: timeout is not a number"}',
        type=JSON,
    ),
    "channels": Exchange(path="/api/v3/channels/", body=b'{"channels": []}', type=JSON),
}
CRONITOR = {
    "run": Exchange(path="/p/key/backup?state=run&series=1", body=b"OK"),
    "path": Exchange(path="/p/key/backup/complete", body=b"OK"),
    "Node": Exchange(path="/ping/key/backup?state=fail", body=b"OK"),
    "rollback": Exchange(
        method="PUT",
        path="/api/monitors",
        data=b'{"monitors":[],"rollback":true}',
        body=b'{"monitors":[]}',
        type=JSON,
    ),
    "no key": Exchange(
        method="PUT",
        path="/api/monitors",
        data=b'{"monitors":[{}]}',
        status=400,
        body=b'{"errors":["monitors[0] has no key: give it one"]}',
        type=JSON,
    ),
    "unknown": Exchange(
        path="/api/monitors/unknown",
        status=404,
        body=b'{"errors":["unknown job \'unknown\'"]}',
        type=JSON,
    ),
}
SENTRY = {
    "cron": Exchange(
        path="/api/42/cron/backup/key/?status=ok",
        status=202,
        body=b"",
    ),
    "check-in": Exchange(
        method="POST",
        path="/api/42/envelope/",
        data=envelope(b"{}"),
        body=b"{}",
        type=JSON,
    ),
    "event": Exchange(
        method="POST",
        path="/api/42/envelope/",
        data=b'{"event_id":"%b"}\n{"type":"event"}\n{}' % EVENT.encode(),
        body=b'{"id":"%b"}' % EVENT.encode(),
        type=JSON,
    ),
    "event with hyphens": Exchange(
        method="POST",
        path="/api/42/envelope/",
        data=b'{"event_id":"9EC79C33-EC99-42AB-8353-589FCB2E04DC"}\n',
        body=b'{"id":"%b"}' % EVENT.encode(),
        type=JSON,
    ),
    "store": Exchange(
        method="POST",
        path="/api/42/store/",
        data=b'{"event_id":"%b","message":"x"}' % EVENT.encode(),
        body=b'{"id":"%b"}' % EVENT.encode(),
        type=JSON,
    ),
    "store without project": Exchange(
        method="POST",
        path="/api/store/",
        data=b'{"event_id":"%b"}' % EVENT.encode(),
        body=b'{"id":"%b"}' % EVENT.encode(),
        type=JSON,
    ),
    # As raven sent them: zlib in Base64.
    "store compressed": Exchange(
        method="POST",
        path="/api/42/store",
        data=b"eJyrVkotS80rUbJSUKoFABiDA8k=",
        body=re.compile(rb'\{"id":"[0-9a-f]{32}"\}'),
        type=JSON,
    ),
    "minidump": Exchange(
        method="POST",
        path="/api/42/minidump/",
        data=b"MDMP",
        body=re.compile(HYPHENATED),
    ),
    "unreal": Exchange(
        method="POST",
        path="/api/42/unreal/key/",
        data=b"\0",
        body=re.compile(HYPHENATED),
    ),
    "security": Exchange(
        method="POST",
        path="/api/42/security/?sentry_key=key",
        data=b'{"csp-report":{}}',
        body=b"",
    ),
    "attachment": Exchange(
        method="POST",
        path=f"/api/42/events/{EVENT}/attachments/",
        data=b"x",
        status=201,
        body=b"",
    ),
    "OTLP": Exchange(
        method="POST",
        path="/api/42/integration/otlp/v1/traces/",
        data=b"{}",
        body=b"{}",
        type=JSON,
    ),
    "no envelope": Exchange(
        method="POST",
        path="/api/42/envelope/",
        data=b"x",
        status=400,
        body=b'{"detail":"an envelope begins with a line that is a JSON object"}',
        type=JSON,
    ),
    "unknown": Exchange(
        path="/api/42/cron/unknown/key?status=ok",
        status=404,
        body=b'{"detail":"unknown job \'unknown\'"}',
        type=JSON,
    ),
}
PUSHGATEWAY = {
    "PUT": Exchange(
        method="PUT",
        path="/metrics/job/backup",
        data=b"rows 1\n",
        body=b"",
    ),
    "DELETE": Exchange(
        method="DELETE",
        path="/metrics/job/backup",
        status=202,
        body=b"",
    ),
}
ALL = {
    f"{dialect}: {name}": one
    for dialect, exchanges in {
        "Uptime Kuma": KUMA,
        "Dead Man's Snitch": SNITCH,
        "Better Stack": BETTER_STACK,
        "Healthchecks": HEALTHCHECKS,
        "Cronitor": CRONITOR,
        "Sentry": SENTRY,
        "Pushgateway": PUSHGATEWAY,
    }.items()
    for name, one in exchanges.items()
}


@pytest.fixture
async def strict(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient
) -> Client:
    """A client of a daemon that knows the backup, and registers no other job."""
    service = Service(store, clock, job_config(BACKUP, unknown=None))
    await service.start()
    client: Client = await aiohttp_client(app_of(service, clock))
    return client


@pytest.mark.parametrize("exchange", ALL.values(), ids=ALL)
async def test_an_answer_is_that_of_the_peer(
    strict: Client, exchange: Exchange
) -> None:
    answer = await strict.request(
        exchange.method,
        exchange.path,
        data=exchange.data or None,
        headers=exchange.headers,
    )

    body = await answer.read()
    assert answer.status == exchange.status
    if isinstance(exchange.body, bytes):
        assert body == exchange.body
    else:
        assert exchange.body.fullmatch(body)
    # What has no body needs no type.
    kind = EXPRESS if exchange in KUMA.values() else exchange.type
    assert answer.headers.get("Content-Type") == kind or not body


async def test_a_ping_of_a_new_check_is_answered_created(client: Client) -> None:
    answer = await client.get("/ping/key/new?create=1")

    assert (answer.status, await answer.read()) == (201, b"Created")


@pytest.mark.parametrize("path", ["store/", "minidump/", "unreal/key/", "security/"])
async def test_what_is_large_is_ignored_as_well(
    store: MemoryStore, clock: ManualClock, aiohttp_client: AiohttpClient, path: str
) -> None:
    """A crash dump has megabytes, and only check-ins are read."""
    service = Service(store, clock, job_config(body_bytes=100))
    client = await aiohttp_client(app_of(service, clock))
    event = json.dumps({"event_id": EVENT, "message": "x" * 1000})

    answer = await client.post(f"/api/42/{path}", data=event)

    assert answer.status == 200
    assert not service.pings


async def test_no_other_address_of_a_dsn_is_accepted(client: Client) -> None:
    """A check-in that is sent to a wrong address must not be lost silently."""
    for path in ("crons/backup/key/?status=error", "cronn/", "envelopes/"):
        assert (await client.post(f"/api/42/{path}")).status == 404
