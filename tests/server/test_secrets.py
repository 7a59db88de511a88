"""No token, password or key is in any answer or line of the log, however it is sent."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.cli.web_config import owners
from afterrun_exporter.config import parse
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.fast_path import Door, opened
from tests.http import locked, token, whole_app
from tests.patience import PATIENCE

#: What no answer and no line may have in it.
SECRET = "ar_" + "Marked" * 8
KEY = "MarkedProjectKeyMarked"
MARKS = ("Marked", b64encode(b"backup:Marked").decode()[:-6])

BASIC = b64encode(f"backup:{SECRET}".encode()).decode()
HEADERS = {
    "bearer": f"Authorization: Bearer {SECRET}",
    "basic": f"Authorization: Basic {BASIC}",
    "no scheme": f"Authorization: {SECRET}",
    "api key": f"X-Api-Key: {SECRET}",
    "sentry": f"X-Sentry-Auth: Sentry sentry_key={SECRET}, sentry_version=7",
    "cookie": f"Cookie: session={SECRET}",
}
#: What happens to a header on its way: % stands for it.
HARMS = {
    "none": "%\r\n",
    "a carriage return at its end": "%\r\r\n",
    "a line feed in it": "%\nX: y\r\n",
    "a NUL behind it": "%\0\r\n",
    "a control character before it": "X: \x01\r\n%\r\n",
    "no colon after it": "% \x7f\r\nbroken line\r\n",
    "a blank in its name": "X %\r\n",
    "folded": "X: y\r\n %\r\n",
    "twice": "%\r\n%\r\n",
    "two lengths": "%\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
    "not its length": "%\r\nContent-Length: x%\r\n",
    "a transfer that is none": "%\r\nTransfer-Encoding: %\r\n",
    "an expectation that is none": "%\r\nExpect: %\r\n",
    "an encoding that is none": "%\r\nContent-Encoding: %\r\n",
    "too long": "%\r\nX: " + "y" * 9000 + "\r\n",
    "too long itself": "%" + "y" * 9000 + "\r\n",
    "a host that is none": "%\r\nHost: a b %\r\n",
}
LINES = {
    "a key": f"GET /ping/{KEY}/backup HTTP/1.1",
    "a blank behind a key": f"GET /ping/{KEY}/back up HTTP/1.1",
    "a blank behind cronitor's": f"GET /p/{KEY}/back up?state=run HTTP/1.1",
    "letters behind a key": f"GET /ping/{KEY}/bäckup HTTP/1.1",
    "a NUL behind a key": f"GET /ping/{KEY}/back\0up HTTP/1.1",
    "a query": f"POST /api/42/envelope/?sentry_key={SECRET} HTTP/1.1",
    "a broken query": f"POST /api/42/envelope/?sentry_key={SECRET}&a=\xff HTTP/1.1",
    "sentry's path": f"GET /api/42/cron/backup/{KEY}?status=nonsense HTTP/1.1",
    "nowhere": f"GET /nowhere/{SECRET} HTTP/1.1",
    "a method that is none": f"get /ping/{KEY}/backup HTTP/1.1",
    "a long method": f"REPORTING /ping/{KEY}/backup HTTP/1.1",
    "no version": f"GET /ping/{KEY}/backup",
    "a wrong version": f"GET /ping/{KEY}/backup HTTP/9.9",
    "a user in the address": f"GET http://backup:{SECRET}@localhost/ping/a HTTP/1.1",
    "a port in the address": f"GET http://localhost:{SECRET}/ping/a HTTP/1.1",
    "too long": f"GET /ping/{KEY}/{'x' * 9000} HTTP/1.1",
}


@pytest.fixture
async def door(clock: ManualClock) -> AsyncIterator[Door]:
    store = MemoryStore()
    text = f"projects: {{web: {{ping_key: {KEY}}}}}\njobs: {{backup: {{project: web}}}}"
    service = Service(store, clock, parse(text).job_config)
    await service.start()
    security = locked(**{SECRET + "known": token(Scope.PING, jobs="other")})
    security.authenticator.trust_projects(owners(service))
    app = whole_app(service, store, clock, security)
    async with opened(service, clock, app=app, security=security) as door:
        yield door


async def said(door: Door, request: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return all that is answered to *request*, and all that is logged of it."""
    caplog.set_level(logging.INFO)
    with capture_logs() as lines:
        reader, writer = await door.connect()
        writer.write(request.encode("latin-1"))
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
    assert answer
    logged = [record.getMessage() + str(record.exc_text) for record in caplog.records]
    return "\n".join([answer.decode("latin-1"), *map(str, lines), *logged])


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
async def test_no_header_is_quoted(
    door: Door, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    start = "POST /ping/backup HTTP/1.1\r\nHost: localhost\r\n"
    for name, header in HEADERS.items():
        told = await said(door, f"{start}{harm.replace('%', header)}\r\n", caplog)

        assert [mark for mark in MARKS if mark in told] == [], name


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_no_address_is_quoted_with_its_key(
    door: Door, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    told = await said(door, f"{line}\r\nHost: localhost\r\n\r\n", caplog)

    assert "Marked" not in told
