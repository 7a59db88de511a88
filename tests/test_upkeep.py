"""Asking an Alertmanager to read its configuration again."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from pytest_aiohttp.plugin import AiohttpServer

from afterrun_exporter.errors import AlertmanagerError, AlertmanagerRefusedError
from afterrun_exporter.upkeep import reload_alertmanager


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_there_is_said_so(host: str) -> None:
    """With the address and the reason, and none of a library's noise."""
    url = f"http://{host}:{unused_port()}/-/reload"

    with pytest.raises(AlertmanagerError) as refused:
        await reload_alertmanager(url)

    assert not isinstance(refused.value, AlertmanagerRefusedError)
    assert str(refused.value) == (
        f"Alertmanager cannot be reached at '{url}': Connection refused"
    )


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_anything_but_success_is_a_refusal(
    aiohttp_server: AiohttpServer, status: int
) -> None:
    """A login page that it is sent to is no Alertmanager that has loaded anything."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="no route", headers={"Location": "/"})

    app = web.Application()
    app.add_routes([web.post("/-/reload", answer)])
    server = await aiohttp_server(app)

    with pytest.raises(AlertmanagerRefusedError, match=f"answered {status}.*no route"):
        await reload_alertmanager(str(server.make_url("/-/reload")))
