"""The flags of `afterrun serve` for its HTTP server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from afterrun_exporter.app import WebOptions
from afterrun_exporter.cli.flags import (
    DELAY,
    DURATION,
    check_all,
    check_telemetry_path,
    external_url,
    grouped,
    route_prefix,
    trusted,
)
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.conventions import DEFAULT_PORT
from afterrun_exporter.server import addresses
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.listen import STOP_SECONDS
from afterrun_exporter.server.passed_sockets import FLAG as SYSTEMD_SOCKET
from afterrun_exporter.server.passed_sockets import Bind

F = TypeVar("F", bound=Callable[..., object])

_LISTEN: Final = f":{DEFAULT_PORT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebFlags:
    """The values of the flags."""

    #: Empty for the default.
    listen: tuple[str, ...]
    systemd_socket: bool
    telemetry_path: str
    external_url: str
    #: None if it follows from the external URL.
    route_prefix: str | None
    config_file: Path | None
    proxies: tuple[str, ...]
    max_connections: int
    #: 0 for any number.
    max_requests: int
    #: None if requests may reload the daemon, and not stop it.
    lifecycle: bool | None
    exporter_metrics_off: bool
    #: Seconds.
    shutdown_timeout: float
    shutdown_delay: float
    fast_path: bool

    @property
    def exporter_metrics(self) -> bool:
        """True for the metrics of the process and of Python."""
        return not self.exporter_metrics_off

    def check(self) -> None:
        """Raise ValueError with all problems of the flags."""
        check_all(
            partial(check_telemetry_path, self.telemetry_path),
            partial(external_url, self.external_url),
            # The one that follows from a URL is valid.
            partial(route_prefix, self.route_prefix, "", self.telemetry_path),
            *(partial(trusted, [network]) for network in self.proxies),
            *(partial(addresses.parse, address) for address in self.listen),
            self._check_listen,
        )

    def _check_listen(self) -> None:
        if self.systemd_socket and self.listen:
            raise ValueError(
                f"--web.listen-address has no effect with {SYSTEMD_SOCKET}: remove one of "
                "them"
            )
        for address, number in Counter(self.listen).items():
            if number > 1 and not address.endswith(":0"):
                raise ValueError(
                    f"--web.listen-address {address!r} is repeated: once is enough"
                )

    def binds(self) -> Sequence[Bind]:
        """Return the addresses to listen on; raise ValueError if one is invalid."""
        return [addresses.parse(address) for address in self.listen or (_LISTEN,)]

    def options(self, configured_url: str) -> WebOptions:
        """Return the options; *configured_url* is the external URL of afterrun.yml."""
        url = external_url(self.external_url) or configured_url
        return WebOptions(
            telemetry_path=self.telemetry_path,
            external_url=url,
            max_requests=self.max_requests,
            route_prefix=route_prefix(self.route_prefix, url, self.telemetry_path),
            lifecycle=self.lifecycle,
        )


_option = partial(click.option, show_default=True)

_OPTIONS: Final[tuple[Any, ...]] = (
    _option(
        "--web.listen-address",
        "web_listen",
        multiple=True,
        show_default=_LISTEN,
        help="HOST:PORT or :PORT to listen on; may be repeated.",
    ),
    click.option(
        f"{SYSTEMD_SOCKET}/--no-web.systemd-socket",
        "web_systemd_socket",
        default=False,
        help="Listen on the sockets that systemd passes, instead of addresses.  "
        "[default: off]",
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
        "--web.route-prefix",
        "web_route_prefix",
        metavar="PATH",
        help="Prefix of all paths, such as /afterrun.  [default: the path of the external "
        "URL, which a proxy may remove]",
    ),
    click.option(
        "--web.config.file",
        "web_config_file",
        type=PathType(dir_okay=False),
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
        type=click.IntRange(min=0),
        default=40,
        help="Maximum number of concurrent scrapes; 0 for any number.",
    ),
    click.option(
        "--web.disable-exporter-metrics/--no-web.disable-exporter-metrics",
        "web_exporter_metrics_off",
        default=False,
        help="Leave out the metrics of the process and of Python (process_*, python_*).  "
        "[default: off]",
    ),
    click.option(
        "--web.enable-lifecycle/--no-web.enable-lifecycle",
        "web_lifecycle",
        default=None,
        help="Stop on POST or PUT /-/quit; the other form refuses /-/reload, too.  "
        "[default: only /-/reload is enabled]",
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
