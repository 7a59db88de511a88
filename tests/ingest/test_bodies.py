"""Bodies that are not what their headers say, or never come."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of

NO_GZIP = {"data": b'{"status": "ok"}', "headers": {"Content-Encoding": "gzip"}}


class TestABodyThatIsNoGzip:
    async def test_is_recorded_for_a_known_job(
        self, client: Client, store: MemoryStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = await client.post("/ping/backup", **NO_GZIP)  # type: ignore[arg-type]

        told = await response.json(content_type=None)
        assert (response.status, told["outcome"]) == (400, "invalid")
        assert told["detail"] == (
            "the body cannot be decompressed: it is not 'gzip', as stated in its "
            "Content-Encoding"
        )
        assert store.states["backup"].runs_total == 1
        assert caplog.records == []

    async def test_is_not_a_repeat_of_a_plain_success(
        self, client: Client, store: MemoryStore
    ) -> None:
        await client.get("/ping/backup")
        await client.post("/ping/backup", **NO_GZIP)  # type: ignore[arg-type]

        assert store.states["backup"].runs_total == 2

    @pytest.mark.parametrize("path", ["/ping/nobody", "/ping"])
    async def test_is_counted_once_where_it_is_only_refused(
        self, client: Client, service: Service, path: str
    ) -> None:
        response = await client.post(path, **NO_GZIP)  # type: ignore[arg-type]

        assert response.status == 400
        assert service.pings == {("native", "rejected"): 1}

    async def test_does_not_end_the_connection(self, client: Client) -> None:
        response = await client.post("/ping/backup", **NO_GZIP)  # type: ignore[arg-type]

        assert response.headers.get("Connection") != "close"

    async def test_that_is_only_cut_short_is_refused_too(self, client: Client) -> None:
        body = gzip.compress(b'{"message": "' + b"x" * 1000 + b'"}')[:-12]
        response = await client.post(
            "/ping/backup", data=body, headers={"Content-Encoding": "gzip"}
        )

        assert response.status == 400


async def test_a_client_that_hangs_up_is_no_error_of_ours(
    service: Service,
    clock: ManualClock,
    store: MemoryStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # As `serve` runs it: the test client's server would cancel the handler instead.
    runner = web.AppRunner(app_of(service, clock), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    with capture_logs() as lines:
        writer.write(
            b"POST /ping/backup HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        # The server has begun to read.
        assert b"100 Continue" in await reader.readline()
        writer.write(b'{"status":')
        writer.close()
        await runner.cleanup()

    assert [line["event"] for line in lines] == ["client_hung_up"]
    assert lines[0]["log_level"] == "debug"
    assert caplog.records == []
    assert store.states["backup"].runs_total == 0
