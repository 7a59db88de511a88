"""``/-/healthy``, ``/-/ready`` and ``/-/reload``, as Prometheus itself has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

#: Reads the configuration anew; raises ConfigError and changes nothing if bad.
Reload = Callable[[], Awaitable[None]]


async def healthy(_: web.Request) -> web.Response:
    """Answer that the process lives."""
    return web.Response(text="AfterRun exporter is healthy.\n")


async def ready(_: web.Request) -> web.Response:
    """Answer that pings are taken: the port is opened after the database."""
    return web.Response(text="AfterRun exporter is ready.\n")


def reload(reload_config: Reload) -> Handler:
    """Return the handler that reads the configuration anew."""

    async def handle(_: web.Request) -> web.Response:
        await reload_config()
        return web.Response(text="configuration reloaded\n")

    return handle
