"""No secret leaves by another way than the one it is for: real daemon, real clients.

Every place that accepts a secret gets one with a mark, rightly and wrongly written; then
all that comes out is searched for it: answers, log, output, files, processes.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGHUP
from typing import Final
from urllib.parse import quote

import bcrypt
import pytest

from afterrun_exporter.core.secrets import digest
from tests.e2e.client.conftest import Cron, Done, alone
from tests.e2e.daemon.conftest import daemon, make_daemon
from tests.e2e.daemon.daemon import HOST, Daemon, wait_until
from tests.e2e.network import free_port
from tests.patience import PATIENCE

__all__ = ["alone", "daemon", "make_daemon"]

MARK: Final = "Marked"
#: An odd number of letters before it: base64 hides a mark in three ways.
HIDDEN: Final = tuple(
    b64encode(b"x" * shift + MARK.encode() * 2).decode()[4:-6] for shift in range(3)
)
ADMIN: Final = f"ar_{MARK}Admin"
#: As long as `afterrun token new` makes them.
WRONG: Final = f"ar_{MARK * 8}"
PASSWORD: Final = f"{MARK} password {MARK}"
KEY: Final = f"{MARK}ProjectKey"
#: Of a webhook, which Alertmanager has to know.
HOOK: Final = "https://hooks.example/HookedPath?token=HookedToken"

CONFIG: Final = f"""
auth:
  tokens:
    - {{name: admin, hash: "{digest(ADMIN)}", scopes: [admin]}}
    - {{name: other, hash: "{digest(ADMIN + "2")}", scopes: [ping], jobs: other}}
projects:
  web: {{ping_key: "{digest(KEY)}", api_key: "{digest(KEY + "2")}"}}
jobs: {{backup: {{project: web, every: 1d}}, other: {{}}}}
alertmanager:
  config_file: alertmanager.yml
  reload_url: RELOAD
  push_to: [PUSH]
"""
#: Each of them has a secret where there should be none.
BAD_CONFIGS: Final = (
    CONFIG.replace(digest(ADMIN), ADMIN),
    CONFIG.replace(f'"{digest(KEY)}"', f"[{KEY}]"),
    CONFIG + f"  smtp: {{smarthost: 'smtp:{MARK}@mail:25', auth_password: {MARK}}}\n",
    CONFIG + f"  slack_url_file: https://hooks.slack.com/services/{MARK}\n",
    CONFIG + f"  receivers: {{team: [{{webhook: {{url: 'http://u:{MARK}@h/'}}}}]}}\n",
    CONFIG + f"  smtp: {{auth_password: *{MARK}}}\n",
    CONFIG + f"  smtp: {{auth_password: '{MARK}}}\n",
    MARK,
)


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


AUTHORIZATIONS: Final = (
    f"Bearer {WRONG}",
    f"Bearer {ADMIN}2",
    f"Bearer  {WRONG} more",
    f"bearer{WRONG}",
    WRONG,
    f"Token {WRONG}",
    basic("admin", WRONG),
    basic(WRONG, ""),
    basic("", WRONG),
    "Basic " + b64encode(WRONG.encode()).decode(),
    f"Basic {WRONG}",
    f"Digest username={WRONG}",
)
HEADERS: Final = (
    *({"Authorization": one} for one in AUTHORIZATIONS),
    {"X-Api-Key": WRONG},
    {"X-Sentry-Auth": f"Sentry sentry_key={WRONG}, sentry_version=7"},
    {"Cookie": f"session={WRONG}; csrf={WRONG}"},
    {"Proxy-Authorization": basic("admin", WRONG)},
    {"Authorization": f"Bearer {ADMIN}", "Origin": f"http://{WRONG}@evil.example"},
    {"Authorization": f"Bearer {ADMIN}", "Idempotency-Key": "x", "Host": "a b"},
)
PLACES: Final = (
    ("POST", "/ping/backup"),
    ("POST", "/ping"),
    ("GET", "/"),
    ("GET", "/jobs/backup"),
    ("POST", "/jobs/backup/pause"),
    ("GET", "/metrics"),
    ("POST", "/metrics/job/backup"),
    ("GET", "/api/v1/jobs"),
    ("POST", "/api/v1/check"),
    ("POST", "/-/reload"),
    ("GET", "/api/v3/checks/"),
    ("PUT", "/api/monitors"),
    ("POST", "/api/42/envelope/"),
    ("POST", "/nowhere"),
    ("BREW", "/ping/backup"),
)
PATHS: Final = (
    ("GET", f"/ping/{KEY}/backup"),
    ("GET", f"/ping/{KEY}/nothing/9999"),
    ("POST", f"/ping/{WRONG}/backup"),
    ("GET", f"/ping/{WRONG}/backup/start"),
    ("GET", f"/p/{KEY}/backup?state=nonsense"),
    ("GET", f"/p/{WRONG}/backup?state=run"),
    ("POST", f"/api/42/cron/backup/{WRONG}?status=nonsense"),
    ("POST", f"/api/42/envelope/?sentry_key={WRONG}"),
    ("POST", f"/api/42/store/?sentry_key={WRONG}&sentry_version=x"),
    ("GET", f"/{WRONG}"),
    ("GET", f"/jobs/{WRONG}/?token={WRONG}"),
    ("GET", f"/?token={WRONG}"),
    ("POST", f"/ping/backup?token={WRONG}&api_key={WRONG}"),
    ("GET", f"/api/v1/jobs?token={WRONG}"),
    ("GET", f"/nowhere/{WRONG}"),
)
#: Bodies that have a place for a secret.
BODIES: Final = (
    ("/api/v3/checks/", json.dumps({"api_key": WRONG, "name": 1})),
    ("/api/v3/checks/", json.dumps({"api_key": [WRONG], "name": "x"})),
    ("/jobs/backup/pause", f"csrf={WRONG}&for=1h"),
    ("/jobs/backup/receivers", f"csrf={WRONG}&alert_type=webhook&target={WRONG}"),
    ("/api/42/envelope/", json.dumps({"dsn": f"https://{WRONG}@x/42"}) + "\n{}\n"),
)
READ: Final = (
    *("/", "/jobs/backup", "/metrics", "/api/v1/jobs", "/api/v1/jobs/backup"),
    *("/api/v1/jobs/backup/receivers", "/api/v1/alerts", "/-/targets", "/api/v1"),
    *("/api/v1/jobs/backup/runs", "/-/ready", "/api/v3/checks/", "/openapi.json"),
)


class Echo(BaseHTTPRequestHandler):
    """A proxy that does as its path says, and repeats what it was sent."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = str(self.headers) + self.rfile.read(length).decode(errors="replace")
        status = (
            int(self.path.split("/")[1] or 401) if self.path[1:4].isdigit() else 401
        )
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"http://{WRONG}@127.0.0.1:9/")
        kind = "application/problem+json" if "json" in self.path else "text/plain"
        body = (json.dumps({"detail": sent}) if "json" in self.path else sent).encode()
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        with suppress(OSError):
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[str]:
    """The URL of a server that repeats what it was sent."""
    server = ThreadingHTTPServer((HOST, 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


def marks(text: str) -> list[str]:
    """Return the surroundings of secrets in *text*."""
    places = map(text.find, (MARK, *HIDDEN, quote(PASSWORD)))
    return [text[max(0, at - 80) : at + 40] for at in places if at >= 0]


def ask(
    port: int, method: str, path: str, headers: dict[str, str], body: str = ""
) -> str:
    """Return the whole answer to a request."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        read = answer.read().decode(errors="replace")
        return f"{answer.status} {answer.reason}\n{answer.headers}\n{read}"
    finally:
        connection.close()


def raw(port: int, request: str) -> str:
    """Return the whole answer to what may be no HTTP."""
    with socket.create_connection((HOST, port), PATIENCE) as connection:
        connection.sendall(request.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(OSError):
            while piece := connection.recv(65536):
                said += piece
        return said.decode("latin-1")


def files_in(folder: Path, *but: str) -> dict[str, str]:
    """Return the text of the files in *folder*, by path."""
    return {
        str(file): file.read_bytes().decode("latin-1")
        for file in folder.rglob("*")
        if file.is_file() and file.name not in but
    }


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_no_secret_that_a_daemon_gets_comes_out(
    daemon: Daemon, echo: str, form: str
) -> None:
    folder = daemon.config.parent
    web = folder / "web.yml"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    web.write_text(f"basic_auth_users: {{admin: {hashed!r}}}\n")
    good = CONFIG.replace("RELOAD", f"{echo}/200").replace("PUSH", echo)
    daemon.configure(good)
    daemon.start(
        f"--log.format={form}", "--log.level=debug", f"--web.config.file={web}"
    )
    admin = {"Authorization": f"Bearer {ADMIN}"}
    said: dict[str, str] = {}
    for method, path in PLACES:
        for number, headers in enumerate(HEADERS):
            said[f"{method} {path} {number}"] = ask(daemon.port, method, path, headers)
    for method, path in PATHS:
        for name, headers in (("", {}), ("admin", admin)):
            said[f"{method} {path[:8]} {name}"] = ask(
                daemon.port, method, path, headers
            )
    for path, body in BODIES:
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            headers = {**admin, "Content-Type": kind}
            said[f"{path} {body[:9]}"] = ask(daemon.port, "POST", path, headers, body)
    for line in (f"GET /{WRONG} HTTP/9", f"Authorization: Bearer {WRONG}", WRONG):
        said[line[:9]] = raw(daemon.port, f"{line}\r\nHost: x\r\n\r\n")
    user = {"Authorization": basic("admin", PASSWORD)}
    assert ask(daemon.port, "GET", "/api/v1/jobs", user).startswith("200 ")
    added = json.dumps({"alert_type": "webhook", "target": HOOK})
    said["receiver"] = ask(
        daemon.port, "POST", "/api/v1/jobs/backup/receivers", admin, added
    )
    # The post to Alertmanager fails, and its answer repeats what it was sent.
    said["fail"] = ask(daemon.port, "POST", "/ping/backup", admin, '{"status":"fail"}')
    wait_until(lambda: "push_failing" in daemon.log, "the push fails")

    for text in BAD_CONFIGS:
        daemon.configure(text)
        said[f"reload {text[-20:-9]}"] = ask(daemon.port, "POST", "/-/reload", admin)
        said[f"check {text[-20:-9]}"] = ask(
            daemon.port, "POST", "/api/v1/check", admin, json.dumps({"config": text})
        )
    before = daemon.log.count("config_refused")
    daemon.send_signal(SIGHUP)
    wait_until(lambda: daemon.log.count("config_refused") > before, "it is read again")
    web.write_text(f"basic_auth_users: {{admin: {MARK}, other: [{MARK}]}}\n")
    wait_until(lambda: "web_config_refused" in daemon.log, "web.yml is refused")
    said |= {path: ask(daemon.port, "GET", path, admin) for path in READ}
    said["processes"] = Path(f"/proc/{daemon.pid}/cmdline").read_text()
    said["title"] = Path(f"/proc/{daemon.pid}/comm").read_text()
    assert daemon.stop() == 0
    said |= {"log": daemon.log, "stdout": daemon.stdout}
    said |= files_in(folder, "afterrun.yml", "web.yml")

    assert {name: found for name, text in said.items() if (found := marks(text))} == {}
    hooked = {name for name, text in said.items() if "Hooked" in text}
    allowed = {"alertmanager.yml", "afterrun.db", "afterrun.db-wal", "receiver"}
    assert {Path(name).name for name in hooked} <= allowed
    assert (folder / "alertmanager.yml").stat().st_mode & 0o007 == 0


TOKENS: Final = (
    WRONG,
    f"{WRONG}\nX-More: {MARK}",
    f"{WRONG}\r",
    f"{WRONG}\x01",
    f"{WRONG} {MARK}",
    f"{WRONG}é",
    f"Bearer {WRONG}",
)
COMMANDS: Final = (
    ("ping", "backup", "--patience=1ms"),
    ("exec", "backup", "--patience=1ms", "--", "env"),
    ("spool", "list"),
    ("spool", "flush", "--patience=1ms"),
    ("jobs",),
    ("runs", "backup"),
    ("alerts",),
    ("pause", "backup", "--for=1h"),
)


def broken_server() -> Iterator[str]:
    """Yield the URL of a server that speaks no HTTP."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        said = connection.recv(65536)
                        connection.sendall(b"220 mail " + said + b"\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


broken = pytest.fixture(broken_server)


def output(done: Done) -> str:
    return done.stderr + done.stdout.decode(errors="replace")


def test_no_secret_of_a_client_comes_out(alone: Cron, echo: str, broken: str) -> None:
    where = {
        "nobody listens": f"http://{HOST}:{free_port()}",
        "401": f"{echo}/401",
        "a problem": f"{echo}/401/json",
        "a redirect": f"{echo}/302",
        "400": f"{echo}/400/json",
        "500": f"{echo}/500",
        "no HTTP": broken,
        "TLS to no TLS": echo.replace("http:", "https:"),
        "a bad port": f"http://{HOST}:99999",
        "no host": "http://",
        "no URL": "afterrun",
        "no such host": "http://nothing.invalid",
    }
    said: dict[str, str] = {}
    for name, url in where.items():
        with_user = url.replace("://", f"://user:{WRONG}@")
        for how, environ in {
            "token": {"AFTERRUN_URL": url, "AFTERRUN_TOKEN": WRONG},
            "URL": {"AFTERRUN_URL": with_user},
        }.items():
            for command in COMMANDS:
                # One command speaks for those that ask in the same way.
                if command[0] in {"runs", "alerts", "pause"} and name != "401":
                    continue
                done = alone.run(*command, environ=environ)
                said[f"{name} {how} {command[0]}"] = output(done)
    said |= files_in(alone.spool)

    assert {name: found for name, text in said.items() if (found := marks(text))} == {}


def test_no_token_that_cannot_be_sent_comes_out(alone: Cron, echo: str) -> None:
    said: dict[str, str] = {}
    file = alone.folder / "token"
    for number, token in enumerate(TOKENS):
        file.write_text(token, "utf-8")
        for command in (COMMANDS[0], COMMANDS[1], COMMANDS[4]):
            environ = {"AFTERRUN_URL": echo, "AFTERRUN_TOKEN": token}
            done = alone.run(*command, environ=environ)
            said[f"{number} {command[0]}"] = output(done)
        flag = f"--token-file={file}"
        done = alone.run("ping", "backup", flag, environ={"AFTERRUN_URL": echo})
        said[f"{number} file"] = output(done)
    wrong = alone.run(
        "ping", "backup", "--token", WRONG, environ={"AFTERRUN_URL": echo}
    )
    said["no such flag"] = output(wrong)
    said["too many"] = output(
        alone.run("ping", "backup", f"--token-file={WRONG}", "--x")
    )
    said |= files_in(alone.spool)

    assert {name: found for name, text in said.items() if (found := marks(text))} == {}


def test_no_process_shows_a_token(alone: Cron, echo: str) -> None:
    """What runs beside a job has it in no argument, and not in its title."""
    alone.environ |= {"AFTERRUN_URL": echo, "AFTERRUN_TOKEN": WRONG}
    process = alone.start("exec", "backup", "--", "sleep", "60")
    shown: dict[str, str] = {}

    def children() -> bool:
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                if os.getpgid(int(folder.name)) == process.pid or status[3] == str(
                    process.pid
                ):
                    shown[folder.name] = (folder / "cmdline").read_text()
        return any(one.startswith("sleep") for one in shown.values())

    wait_until(children, "the command runs")
    environ = {
        name: Path(f"/proc/{name}/environ").read_text()
        for name, line in shown.items()
        if line.startswith("sleep")
    }
    assert not any(marks(line) for line in shown.values())
    assert environ
    assert not any(marks(text) for text in environ.values())
