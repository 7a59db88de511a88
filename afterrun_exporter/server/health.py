"""``/-/healthy``, ``/-/ready``, ``/-/reload`` and ``/-/quit``, as in Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.forbidden import lacks_scope
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.errors import ForbiddenError, RequestError

#: The query of a reload that may retire all jobs: ``?retire=all``.
RETIRE: Final = "retire"
ALL: Final = "all"

DISABLED: Final = (
    "the lifecycle API is not enabled: start the daemon with --web.enable-lifecycle"
)


class Reload(Protocol):
    """A function that reloads the configuration."""

    async def __call__(self, *, retire_all: bool = False) -> None:
        """Use the new configuration; raise ConfigError and change nothing if it is bad.

        Unless *retire_all*, one without any of the jobs of the old one is bad.
        """


async def healthy(_: web.Request) -> web.Response:
    """Report that the process is running."""
    return web.Response(text="AfterRun exporter is healthy.\n")


class Readiness:
    """The readiness for requests; *outdated* returns the reason why it is missing."""

    def __init__(self, outdated: Callable[[], str] = str) -> None:
        self._outdated = outdated
        #: True during a shutdown: load balancers send no more requests.
        self.is_stopping = False

    def obstacle(self) -> str:
        """Return the reason why requests should go elsewhere; "" if there is none.

        It has no details, such as the address of the database: any client can read it.
        """
        return "it is stopping" if self.is_stopping else self._outdated().split(": ")[0]

    async def handle(self, _: web.Request) -> web.Response:
        """Report that pings are accepted, or the reason why they are not."""
        if obstacle := self.obstacle():
            text = f"AfterRun exporter is not ready: {obstacle}.\n"
            return web.Response(text=text, status=HTTPStatus.SERVICE_UNAVAILABLE)
        return web.Response(text="AfterRun exporter is ready.\n")


READINESS: Final[web.AppKey[Readiness]] = web.AppKey("readiness")


async def reload(reload_config: Reload, request: web.Request) -> web.Response:
    """Reload the configuration; the body, such as that of a webhook, is ignored."""
    retire = request.query.get(RETIRE)
    if retire not in {None, ALL}:
        raise RequestError(f"{RETIRE}={retire!r} is not known: write {RETIRE}={ALL}")
    if retire is not None and not (caller := caller_of(request)).may(Scope.ADMIN):
        raise lacks_scope(caller, Scope.ADMIN)
    await reload_config(retire_all=retire == ALL)
    return web.Response(text="configuration reloaded\n")


async def quit_(stop: Callable[[], None] | None, _: web.Request) -> web.Response:
    """Begin a shutdown; this response, and those to other requests, are still sent."""
    if stop is None:
        raise ForbiddenError(DISABLED)
    stop()
    return web.Response(text="AfterRun exporter is stopping.\n")


def enabled(handler: Handler, is_enabled: bool) -> Handler:
    """Return *handler*, or one that refuses every request."""
    return handler if is_enabled else _disabled


async def _disabled(_: web.Request) -> web.Response:
    raise ForbiddenError(DISABLED)
