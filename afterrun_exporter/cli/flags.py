"""Validation of flags of `afterrun serve`."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import structlog

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.hosts import Hosts
from afterrun_exporter.auth.proxies import Proxies
from afterrun_exporter.auth.route_prefix import NO_PREFIX, RoutePrefix
from afterrun_exporter.config import alerting_values
from afterrun_exporter.core.model import UUID
from afterrun_exporter.core.units import parse_duration
from afterrun_exporter.server.passed_sockets import Bind

log = structlog.get_logger()

F = TypeVar("F", bound=Callable[..., object])

_TELEMETRY_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.~-]+)+/?")
_ROUTE_PREFIX: Final = re.compile(
    r"(?:/(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9_.~@:+-]|%[0-9A-Fa-f]{2})+)*"
)
#: The first segments of the paths of all endpoints.
_FIRST_SEGMENTS: Final = frozenset(
    path.split("/")[1]
    for endpoint in endpoints.ENDPOINTS
    for path in endpoint.paths
    if path.startswith("/") and path != "/"
)
#: The paths of pushes begin like the default path of the metrics.
_METRICS: Final = "metrics"
_PUSHES: Final = (*endpoints.PUSHED.paths, "/metrics/job")


def grouped(
    command: F,
    group: Callable[..., object],
    prefix: str,
    options: Sequence[Callable[[F], F]],
) -> F:
    """Add *options* to *command*, which gets their values as one *group*.

    The names of their parameters start with *prefix*, and that of the group is
    ``{prefix}flags``.
    """

    @wraps(command)
    def collected(**values: Any) -> object:
        flags = {
            name.removeprefix(prefix): values.pop(name)
            for name in [*values]
            if name.startswith(prefix)
        }
        return command(**{f"{prefix}flags": group(**flags)}, **values)

    decorated: Any = collected
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result


class _Duration(click.ParamType[float]):
    """A duration such as 8s; numbers are seconds."""

    name = "duration"

    def __init__(self, *, allows_zero: bool = False) -> None:
        self._allows_zero = allows_zero

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0 and not (self._allows_zero and seconds == 0):
            self.fail(f"{value!r} is not longer than 0s", param, ctx)
        return seconds


DURATION: Final = _Duration()
DELAY: Final = _Duration(allows_zero=True)

#: The number of open files that a daemon with some dozens of connections needs.
MIN_FILES: Final = 128


def check_open_files() -> None:
    """Raise the limit of open files; raise ValueError if it cannot be high enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= MIN_FILES:
        return
    if hard != resource.RLIM_INFINITY and hard < MIN_FILES:
        raise ValueError(
            f"this process can open only {hard} files, but {MIN_FILES} are needed: "
            "raise the limit (ulimit -n, or LimitNOFILE= in its systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (MIN_FILES, hard))


def check_all(*checks: Callable[[], object]) -> None:
    """Call each of *checks*; raise ValueError with all problems, a line each."""
    problems = []
    for check in checks:
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def check_telemetry_path(path: str) -> None:
    """Raise ValueError if *path* is not a valid path for metrics."""
    if not _TELEMETRY_PATH.fullmatch(path):
        raise ValueError(
            f"--web.telemetry-path {path!r} is invalid: write it like /metrics"
        )
    first = path.split("/")[1]
    is_taken = first in _FIRST_SEGMENTS - {_METRICS} or path.startswith(_PUSHES)
    if is_taken or UUID.fullmatch(first):
        raise ValueError(
            f"--web.telemetry-path {path!r} is among the other paths of the daemon: use "
            "one that begins differently, such as /metrics"
        )


def external_url(text: str) -> str:
    """Return the value of the flag for the external URL; "" for none.

    Raises ValueError if it is invalid.
    """
    if not text:
        return ""
    try:
        return alerting_values.external_url(text)
    except ValueError as error:
        hint = "; --web.route-prefix is for a path" if text.startswith("/") else ""
        raise ValueError(f"--web.external-url: {error}{hint}") from None


def route_prefix(flag: str | None, external_url: str, telemetry: str) -> RoutePrefix:
    """Return the prefix of all paths: *flag*, or else the path of the external URL.

    The second one is not required, as a proxy may remove it. It is none if it begins as a
    path of the daemon, such as *telemetry*. Raises ValueError for an invalid flag.
    """
    if flag:
        path = f"/{flag.strip('/')}".rstrip("/")
        if not _ROUTE_PREFIX.fullmatch(path):
            raise ValueError(
                f"--web.route-prefix {flag!r} is invalid: write it like /afterrun, or / "
                "for none"
            )
        return RoutePrefix(path)
    path = f"/{urlsplit(external_url).path.strip('/')}".rstrip("/")
    if not path or not _ROUTE_PREFIX.fullmatch(path):
        return NO_PREFIX
    first = path.split("/")[1]
    if first in {*_FIRST_SEGMENTS, telemetry.split("/")[1]} or UUID.fullmatch(first):
        log.warning(
            "route_prefix_ambiguous",
            external_url=external_url,
            reason=f"/{first} is a path of the daemon, so requests under {path} are none "
            "under a prefix",
            way_out=f"set --web.route-prefix to {path}, or to / if a proxy removes it",
        )
        return NO_PREFIX
    return RoutePrefix(path, is_required=False)


def trusted(networks: Sequence[str]) -> Proxies:
    """Return the proxies in *networks*; raise ValueError for an invalid network."""
    try:
        return Proxies(networks)
    except ValueError as error:
        raise ValueError(
            f"--web.trusted-proxy: {error}; write it like 10.0.0.0/8 or 127.0.0.1"
        ) from None


def own_names(external_url: str, binds: Sequence[Bind]) -> Hosts:
    """Return the host names that requests may use for this daemon."""
    machine = socket.gethostname()
    names = {machine, machine.partition(".")[0], urlsplit(external_url).hostname}
    names |= {bind.host for bind in binds}
    return Hosts(filter(None, names))
