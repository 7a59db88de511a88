"""Asking an Alertmanager to read its configuration again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from pytest_aiohttp.plugin import AiohttpServer

from afterrun_exporter.alertmanager.managed_file import (
    ManagedFile,
    is_loaded,
    reload_alertmanager,
)
from afterrun_exporter.errors import AlertmanagerError, AlertmanagerRefusedError


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


TEXT = b"route: {receiver: a}\n"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"hash": "1.5e+13"}, False),
        # It refused a file in between, and goes on saying so until it reads one.
        ({"last_reload_successful": "0"}, False),
        # Templates are in no hash.
        ({"last_reload_success_timestamp_seconds": "1.7e+09"}, False),
        ({"last_reload_success_timestamp_seconds": "NaN"}, False),
        ({"hash": ""}, False),
    ],
)
async def test_a_file_counts_as_loaded_if_alertmanager_shows_it(
    aiohttp_server: AiohttpServer,
    tmp_path: Path,
    changes: dict[str, str],
    expected: bool,
) -> None:
    digest = hashlib.md5(TEXT, usedforsecurity=False).digest()
    metrics = {
        "hash": f"{int.from_bytes(digest[:6], 'little'):.17g}",
        "last_reload_successful": "1",
        "last_reload_success_timestamp_seconds": "1.9e+09",
        **changes,
    }

    async def answer(_: web.Request) -> web.Response:
        lines = (f"alertmanager_config_{key} {value}" for key, value in metrics.items())
        return web.Response(text="\n".join(["# HELP x", *lines, "y 1"]))

    app = web.Application()
    app.add_routes([web.get("/am/metrics", answer)])
    server = await aiohttp_server(app)
    path = tmp_path / "alertmanager.yml"
    path.write_bytes(TEXT)
    template = tmp_path / "templates/afterrun.tmpl"
    template.parent.mkdir()
    template.touch()
    os.utime(template, (1.8e9, 1.8e9))
    url = str(server.make_url("/am/-/reload"))

    assert await is_loaded(ManagedFile(path, url, lambda _: {})) is expected


@pytest.mark.parametrize("path", ["/reload", "/-/reload"])
async def test_a_file_does_not_count_as_loaded_if_alertmanager_does_not_say(
    tmp_path: Path, path: str
) -> None:
    """Then it is reloaded, as it cannot be known to be right."""
    url = f"http://127.0.0.1:{unused_port()}{path}"
    (tmp_path / "alertmanager.yml").write_bytes(TEXT)

    assert not await is_loaded(
        ManagedFile(tmp_path / "alertmanager.yml", url, lambda _: {})
    )
