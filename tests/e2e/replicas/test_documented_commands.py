"""The commands of docs/postgres.md, run in their order with a PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import trustme

from afterrun_exporter.storage.location import parse_url
from afterrun_exporter.storage.postgres.address import address_of
from tests.e2e.daemon.daemon import Daemon
from tests.e2e.network import LOOPBACK
from tests.e2e.pasted.snippets import ROOT, Snippet, blocks
from tests.e2e.replicas.asking import accepted
from tests.e2e.replicas.replica import Replica, about_jobs
from tests.patience import PATIENCE
from tests.postgres import Server, program, running_server

DOCUMENT: Final = ROOT / "docs/postgres.md"
#: The password that the document shows.
SHOWN: Final = "change-me"
FILE: Final = "/etc/afterrun/postgres-password"
CERTIFICATE: Final = "/etc/afterrun/ca.crt"


def snippets(*languages: str) -> list[Snippet]:
    """Return the blocks of the document that name the database."""
    some = [one for one in blocks(*languages) if one.path == DOCUMENT]
    return [one for one in some if "db.example" in one.text]


def with_word(word: str) -> str:
    """Return the only command block that has *word*."""
    (one,) = (one.text for one in snippets("sh") if word in one.text)
    return one


@pytest.fixture
def server() -> Iterator[Server]:
    """A server without the user that the document creates."""
    with running_server() as server:
        server.psql("DROP ROLE afterrun")
        yield server


class Shell:
    """Runs the commands in a folder, with the server in place of the one they name."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self._server = server
        programs = Path(program("psql")).parent
        self._environ = {
            "PATH": f"{Path(sys.executable).parent}:{programs}:/usr/bin:/bin",
            "HOME": str(folder),
            "PGPASSWORD": SHOWN,
        }

    def here(self, text: str) -> str:
        """Return *text* with the addresses and paths of this test."""
        text = text.replace(FILE, str(self.folder / "postgres-password"))
        superuser = f"-h {self._server.folder} -p {self._server.port} -U postgres"
        text = text.replace("-h db.example -U postgres", superuser)
        address = f"-h {LOOPBACK} -p {self._server.port} -U afterrun"
        text = text.replace("-h db.example -U afterrun", address)
        return text.replace("@db.example/", f"@{LOOPBACK}:{self._server.port}/")

    def run(self, text: str) -> str:
        """Run *text*; return its output."""
        done = self._run(text)
        # Of our own command, which gives up a connection after seconds.
        while "no answer within" in done.stderr:
            done = self._run(text)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        assert "error" not in done.stderr, done.stderr
        return done.stdout

    def _run(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", self.here(text)],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )


def test_the_documented_way_to_postgresql_works(tmp_path: Path, server: Server) -> None:
    """Create a database, move to it, serve it, back it up, and restore that."""
    shell = Shell(tmp_path, server)
    old = Daemon(tmp_path)
    old.start()
    assert old.post("/ping/nightly", {"status": "fail"}).status == 200
    before = about_jobs(old.get("/metrics").text)
    old.stop()

    shell.run(with_word("CREATE ROLE"))
    password, _, serve = with_word("afterrun serve").partition("\n")
    shell.run(password)
    assert "all rows are equal" in shell.run(with_word("migrate-storage"))

    (url,) = re.findall(r"--storage.path=(\S+)", serve)
    (file,) = re.findall(r"--storage.password-file=(\S+)", serve)
    with ExitStack() as stack:

        def started(name: str, address: str) -> Replica:
            replica = Replica(tmp_path, name, shell.here(address))
            stack.callback(replica.kill)
            replica.start(f"--storage.password-file={shell.here(file)}")
            return replica

        replicas = [started("one", url), started("two", url)]
        assert [replica.about_jobs() for replica in replicas] == [before, before]
        shell.run(with_word("pg_dump"))
        for replica in replicas:
            replica.stop()
        shell.run(with_word("pg_restore"))
        restored = started("three", f"{url}_restored")
        assert restored.about_jobs() == before
        answer = accepted(restored.post, "/ping/nightly", {"status": "ok"})
        assert answer.status == 200, answer.text


def test_the_documented_standbys_are_set(tmp_path: Path, server: Server) -> None:
    Shell(tmp_path, server).run(with_word("synchronous_standby_names"))

    shown = server.psql("SHOW synchronous_standby_names")
    assert shown == "ANY 1 (standby_a, standby_b)"


def test_every_command_with_the_database_is_run_here() -> None:
    texts = "\n".join(one.text for one in snippets("sh"))
    commands = set(
        re.findall(r"^(\w[\w-]*(?: migrate-storage| serve)?)", texts, re.MULTILINE)
    )

    assert commands <= {
        *("psql", "createdb", "printf", "afterrun serve", "afterrun migrate-storage"),
        *("pg_dump", "pg_restore", "export"),
    }


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file in the place of `CERTIFICATE`."""
    file = tmp_path / "ca.crt"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


@pytest.mark.parametrize(
    "url",
    sorted(
        set(re.findall(r"postgresql://[^\s`'\"]+/[^\s`'\"]*", DOCUMENT.read_text()))
    ),
)
def test_every_documented_url_is_valid(url: str, certificate: Path) -> None:
    """As far as that shows without a server."""
    parsed = parse_url(url.replace(CERTIFICATE, str(certificate)))

    assert address_of(parsed.url, parsed.password).hosts


@pytest.mark.parametrize(
    "parameters",
    re.findall(r"^\| `\?(\S+)` \|", DOCUMENT.read_text("utf-8"), re.MULTILINE),
)
def test_every_documented_parameter_is_known(
    parameters: str, certificate: Path
) -> None:
    parameters = parameters.replace(CERTIFICATE, str(certificate))

    assert address_of(f"postgresql://a@h/d?{parameters}", lambda: None).hosts
