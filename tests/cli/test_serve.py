"""`afterrun serve` with flags that cannot be: one line, and nothing is started."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.auth.endpoints import ENDPOINTS
from afterrun_exporter.cli import memory
from afterrun_exporter.cli.flags import check_telemetry_path
from afterrun_exporter.cli.group import COMMANDS, afterrun
from afterrun_exporter.config import parse

#: A parameter in a route, with its pattern.
_PLACEHOLDER: Final = re.compile(r"{\w+(:([^{}]|{[^{}]*})*)?}")


def serve(*flags: str) -> Result:
    return CliRunner().invoke(afterrun, ["serve", *flags])


@pytest.mark.parametrize(
    "address", ["10707", "localhost", "::1:10707", ":99999", "http://x:1", "[::1]"]
)
def test_an_address_that_is_none_is_one_line(address: str) -> None:
    """It says how one is written."""
    ended = serve(f"--web.listen-address={address}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.listen-address {address!r} is not an address: write it "
        "like :10707, 127.0.0.1:10707 or [::1]:10707\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metrics",
        "/",
        "//",
        "/..",
        "/x/./y",
        "/{job}",
        "/a?b",
    ],
)
def test_a_path_for_metrics_that_is_none_is_one_line(path: str) -> None:
    ended = serve(f"--web.telemetry-path={path}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"afterrun: --web.telemetry-path {path!r} is invalid: write it like /metrics\n"
    )


def test_metrics_cannot_have_a_path_of_something_else() -> None:
    """One of both would be hidden."""
    uuid = "0e4ed0d4-7a4b-4a0e-8d2b-6c3a2c1d9f11"
    taken = [f"/{uuid}", f"/{uuid}/start"]
    for route in (path for endpoint in ENDPOINTS for path in endpoint.paths):
        path = _PLACEHOLDER.sub("x", route.replace("{job:job(@base64)?/.*}", "job/x"))
        if route.startswith("/") and not route.startswith("/{") and path != "/":
            taken.append(path.rstrip("/"))

    assert len(taken) > 50
    accepted = []
    for path in taken:
        try:
            check_telemetry_path(path)
        except ValueError:
            continue
        accepted.append(path)
    assert accepted == []
    for path in ("/metrics", "/metrics/", "/pings", "/afterrun/metrics", "/metrics/x"):
        check_telemetry_path(path)


#: Flags that cannot be used, alone or with others, and the beginnings of all problems.
REFUSED: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (
        ("--web.systemd-socket", "--web.listen-address=:1"),
        ("--web.listen-address has no effect with --web.systemd-socket: remove",),
    ),
    (
        ("--web.listen-address=:1", "--web.listen-address=:1"),
        ("--web.listen-address ':1' is repeated",),
    ),
    (("--web.listen-address=:\u0661",), ("--web.listen-address ':\u0661' is not",)),
    (("--web.external-url=http://[::1",), ("--web.external-url: not a URL",)),
    (("--web.external-url=x",), ("--web.external-url: not a URL",)),
    (("--web.external-url=ftp://x/y",), ("--web.external-url: not a URL",)),
    (("--web.external-url=http://x:99999/",), ("--web.external-url: not a URL",)),
    (("--web.external-url=http://u:p@x/",), ("--web.external-url: contains a user",)),
    (("--web.external-url=http://x/?y",), ("--web.external-url: has more than host",)),
    (
        ("--web.external-url=/afterrun",),
        (
            "--web.external-url: not a URL; write it like https://host:port/path; --web.r",
        ),
    ),
    (("--web.route-prefix=/a%zz",), ("--web.route-prefix '/a%zz' is invalid",)),
    (
        ("--config.git-ref=x", "--config.git-path=y"),
        (
            "--config.git-ref has no effect without --config.git-url",
            "--config.git-path has no effect without --config.git-url",
        ),
    ),
    (
        (
            *("--config.git-url=x", "--config.git-ref=-", "--config.git-path=/y"),
            *("--config.git-username=", "--config.git-ca-file=/nowhere"),
            "--config.file=afterrun.yml",
        ),
        (
            "--config.file and --config.git-url are two configurations",
            "--config.git-url 'x' does not begin with",
            "--config.git-ref '-' is not",
            "--config.git-path '/y' is absolute",
            "--config.git-username '' is no user name",
            "--config.git-ca-file '/nowhere' is not a file",
        ),
    ),
    (
        (
            *("--web.external-url=foo", "--web.listen-address=:x"),
            *("--web.listen-address=:y", "--web.telemetry-path=/"),
            *("--web.trusted-proxy=p", "--web.trusted-proxy=q"),
            *("--web.route-prefix=a,b", "--config.enable-auto-reload"),
            "--storage.path=:memory:",
        ),
        (
            "--web.telemetry-path '/' is invalid",
            "--web.external-url: not a URL",
            "--web.route-prefix 'a,b' is invalid",
            "--web.trusted-proxy: 'p' does not appear",
            "--web.trusted-proxy: 'q' does not appear",
            "--web.listen-address ':x' is not",
            "--web.listen-address ':y' is not",
            "--storage.path ':memory:' would not",
            "--config.enable-auto-reload has no effect without --config.file",
        ),
    ),
)


def test_all_problems_of_flags_are_reported_at_once() -> None:
    """Also by --config.check, before anything is started."""
    for flags, problems in REFUSED:
        for more in ((), ("--config.check",)):
            ended = serve(*flags, *more)
            lines = ended.stderr.splitlines()

            assert (ended.exit_code, ended.stdout) == (1, ""), (flags, ended.output)
            assert len(lines) == len(problems), (flags, lines)
            for line, problem in zip(lines, problems, strict=True):
                assert line.startswith(f"afterrun: {problem}"), (line, problem)


def test_no_path_may_be_empty() -> None:
    """A variable that is not set would be the current directory."""
    paths = []
    for name, command in commands():
        for parameter in command.params:
            if not isinstance(parameter.type, click.Path):
                continue
            paths.append(f"{name} {parameter.name}")
            with pytest.raises(click.BadParameter, match="'' is empty: write a path"):
                parameter.type.convert("", parameter, None)

    assert len(paths) > 20


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield all commands of this package, and those of groups."""
    context = click.Context(afterrun)
    waiting = [(name, afterrun.get_command(context, name)) for name in COMMANDS]
    while waiting:
        name, command = waiting.pop()
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            waiting += [(f"{name} {key}", one) for key, one in command.commands.items()]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (":memory:", " ':memory:' would not survive a restart: use the path of a file"),
        ("", " is empty: use the path of a file"),
    ],
)
def test_a_database_that_is_no_file_is_one_line(path: str, problem: str) -> None:
    """What was answered with 200 has to be there after a restart."""
    ended = serve(f"--storage.path={path}")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == f"afterrun: --storage.path{problem}\n"


def test_threads_share_the_arenas_of_malloc() -> None:
    """Otherwise each of them keeps memory for itself that it has freed."""
    program = """
import ctypes, re, threading
from afterrun_exporter.cli.memory import ARENAS, limit_arenas
libc = ctypes.CDLL(None)
limit_arenas()
def work():
    pointers = [libc.malloc(1000) for _ in range(100)]
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert 1 <= ended.stdout.count("<heap nr=") <= memory.ARENAS


async def test_a_large_configuration_is_left_out_of_later_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a few reloads of 100,000 jobs, one would take 0.3 s."""
    monkeypatch.setattr(memory, "MANY_JOBS", 2)
    gc.unfreeze()
    try:
        await memory.freeze_many(parse("jobs: {a: {}}"))
        assert gc.get_freeze_count() == 0

        await memory.freeze_many(parse("jobs: {a: {}, b: {}}"))
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
