"""A real Prometheus scrapes a daemon with locks, and jobs report to it, over TLS."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import bcrypt
import pytest
import trustme
import yaml

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.core.secrets import digest
from tests.patience import PATIENCE, PATIENT
from tests.server.tls import EC, Papers

from . import network
from .chain import prometheus, url
from .conftest import Launch
from .processes import Process

ADMIN_SAYS: Final = "correct horse battery staple"
SCRAPER_SAYS: Final = "another long one"
SCRAPER: Final = "token-of-the-scraper"
PINGER: Final = "token-of-the-pinger"
READER: Final = "token-of-the-reader"
SECRETS: Final = (ADMIN_SAYS, SCRAPER_SAYS, SCRAPER, PINGER, READER)

CONFIG: Final[dict[str, Any]] = {
    "auth": {
        "tokens": [
            {"name": "scraper", "hash": digest(SCRAPER), "scopes": ["scrape"]},
            {"name": "reader", "hash": digest(READER), "scopes": ["read"]},
            {
                "name": "pinger",
                "hash": digest(PINGER),
                "scopes": [Scope.PING.value],
                "jobs": "backup",
            },
        ]
    },
    "jobs": {"backup": {}, "other": {}},
}


class Locked:
    """A daemon with TLS, users and tokens."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.folder = folder
        self.papers = Papers(folder)
        self.papers.issue("localhost")
        self.port = network.free_port()
        self.url = f"https://localhost:{self.port}"
        users = {
            name: bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()
            for name, password in (
                ("admin", ADMIN_SAYS),
                ("prometheus", SCRAPER_SAYS),
            )
        }
        more = yaml.safe_dump({"basic_auth_users": users})
        self.web = self.papers.write(*lines, more=more)
        self.config = folder / "afterrun.yml"
        self.config.write_text(json.dumps(CONFIG))
        self.process = Process(
            "afterrun",
            [
                Path(sys.executable).with_name("afterrun"),
                "serve",
                f"--config.file={self.config}",
                f"--web.config.file={self.web}",
                f"--storage.path={folder / 'afterrun.db'}",
                f"--web.listen-address={network.LOOPBACK}:{self.port}",
                "--log.level=debug",
            ],
            folder / "afterrun.log",
            lambda: network.listens(self.port),
        )

    def curl(self, path: str, *options: str) -> tuple[int, str]:
        """Return status and body of what curl gets."""
        command: list[str | Path] = [
            *("curl", "-sS", "-m", f"{PATIENCE:g}"),
            *("--cacert", self.folder / "ca.crt"),
            *("-w", "\n%{http_code}", *options, f"{self.url}{path}"),
        ]

        def answer() -> str:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done.stdout if done.returncode == 0 else ""

        # The daemon ends a handshake that takes ten seconds.
        body, _, status = network.wait_for(answer).rpartition("\n")
        return int(status or 0), body

    def run(
        self, token: str, *command: str, ca: str = "ca.crt"
    ) -> subprocess.CompletedProcess[str]:
        """Run ``afterrun`` as a job does that has *token*, and trusts *ca*.

        It has the patience of tests, unless *command* has options of its own.
        """
        for words in (["exec"], ["ping"], ["spool", "flush"]):
            if [*command[: len(words)]] == words:
                command = (*words, *PATIENT, *command[len(words) :])
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AFTERRUN_URL": self.url,
            "AFTERRUN_TOKEN": token,
            "AFTERRUN_SPOOL": str(self.folder / "spool"),
            "SSL_CERT_FILE": str(self.folder / ca),
        }
        return subprocess.run(
            [Path(sys.executable).with_name("afterrun"), *command],
            capture_output=True,
            text=True,
            check=False,
            env=environ,
            timeout=PATIENCE,
        )


@pytest.fixture(scope="module")
def locked(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Locked:
    """A daemon that asks for a password or a token."""
    made = Locked(tmp_path_factory.mktemp("locked"))
    launch(made.process)
    return made


@pytest.fixture(scope="module")
def mutual(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Locked:
    """A daemon that asks for a certificate too."""
    made = Locked(
        tmp_path_factory.mktemp("mutual"),
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: ca.crt",
        "client_allowed_sans: [prometheus.example]",
    )
    for name, issuer in (
        ("prometheus", made.papers.ca),
        ("stranger", trustme.CA(key_type=EC)),
    ):
        issued = issuer.issue_cert("prometheus.example", key_type=EC)
        (made.folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
        (made.folder / f"{name}.crt").write_bytes(issued.cert_chain_pems[0].bytes())
    launch(made.process)
    return made


def scraping(
    launch: Launch, folder: Path, daemons: Mapping[str, tuple[Locked, dict[str, Any]]]
) -> str:
    """Start a Prometheus that scrapes *daemons*, each under a name; return its URL."""
    folder.mkdir()
    config = folder / "prometheus.yml"
    port = network.free_port()
    scrapes = [
        {
            "job_name": name,
            "scheme": "https",
            "static_configs": [{"targets": [f"localhost:{daemon.port}"]}],
            **how,
        }
        for name, (daemon, how) in daemons.items()
    ]
    # A busy machine needs more than a second for a handshake and a password.
    scraped = {"scrape_interval": "5s", "scrape_timeout": "5s"}
    config.write_text(yaml.safe_dump({"global": scraped, "scrape_configs": scrapes}))
    launch(prometheus(folder, config, port))
    return url(port)


def test_prometheus_scrapes_whom_it_may(
    launch: Launch, tmp_path: Path, locked: Locked, mutual: Locked
) -> None:
    """With a password, with a token, with a certificate; and else it does not."""
    trusting = {"ca_file": str(locked.folder / "ca.crt")}
    trusting_too = {"ca_file": str(mutual.folder / "ca.crt")}
    password = {"basic_auth": {"username": "prometheus", "password": SCRAPER_SAYS}}
    token = {"authorization": {"credentials": SCRAPER}}
    named, strange = (
        {
            **trusting_too,
            "cert_file": str(mutual.folder / f"{who}.crt"),
            "key_file": str(mutual.folder / f"{who}.key"),
        }
        for who in ("prometheus", "stranger")
    )
    good = {
        "password": (locked, {"tls_config": trusting, **password}),
        "token": (locked, {"tls_config": trusting, **token}),
        "certificate": (mutual, {"tls_config": named, **token}),
    }
    wrong = {"authorization": {"credentials": READER}}
    bad = {
        "nothing": (locked, {"tls_config": trusting}),
        "other scope": (locked, {"tls_config": trusting, **wrong}),
        "unknown ca": (locked, {**token}),
        "no certificate": (mutual, {"tls_config": trusting_too, **token}),
        "strange certificate": (mutual, {"tls_config": strange, **token}),
        "certificate alone": (mutual, {"tls_config": named}),
    }

    there = scraping(launch, tmp_path / "prometheus", {**good, **bad})

    # A later scrape may time out, and what is scraped once is proof enough.
    def up() -> dict[str, str]:
        found = network.query(there, "max_over_time(up[1h])")
        return {one["metric"]["job"]: one["value"][1] for one in found}

    expected = {**dict.fromkeys(good, "1"), **dict.fromkeys(bad, "0")}
    assert network.wait_for(lambda: up() == expected), up()
    info = 'last_over_time(afterrun_job_info{job_name="backup"}[1h])'
    scraped = network.query(there, info)
    assert {one["metric"]["job"] for one in scraped} == set(good)
    assert network.query(there, "max(scrape_duration_seconds)")


@pytest.mark.parametrize("which", ["locked", "mutual"])
def test_promtool_finds_nothing_wrong_with_the_same_file(
    which: str, request: pytest.FixtureRequest
) -> None:
    daemon: Locked = request.getfixturevalue(which)

    text = daemon.web.read_text()
    # Debian's is of before these.
    older = "".join(
        f"{line}\n" for line in text.splitlines() if "client_allowed_sans" not in line
    )
    file = daemon.web.with_name("older.yml")
    file.write_text(older)
    done = subprocess.run(
        ["promtool", "check", "web-config", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_browser_is_asked_for_a_password(locked: Locked) -> None:
    status, body = locked.curl("/", "-i")
    assert status == 401
    assert 'www-authenticate: basic realm="afterrun"' in body.lower()

    assert locked.curl("/", "-u", f"admin:{ADMIN_SAYS}")[0] == 200
    assert locked.curl("/", "-u", f"anybody:{READER}")[0] == 200
    assert locked.curl("/", "-u", "admin:wrong")[0] == 401
    assert locked.curl("/-/ready")[0] == 200


def test_jobs_report_and_people_ask_with_a_token(locked: Locked) -> None:
    """Over TLS, with a CA that only they know."""
    done = locked.run(PINGER, "exec", "backup", "--", "echo", "afterrun: rows=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert locked.run(PINGER, "ping", "backup").returncode == 0

    asked = locked.run(READER, "runs", "backup", "--json")
    assert [run["outcome"] for run in json.loads(asked.stdout)["runs"]] == ["ok", "ok"]
    assert "backup" in locked.run(READER, "jobs").stdout

    for command in (["jobs"], ["alerts", "list"], ["runs", "backup"]):
        refused = locked.run(PINGER, *command)
        assert refused.returncode == 1
        assert refused.stderr == ('Error: token "pinger" lacks scope "read"\n')
        unknown = locked.run("", *command)
        assert unknown.stderr.startswith(
            "Error: authentication required: send Authorization"
        )
        assert "AFTERRUN_TOKEN" in unknown.stderr


def test_a_certificate_that_is_not_trusted_is_told(locked: Locked) -> None:
    """With the way out; and a job runs all the same."""
    problem = (
        f"the certificate of {locked.url} is not trusted: unable to get local issuer "
        "certificate; set SSL_CERT_FILE to its CA"
    )

    def is_told() -> bool:
        # It tries again until this has passed, and tells of the last problem.
        soon = ("--patience", "1s")
        done = locked.run(PINGER, "exec", "backup", *soon, "--", "true", ca="none.crt")
        assert done.returncode == 0
        return problem in done.stderr

    asked = locked.run(READER, "jobs", ca="none.crt")
    # On a busy machine a second may pass before the handshake.
    is_told_at_last = network.wait_for(is_told)
    (locked.folder / "spool").mkdir(exist_ok=True)
    for waiting in (locked.folder / "spool").glob("*.json"):
        waiting.unlink()

    assert asked.stderr == f"Error: {problem}\n"
    assert is_told_at_last


def test_a_report_of_a_job_that_the_token_is_not_for_waits(locked: Locked) -> None:
    """For the token can be changed; and it keeps no other from being delivered."""
    done = locked.run(PINGER, "exec", "other", "--", "true")
    assert done.returncode == 0
    assert 'token "pinger" cannot report runs of job "other"' in done.stderr
    assert len([*(locked.folder / "spool").glob("*.json")]) == 1

    flushed = locked.run(PINGER, "spool", "flush")
    assert flushed.returncode == 1
    assert (
        "a report of 'other' waits: token \"pinger\" cannot report runs"
        in flushed.stderr
    )
    assert len([*(locked.folder / "spool").glob("*.json")]) == 1

    both = locked.run(ADMIN_SAYS, "spool", "flush")
    assert "invalid token" in both.stderr
    assert not [*(locked.folder / "spool").glob("rejected/*")]


def test_a_certificate_that_is_replaced_is_shown(locked: Locked) -> None:
    """Within a second or so, and without a word from anybody."""
    locked.papers.issue("localhost", "renewed.example")

    def names() -> set[str]:
        with (
            # The daemon ends handshakes that take long, and we ask again.
            suppress(ConnectionError, ssl.SSLEOFError),
            socket.create_connection((network.LOOPBACK, locked.port)) as plain,
            locked.papers.client().wrap_socket(
                plain, server_hostname="localhost"
            ) as encrypted,
        ):
            certificate: Any = encrypted.getpeercert()
            return {name for _, name in certificate["subjectAltName"]}
        return set()

    assert network.wait_for(lambda: "renewed.example" in names())
    assert locked.curl("/-/ready")[0] == 200


def test_a_reload_goes_by_all_files_or_by_none(locked: Locked) -> None:
    """A bad web configuration is refused with its line, and so is everything else."""
    as_admin = ("-X", "POST", "-u", f"admin:{ADMIN_SAYS}")
    good = locked.web.read_text()
    config = locked.config.read_text()
    locked.config.write_text(json.dumps({**CONFIG, "auth": NEW_AUTH}))
    locked.web.write_text(f"{good}\nbasic_auth_user: {{}}\n")

    status, body = locked.curl("/-/reload", *as_admin)
    assert status == 500
    assert "web.yml:" in json.loads(body)["detail"]
    assert "did you mean 'basic_auth_users'?" in json.loads(body)["detail"]
    assert locked.curl("/metrics", "-H", f"Authorization: Bearer {SCRAPER}")[0] == 200

    locked.web.write_text(good)
    assert locked.curl("/-/reload", *as_admin)[0] == 200
    assert locked.curl("/metrics", "-H", f"Authorization: Bearer {SCRAPER}")[0] == 401
    assert locked.curl("/metrics", "-H", "Authorization: Bearer new")[0] == 200

    locked.config.write_text(config)
    assert locked.curl("/-/reload", *as_admin)[0] == 200
    assert locked.curl("/metrics", "-H", "Authorization: Bearer new")[0] == 401


NEW_AUTH: Final = {
    "tokens": [{"name": "new", "hash": digest("new"), "scopes": ["scrape"]}]
}


def test_no_secret_is_in_a_log(locked: Locked, mutual: Locked) -> None:
    """Whatever has been asked above, and on any level."""
    locked.curl(f"/ping/{PINGER}/backup/not-a-signal")
    locked.curl(f"/p/{READER}/backup")
    locked.curl(f"/api/1/cron/backup/{SCRAPER}/")
    for daemon in (locked, mutual):
        log = (daemon.folder / "afterrun.log").read_text()
        assert "request_refused" in log
        assert not [secret for secret in SECRETS if secret in log]


def healthcheck(process: Process) -> int:
    """Return the exit status of the health check of the image."""
    module = "afterrun_exporter.client.healthcheck"
    command = [sys.executable, "-m", module, str(process.pid)]
    return subprocess.run(command, check=False, timeout=PATIENCE).returncode


def is_healthy(daemon: Locked) -> bool:
    return healthcheck(daemon.process) == 0


def test_the_health_check_of_the_image_follows_the_port_and_tls(
    locked: Locked, mutual: Locked
) -> None:
    # It waits two seconds for an answer, and Docker repeats it, too.
    for one in (locked, mutual):
        assert network.wait_for(partial(is_healthy, one))


def test_the_health_check_of_the_image_finds_a_daemon_that_hangs(
    locked: Locked,
) -> None:
    os.kill(locked.process.pid, signal.SIGSTOP)
    try:
        assert healthcheck(locked.process) == 1
    finally:
        os.kill(locked.process.pid, signal.SIGCONT)
