"""The flags of `afterrun serve` for its HTTP server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from afterrun_exporter.cli.flags import DELAY, DURATION, grouped
from afterrun_exporter.conventions import DEFAULT_PORT
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.listen import STOP_SECONDS

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFlags:
    """The values of the flags."""

    listen: tuple[str, ...]
    telemetry_path: str
    external_url: str
    config_file: Path | None
    proxies: tuple[str, ...]
    max_connections: int
    max_requests: int
    #: Seconds.
    shutdown_timeout: float
    shutdown_delay: float
    fast_path: bool


_option = partial(click.option, show_default=True)

_OPTIONS: Final[tuple[Any, ...]] = (
    _option(
        "--web.listen-address",
        "web_listen",
        multiple=True,
        default=(f":{DEFAULT_PORT}",),
        help="HOST:PORT or :PORT to listen on; may be repeated.",
    ),
    _option(
        "--web.telemetry-path",
        "web_telemetry_path",
        default="/metrics",
        help="Path of the metrics.",
    ),
    click.option(
        "--web.external-url",
        "web_external_url",
        default="",
        help="URL under which jobs and people reach this daemon; shown on its pages.",
    ),
    click.option(
        "--web.config.file",
        "web_config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="TLS, users and headers, in the format of Prometheus exporters.",
    ),
    click.option(
        "--web.trusted-proxy",
        "web_proxies",
        multiple=True,
        metavar="CIDR",
        help="Trust X-Forwarded-For, -Proto and -Host from CIDR; may be repeated.",
    ),
    _option(
        "--web.max-connections",
        "web_max_connections",
        type=click.IntRange(min=1),
        default=Limits().connections,
        help="Maximum number of connections; further ones get 503.",
    ),
    click.option(
        "--web.shutdown-timeout",
        "web_shutdown_timeout",
        type=DURATION,
        default=STOP_SECONDS,
        show_default="8s",
        help="Maximum duration of a shutdown; a second signal ends it at once.",
    ),
    click.option(
        "--web.shutdown-delay",
        "web_shutdown_delay",
        type=DELAY,
        default=0.0,
        show_default="0s",
        help="At a shutdown, answer requests for so long while /-/ready returns 503, so "
        "that load balancers send no more of them.",
    ),
    _option(
        "--web.max-requests",
        "web_max_requests",
        type=click.IntRange(min=1),
        default=40,
        help="Maximum number of concurrent scrapes.",
    ),
    _option(
        "--web.fast-path/--no-web.fast-path",
        "web_fast_path",
        default=True,
        help="Handle single reports without aiohttp, which saves CPU.",
    ),
)


def web_options(command: F) -> F:
    """Add the flags to *command*, which gets them as one `WebFlags` named web_flags."""
    return grouped(command, WebFlags, "web_", _OPTIONS)
