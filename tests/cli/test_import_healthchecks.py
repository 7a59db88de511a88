"""`afterrun import healthchecks`: from an installation, whose key stays secret."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from afterrun_exporter.cli import import_healthchecks
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.config import parse
from afterrun_exporter.dialects.healthchecks.checks import derived_uuid
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock, MemoryStore
from tests.http import app_of
from tests.importers.test_healthchecks import CHECK

from .test_jobs_runs_alerts import somebody_else

KEY = "X8aY-secret_key-of-the-project_Q"


def run(*arguments: str, key: str = KEY) -> Result:
    environ = {import_healthchecks.KEY_VARIABLE: key}
    return CliRunner().invoke(
        afterrun, ["import", "healthchecks", *arguments], env=environ
    )


class Installation:
    """A server with the answers of a Healthchecks, version by version."""

    def __init__(self, versions: tuple[int, ...] = (1, 2, 3)) -> None:
        self.versions = versions
        self.requests: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        version = request.match_info["version"]
        if int(version) not in self.versions:
            return web.Response(status=404, text="<h1>Not Found</h1>")
        if request.headers.get("X-Api-Key") != KEY:
            return web.json_response({"error": "wrong api key"}, status=401)
        return web.json_response({"checks": [CHECK]})


@pytest.fixture
async def installation() -> AsyncIterator[tuple[Installation, str]]:
    """An installation under a path, and its URL."""
    app, found = web.Application(), Installation()
    app.router.add_get("/monitoring/api/v{version}/checks/", found.answer)
    server = TestServer(app)
    await server.start_server()
    yield found, str(server.make_url("/monitoring"))
    await server.close()


@pytest.mark.parametrize("versions", [(1, 2, 3), (1, 2), (1,)])
async def test_checks_are_read_from_the_api(
    installation: tuple[Installation, str], versions: tuple[int, ...]
) -> None:
    """Of the newest version that it has."""
    found, url = installation
    found.versions = versions

    result = await asyncio.to_thread(run, f"{url}/")

    assert result.exit_code == 0, result.output
    assert f"# from {url}/api/v{versions[-1]}/checks/\n" in result.stdout
    assert parse(result.stdout).jobs.keys() == {"filesystem-backup"}
    assert KEY not in result.output


@pytest.mark.parametrize(
    "path", ["/api/v2/checks?tag=db&tag=x", "/projects/0b6c8a52/checks/", "/checks/"]
)
async def test_other_addresses_of_it_work(
    installation: tuple[Installation, str], path: str
) -> None:
    """Of its pages, and of the API, with a filter."""
    found, url = installation

    result = await asyncio.to_thread(run, url + path)

    assert result.exit_code == 0, result.output
    request = found.requests[-1]
    assert request.query.getall("tag", []) == (["db", "x"] if "tag" in path else [])


async def test_the_key_is_in_a_file(
    installation: tuple[Installation, str], tmp_path: Path
) -> None:
    """It takes precedence over the environment."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")

    arguments = (installation[1], "--api-key-file", str(file))
    result = await asyncio.to_thread(lambda: run(*arguments, key="other"))

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("key", ["", "another-key"])
async def test_a_refused_key_is_not_printed(
    installation: tuple[Installation, str], key: str
) -> None:
    result = await asyncio.to_thread(lambda: run(installation[1], key=key))

    assert result.exit_code == 1
    assert result.stderr == (
        f"{installation[1]}/api/v3/checks/: cannot be read: wrong api key; put an API "
        "key of the project into --api-key-file or HEALTHCHECKS_API_KEY\n"
    )


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (
            "two words",
            "the environment variable HEALTHCHECKS_API_KEY has more than a key",
        ),
        ("kéy", "the environment variable HEALTHCHECKS_API_KEY has more than a key"),
    ],
)
def test_a_key_that_is_none_is_refused(key: str, problem: str) -> None:
    result = run("http://127.0.0.1:1", key=key)

    assert result.stderr.startswith(f"Error: {problem}")
    assert key not in result.output


def test_a_key_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """Rather than asking with another key."""
    empty = tmp_path / "empty"
    empty.touch()

    assert "is empty" in run("x.json", "--api-key-file", str(empty)).stderr
    assert "No such file" in run("x.json", "--api-key-file", str(tmp_path / "y")).stderr


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.0 302 Found\r\nLocation: http://b.example/\r\n\r\n", "redirect to 'http://b.example'"),
        (b"HTTP/1.0 500 Oops " + KEY.encode() + b"\r\n\r\n", "answered 500 Oops ***"),
        (b'HTTP/1.0 401 No\r\n\r\n{"error": "' + KEY.encode() + b'"}', "cannot be read: ***; put an"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", ":1: not JSON: expecting value"),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff", "not UTF-8"),
        (b"220 mail\r\n", "does not respond like Healthchecks"),
    ],
)  # fmt: skip
def test_other_answers_are_errors(answer: bytes, problem: str) -> None:
    """The key is sent to no other host, and not repeated."""
    with somebody_else(answer) as url:
        result = run(url)

    assert result.exit_code == 1
    assert problem in result.stderr
    assert KEY not in result.output


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_healthchecks, "MAX_BYTES", 1000)
    monkeypatch.setattr("afterrun_exporter.cli.import_input.MAX_BYTES", 1000)
    with somebody_else(b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 5000) as url:
        result = run(url)

    assert result.exit_code == 1
    assert "larger than" in result.stderr


def test_a_slow_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that sends a byte now and then, for ever."""
    monkeypatch.setattr(import_healthchecks, "_LIMIT", 1.0)
    enough = Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while not enough.wait(0.05):
                    connection.sendall(b" ")

        thread = Thread(target=drip)
        thread.start()
        result = run(f"http://127.0.0.1:{listening.getsockname()[1]}")
        enough.set()
        thread.join()

    assert result.exit_code == 1
    assert "no whole response from" in result.stderr
    assert "within 1 seconds" in result.stderr


FILE = """
jobs:
  nightly: {schedule: "0 2 * * *", timezone: Europe/Riga, grace: 30m, max_runtime: 30m,
    tags: [a, b], description: At night, display_name: The night, enabled: false}
  hourly: {every: 1h, grace: 2m, max_runtime: 2m,
    ping_uuid: 31365bce-8da9-4729-8ff3-aaa71d56b712}
"""


async def test_checks_of_this_daemon_are_its_jobs(clock: ManualClock) -> None:
    """It answers as Healthchecks does, so that its own jobs come back."""
    service = Service(MemoryStore(), clock, parse(FILE).job_config)
    await service.start()
    server = TestServer(app_of(service, clock))
    await server.start_server()
    try:
        result = await asyncio.to_thread(run, str(server.make_url("")))
    finally:
        await server.close()

    assert result.exit_code == 0, result.output
    before, after = parse(FILE).jobs, parse(result.stdout).jobs
    assert after.keys() == before.keys()
    for name, job in before.items():
        uuid = job.ping_uuid or derived_uuid(name)
        assert after[name].ping_uuid == uuid
        for field in ("schedule", "grace", "max_runtime", "tags", "display_name"):
            assert getattr(after[name], field) == getattr(job, field)
        assert after[name].enabled == job.enabled


def test_files_are_read_without_a_key(tmp_path: Path) -> None:
    file = tmp_path / "checks.json"
    file.write_text(json.dumps({"checks": [CHECK]}), "utf-8")

    result = run(str(file), key="")

    assert result.exit_code == 0
    assert "filesystem-backup:" in result.stdout
