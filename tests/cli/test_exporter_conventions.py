"""What operators expect of every exporter, in one table: flags, paths, metrics, logs.

The real process (signals, sockets of systemd, ports) is in tests/e2e/daemon.
"""

from __future__ import annotations

import errno
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
import pytest
import structlog
from aiohttp import ClientResponse
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.app import WebOptions
from afterrun_exporter.auth.route_prefix import NO_PREFIX, RoutePrefix
from afterrun_exporter.cli.flags import route_prefix
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.logs import configure
from afterrun_exporter.cli.serve import serve
from afterrun_exporter.cli.version import build_labels
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.listen import cannot_listen
from afterrun_exporter.server.security import SecuritySettings
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of, whole_app

ROOT: Final = Path(__file__).parents[2]
#: The flags of `serve` that other exporters, Prometheus and Alertmanager have.
FLAGS: Final = {
    "config.file": "--config.file=afterrun.yml",
    "config.check": "--config.check",
    "config.enable-auto-reload": "--config.enable-auto-reload",
    "config.auto-reload-interval": "--config.auto-reload-interval=30s",
    "web.listen-address": "--web.listen-address=:9100",
    "web.config.file": "--web.config.file=web.yml",
    "web.telemetry-path": "--web.telemetry-path=/metrics",
    "web.external-url": "--web.external-url=http://x/afterrun",
    "web.route-prefix": "--web.route-prefix=/",
    "web.systemd-socket": "--web.systemd-socket",
    "web.max-requests": "--web.max-requests=0",
    "web.max-connections": "--web.max-connections=512",
    "web.disable-exporter-metrics": "--web.disable-exporter-metrics",
    "web.enable-lifecycle": "--web.enable-lifecycle",
    "storage.path": "--storage.path=x.db",
    "log.level": "--log.level=debug",
    "log.format": "--log.format=json",
}


class World:
    """A daemon, its commands and its metrics."""

    def __init__(self, client: Client, capfd: pytest.CaptureFixture[str]) -> None:
        self.client = client
        self.capfd = capfd

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(afterrun, words, prog_name="afterrun")

    async def ask(self, method: str, path: str) -> ClientResponse:
        return await self.client.request(method, path, allow_redirects=False)

    async def status(self, method: str, path: str) -> int:
        return (await self.ask(method, path)).status


Check = Callable[[World], bool | Awaitable[bool]]


def parsed(*flags: str) -> click.Context:
    above = click.Context(afterrun, **afterrun.context_settings)
    return serve.make_context("serve", list(flags), parent=above)


def accepted(*flags: str) -> bool:
    """Return True if `serve` parses the flags."""
    parsed(*flags)
    return True


def value(name: str, *flags: str) -> object:
    return parsed(*flags).params[name]


def repeatable(_: World) -> bool:
    flags = [f"--web.listen-address=:{port}" for port in (1, 2)]
    return value("web_listen", *flags) == (":1", ":2")


def negatable(_: World) -> bool:
    """As kingpin has it: --no-web.enable-lifecycle."""
    flags = [one for one in options() if one.is_bool_flag and one.name != "help"]
    return all(
        f"--no-{one.opts[0].removeprefix('--')}" in one.secondary_opts for one in flags
    )


def version(world: World) -> bool:
    ended = world.run("--version")
    pattern = r"afterrun, version \S+.*\n  python version: .*\n  platform: .*\n"
    is_whole = re.fullmatch(pattern, ended.stdout) is not None
    return (ended.exit_code, ended.stderr) == (0, "") and is_whole


def helped(word: str) -> Check:
    return lambda world: world.run("serve", word).exit_code == 0


def hinted(world: World) -> bool:
    ended = world.run("serve", "--web.listen-adress=:1")
    is_refused = (ended.exit_code, ended.stdout) == (2, "")
    return is_refused and "--web.listen-address" in ended.stderr


def low_port(_: World) -> bool:
    error = PermissionError(errno.EACCES, "Permission denied")
    return "CAP_NET_BIND_SERVICE" in cannot_listen(Address(None, 80), error)


async def landing(world: World) -> bool:
    response = await world.ask("GET", "/")
    return response.content_type == "text/html" and "metrics" in await response.text()


async def scraped(world: World) -> bool:
    got, head = await world.ask("GET", "/metrics"), await world.ask("HEAD", "/metrics")
    types = {one.content_type for one in (got, head)}
    return (got.status, head.status, types) == (200, 200, {"text/plain"})


async def refused_elsewhere(world: World) -> bool:
    for method in ("POST", "PUT", "DELETE"):
        response = await world.ask(method, "/metrics")
        if response.status != 405 or "GET" not in response.headers["Allow"]:
            return False
    return True


def answers(status: int, method: str, path: str) -> Check:
    async def check(world: World) -> bool:
        return await world.status(method, path) == status

    return check


async def exposed(world: World) -> bool:
    text = await (await world.ask("GET", "/metrics")).text()
    families = {one.name for one in text_string_to_metric_families(text)}
    return families >= {
        "afterrun_build_info",
        "afterrun_config_last_reload_successful",
        "afterrun_config_last_reload_success_timestamp_seconds",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "python_info",
    }


def build_info(_: World) -> bool:
    text = SelfMetrics("1.2.3", **build_labels()).render({"afterrun_build_info"})
    names = {"version", "revision", "branch", "pythonversion", "platform"}
    return set(re.findall(r"(\w+)=\"", text.decode())) == names


def without_process(_: World) -> bool:
    text = SelfMetrics("1.2.3", False).render().decode()
    return "afterrun_build_info" in text and not re.search("process_|python_", text)


def logged(log_format: str) -> Check:
    def check(world: World) -> bool:
        before = structlog.get_config()
        handlers = logging.getLogger().handlers[:]
        try:
            configure("info", log_format)
            structlog.get_logger().warning("told", job="a b")
        finally:
            structlog.configure(**before)
            logging.getLogger().handlers[:] = handlers
        line = world.capfd.readouterr().err
        if log_format == "json":
            fields = json.loads(line)
            return [*fields] == ["time", "level", "source", "msg", "job"]
        pattern = r'time=\S+Z level=WARN source=test_\w+\.py:\d+ msg=told job="a b"\n'
        return re.fullmatch(pattern, line) is not None

    return check


CONVENTIONS: Final[dict[str, Check]] = {
    **{
        f"--{name}": lambda _, flag=flag: accepted(flag)  # type: ignore[misc]
        for name, flag in FLAGS.items()
    },
    "--web.listen-address may be repeated": repeatable,
    "--no- turns off what a flag turns on": negatable,
    "--version prints to stdout and exits with 0": version,
    "-h shows the help": helped("-h"),
    "--help shows the help": helped("--help"),
    "an unknown flag exits with 2 and a hint": hinted,
    "a port below 1024 is explained": low_port,
    "/ is a page that leads to the metrics": landing,
    "GET and HEAD /metrics": scraped,
    "other methods of /metrics are 405": refused_elsewhere,
    "GET /-/healthy": answers(200, "GET", "/-/healthy"),
    "HEAD /-/healthy": answers(200, "HEAD", "/-/healthy"),
    "GET /-/ready": answers(200, "GET", "/-/ready"),
    "POST /-/reload": answers(200, "POST", "/-/reload"),
    "PUT /-/reload": answers(200, "PUT", "/-/reload"),
    "GET /-/reload is 405": answers(405, "GET", "/-/reload"),
    "POST /-/quit is 403 by default": answers(403, "POST", "/-/quit"),
    "an unknown path is 404": answers(404, "GET", "/nowhere"),
    "build_info has what --version has": build_info,
    "process, Python, build and reload are exposed": exposed,
    "--web.disable-exporter-metrics drops process and Python": without_process,
    "logfmt as Prometheus 3 has it": logged("logfmt"),
    "JSON as Prometheus 3 has it": logged("json"),
}


async def test_every_convention_holds(
    service: Service,
    store: MemoryStore,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    capfd: pytest.CaptureFixture[str],
) -> None:
    app = whole_app(service, store, clock, SecuritySettings())
    world = World(await aiohttp_client(app), capfd)
    broken = []
    for name, check in CONVENTIONS.items():
        result = check(world)
        if not (await result if inspect.isawaitable(result) else result):
            broken.append(name)

    assert broken == []
    assert len(CONVENTIONS) >= 30


def options() -> list[click.Option]:
    return [one for one in serve.params if isinstance(one, click.Option)]


def test_every_flag_is_in_the_table_and_in_the_help() -> None:
    table = (ROOT / "docs" / "commands.md").read_text("utf-8")
    table = table.partition("## Commands that need no daemon")[0]
    documented = {
        flag
        for row in re.findall(r"^\| (`--[^|]*) \|", table, re.MULTILINE)
        for flag in re.findall(r"`(--[\w.-]+)`", row)
    }
    flags = {one.opts[0] for one in options()} - {"--help"}
    helped = CliRunner().invoke(afterrun, ["serve", "--help"]).stdout

    assert documented == flags
    assert [flag for flag in flags if flag not in helped] == []
    assert [one.opts[0] for one in options() if not one.help] == []


@pytest.mark.parametrize(
    ("flag", "url", "prefix"),
    [
        (None, "", NO_PREFIX),
        (None, "http://x", NO_PREFIX),
        (None, "http://x/", NO_PREFIX),
        (None, "http://x/a", RoutePrefix("/a", is_required=False)),
        (None, "http://x/a/b/", RoutePrefix("/a/b", is_required=False)),
        ("", "http://x/a/", RoutePrefix("/a", is_required=False)),
        ("/", "http://x/a", NO_PREFIX),
        ("/b", "http://x/a", RoutePrefix("/b")),
        ("b", "", RoutePrefix("/b")),
        ("/b/c/", "", RoutePrefix("/b/c")),
        # Required, it may be like a path.
        ("/ping", "", RoutePrefix("/ping")),
        # A daemon behind such a proxy goes on as before.
        (None, "http://x/ping", NO_PREFIX),
        (None, "http://x/alerts", NO_PREFIX),
        (None, "http://x/metrics2/y", NO_PREFIX),
        (None, "http://x/0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11", NO_PREFIX),
        (None, "http://x/a{b}", NO_PREFIX),
    ],
)
def test_the_prefix_is_the_flag_or_follows_from_the_external_url(
    flag: str | None, url: str, prefix: RoutePrefix
) -> None:
    assert route_prefix(flag, url, "/metrics2") == prefix


@pytest.mark.parametrize("flag", ["/a b", "/../a", "/a/./b", "/a//b", "/{a}", "/a?b"])
def test_a_prefix_that_is_none_is_one_line(flag: str) -> None:
    ended = CliRunner().invoke(afterrun, ["serve", f"--web.route-prefix={flag}"])

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.route-prefix {flag!r} is invalid: write it like /afterrun, or "
        "/ for none\n"
    )


@pytest.mark.parametrize(
    ("lifecycle", "reload", "quit_"),
    [(None, 200, 403), (True, 200, 200), (False, 403, 403)],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_lifecycle_flag_decides_about_reload_and_quit(
    service: Service,
    clock: ManualClock,
    aiohttp_client: AiohttpClient,
    method: str,
    lifecycle: bool | None,
    reload: int,
    quit_: int,
) -> None:
    stops: list[str] = []
    app = app_of(
        service,
        clock,
        WebOptions(lifecycle=lifecycle),
        stop=lambda: stops.append(method),
    )
    client = await aiohttp_client(app)

    statuses = [
        (await client.request(method, path)).status for path in ("/-/reload", "/-/quit")
    ]

    assert statuses == [reload, quit_]
    assert stops == [method] * (quit_ == 200)
