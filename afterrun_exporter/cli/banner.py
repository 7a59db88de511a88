"""The startup message of `afterrun serve`: its address and example commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import click

from afterrun_exporter import __version__
from afterrun_exporter import config as configs
from afterrun_exporter.app import WebOptions
from afterrun_exporter.cli.web_config import WebFile, warn_if_open
from afterrun_exporter.core.metric_names import PLAIN
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.rules import DURATION, Rule
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.passed_sockets import Bind, PassedSocket
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.storage.location import Location

#: The example job, if none is configured.
_ANY_JOB = "my-job"
_ANY_METRIC = "rows_processed"


#: Printed if the daemon is open and reachable from other machines.
OPEN: Final = (
    "  no authentication: every client that reaches this port can report, read and "
    "change everything;\n  set auth in afterrun.yml, or listen on 127.0.0.1"
)
#: The option of `curl` for a token.
_AUTHORIZATION: Final = '-H "Authorization: Bearer $AFTERRUN_TOKEN" '


def usage(
    url: str,
    telemetry_path: str,
    jobs: Iterable[Job],
    *,
    locked: bool = False,
    path: str = "",
) -> str:
    """Return two example commands: a ping, and the metrics of its job.

    They send a token if the daemon is *locked*, to the Unix socket at *path* if it has no
    other one.
    """
    job, body = example(jobs)
    options = _socket_option(path) + (_AUTHORIZATION if locked else "")
    return (
        f"  report a run:     curl -fsS {options}{url}/ping/{job} -d '{body}'\n"
        f"  see the result:   curl -fsS {options}{url}{telemetry_path} | grep {job}"
    )


def _socket_option(path: str) -> str:
    """Return the option of `curl` for the Unix socket at *path*; "" for none."""
    if path.startswith("@"):
        return f"--abstract-unix-socket {shlex.quote(path[1:])} "
    return f"--unix-socket {shlex.quote(path)} " if path else ""


def example(jobs: Iterable[Job]) -> tuple[str, str]:
    """Return a job and a report of it, if possible with a metric that has a rule."""
    watched = [job for job in jobs if job.enabled]
    for job in watched:
        for rule in job.rules:
            if _is_simple(rule):
                return job.name, _report(rule.metric)
    if watched:
        return watched[0].name, json.dumps({"status": "ok"})
    return _ANY_JOB, _report(_ANY_METRIC)


def _is_simple(rule: Rule) -> bool:
    """Return True if a report for *rule* is safe in any shell."""
    is_number = rule.assertion is None and rule.metric != DURATION
    return is_number and PLAIN.fullmatch(rule.metric) is not None


def _report(metric: str) -> str:
    return json.dumps({"metrics": {metric: 0}})


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """Settings of the listening sockets."""

    binds: Sequence[Bind]
    security: SecuritySettings
    web_file: WebFile
    limits: Limits
    #: The maximum duration of a shutdown in seconds.
    patience: float
    #: Seconds of a shutdown in which requests are still accepted.
    delay: float = 0.0
    fast_path: bool = True


def _path_of(bind: Bind) -> str:
    """Return the path of a Unix socket; "" for others."""
    return bind.path if isinstance(bind, PassedSocket) else ""


def greet(
    listen_config: ListenConfig,
    options: WebOptions,
    config: configs.Config,
    source: str,
    storage: Location,
) -> None:
    """Print the address of the daemon, and what to do with it."""
    scheme = "https" if listen_config.web_file.encrypts else "http"
    url, path = options.external_url.rstrip("/"), ""
    place = url
    if not url:
        # Any client reaches a port.
        bind = min(listen_config.binds, key=_path_of)
        path, prefix = _path_of(bind), options.route_prefix.path
        url = f"{bind.url(scheme)}{prefix}"
        place = f"{bind}{prefix}" if path else url
    locked = not listen_config.security.authenticator.is_open
    jobs = config.jobs.values()
    count = plural(len(jobs), "job")
    source = f"{count} from {source}" if source else "no file"
    click.echo(
        f"AfterRun exporter {__version__} listens on {place} "
        f"({source}; database {storage}); Ctrl-C stops it\n"
        f"{usage(url, options.telemetry_path, jobs, locked=locked, path=path)}"
    )
    if warn_if_open(listen_config.security, listen_config.binds):
        click.echo(OPEN)
