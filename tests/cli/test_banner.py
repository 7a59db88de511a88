"""What `afterrun serve` says first is something to try out."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from afterrun_exporter.app import WebOptions
from afterrun_exporter.auth.route_prefix import RoutePrefix
from afterrun_exporter.cli.banner import ListenConfig, example, greet, usage
from afterrun_exporter.cli.web_config import WebFile
from afterrun_exporter.config import parse
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.passed_sockets import PassedSocket
from afterrun_exporter.server.security import SecuritySettings


@pytest.mark.parametrize(
    ("text", "job", "body"),
    [
        ("{}", "my-job", '{"metrics": {"rows_processed": 0}}'),
        ("jobs: {a: {}}", "a", '{"status": "ok"}'),
        (
            "jobs: {a: {}, b: {rules: [files between 3 and 5]}}",
            "b",
            '{"metrics": {"files": 0}}',
        ),
        # It is no metric that a job reports.
        ("jobs: {a: {rules: [duration < 5m]}}", "a", '{"status": "ok"}'),
        (
            "jobs: {a: {rules: [duration < 5m, 'size > 1KiB']}}",
            "a",
            '{"metrics": {"size": 0}}',
        ),
        ("jobs: {a: {enabled: false, rules: [x > 0]}, b: {}}", "b", '{"status": "ok"}'),
    ],
)
def test_the_example_is_of_a_job_there_is_and_a_metric_it_has(
    text: str, job: str, body: str
) -> None:
    """The first one with a rule: it shows a verdict."""
    assert example(parse(text).jobs.values()) == (job, body)


def test_where_a_token_is_wanted_the_example_sends_one() -> None:
    """From the environment: it is in no history then."""
    open_, locked = (
        usage("http://x", "/metrics", (), locked=one) for one in (False, True)
    )

    assert "Authorization" not in open_
    assert "socket" not in open_
    assert locked.count('-H "Authorization: Bearer $AFTERRUN_TOKEN" http://x/') == 2


def test_without_a_port_the_example_has_the_path_of_the_unix_socket() -> None:
    for path, option in (
        ("/run/after run.sock", "--unix-socket '/run/after run.sock'"),
        ("@afterrun", "--abstract-unix-socket afterrun"),
    ):
        commands = usage("http://localhost", "/metrics", (), path=path)
        assert commands.count(f"curl -fsS {option} http://localhost/") == 2


def test_a_port_is_named_before_a_unix_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as inet:
        unix.bind(str(tmp_path / "s"))
        inet.bind(("127.0.0.1", 0))
        inet.listen()
        sockets = [PassedSocket(unix), PassedSocket(inet)]
        port = inet.getsockname()[1]
        for binds, place in (
            (sockets, f"http://127.0.0.1:{port}/x"),
            (sockets[:1], f"unix:{tmp_path}/s/x"),
        ):
            security = SecuritySettings()
            listen = ListenConfig(binds, security, WebFile(None, security), Limits(), 8)
            options = WebOptions(route_prefix=RoutePrefix("/x"))
            greet(listen, options, parse("{}"), "", Path("afterrun.db"))
            assert f" listens on {place} (no file" in capsys.readouterr().out
