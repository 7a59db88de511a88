"""A PostgreSQL server for tests: it starts, stops, dies, freezes and has standbys.

Servers run without root's rights, in a folder of their own that disappears together
with them, also if the tests are killed.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from afterrun_exporter.storage.postgres import commits, connection, connections
from tests.e2e.network import LOOPBACK, free_port, listens, wait_for
from tests.e2e.processes import LAST_LINES, installed
from tests.patience import PATIENCE

#: An environment variable: a folder with programs of another version.
PROGRAMS: Final = "AFTERRUN_TEST_POSTGRES"

#: Where Debian puts the programs, which are not on PATH; one folder for each version.
DEBIAN: Final = Path("/usr/lib/postgresql")

#: The owner of the databases of tests, who has no special rights, and his password: one
#: that is not the same in a URL.
USER: Final = "afterrun"
PASSWORD: Final = "p/@:50%"  # noqa: S105
SUPERUSER: Final = "postgres"

#: Whom root runs the servers as: they refuse to run as root.
UNPRIVILEGED: Final = "nobody"

_ACCESS: Final = """
local all,replication all trust
host all all 127.0.0.1/32 scram-sha-256
"""

# Waits until the tests end, however they do; kills what then still runs in the folder.
_CLEANER: Final = """
cat >/dev/null
for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd") in
        "$1"|"$1"/*) kill -KILL "${process#/proc/}" ;;
    esac
done
rm -rf "$1" || rm -rf "$1"
"""


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL.

    From the folder in the variable `PROGRAMS`, or else the newest of Debian.
    """
    if folder := os.environ.get(PROGRAMS):
        return str(Path(folder) / name)
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(versions[-1]) if versions else installed(name)


def _unprivileged() -> dict[str, Any]:
    """Return the arguments of Popen for a program that refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(name: str, *arguments: str | Path) -> str:
    """Run a program of PostgreSQL to its end; return what it wrote."""
    command = [program(name), *map(str, arguments)]
    ended: subprocess.CompletedProcess[str] = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **_unprivileged(),
    )
    if ended.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{ended.stderr}")
    return ended.stdout.strip()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder; it is deleted with all processes in it after the block."""
    folder = Path(tempfile.mkdtemp(prefix="afterrun-postgres-"))
    if options := _unprivileged():
        os.chown(folder, options["user"], options["group"])
    with subprocess.Popen(
        ["sh", "-c", _CLEANER, "sh", folder],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as cleaner:
        # The pipe closes if we are killed, too.
        assert cleaner.stdin is not None
        with cleaner.stdin:
            yield folder


class _Program:
    """A program that runs in a folder, with its log."""

    def __init__(self, name: str, folder: Path, log: Path) -> None:
        self.name = name
        self._folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, command: Sequence[str | Path], ready: Callable[[], bool]) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
                **_unprivileged(),
            )
        wait_for(lambda: not self.is_running or ready())
        if not self.is_running:
            pytest.fail(f"{self.name} did not start:\n{self.log_tail()}")

    @property
    def is_running(self) -> bool:
        """True from the start to the end of the program."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    def stop(self) -> None:
        """End the program: what it is doing for clients is broken off in order."""
        self.thaw()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        # A frozen program starts no other process meanwhile.
        self.freeze()
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        wait_for(lambda: not self._processes())

    def freeze(self) -> None:
        """Suspend all of its processes; their connections stay open."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGSTOP)
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue

    def _processes(self) -> list[int]:
        """Return the numbers of the processes whose working directory is the folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = (process / "cwd").readlink() == self._folder
            except OSError:
                continue
            if is_ours:
                found.append(int(process.name))
        return found


class Server(_Program):
    """A PostgreSQL server: `folder`/`name` has its data, `folder` its socket."""

    def __init__(self, folder: Path, name: str = "primary") -> None:
        self.folder = folder
        self.data = folder / name
        self.port = free_port()
        self.standbys: list[Server] = []
        self._databases = count(1)
        super().__init__(name, self.data, folder / f"{name}.log")

    def create(self) -> None:
        """Create its data, start it, and create the owner of the databases of tests."""
        _run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            # Of the files that it creates, not of the server.
            "--no-sync",
        )
        (self.data / "pg_hba.conf").write_text(_ACCESS)
        self.start()
        self.psql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    def start(self) -> None:
        """Start it on its port; return when it accepts connections."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            # The default since PostgreSQL 14.
            "password_encryption": "scram-sha-256",
            # What a synchronous primary knows a standby by.
            "cluster_name": self.name,
        }
        if int((self.data / "PG_VERSION").read_text()) >= 14:
            # A server with many databases that was killed is ready sooner.
            settings["recovery_init_sync_method"] = "syncfs"
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._start([program("postgres"), "-D", self.data, *options], self._is_ready)

    def psql(self, sql: str, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Execute *sql*; return the rows as lines, with ``|`` between values."""
        address = ["-h", str(self.folder), "-p", str(self.port), "-U", user]
        options = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
        return _run("psql", *address, *options, "-c", sql)

    def new_database(self, template: str = "template1") -> Database:
        """Create a database as a copy of *template*."""
        name = f"test_{os.getpid()}_{next(self._databases)}"
        self.psql(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}")
        return Database(self, name)

    def url(self, database: str) -> str:
        """Return the address of *database* over TCP, with the password."""
        return f"postgresql://{_LOGIN}@{LOOPBACK}:{self.port}/{database}"

    def standby(self, name: str = "standby", *, is_synchronous: bool) -> Server:
        """Start a copy that follows this server; return when it has caught up.

        From then on, if it is synchronous, no commit here ends before it has it.
        """
        standby = Server(self.folder, name)
        address = f"host={self.folder} port={self.port} user={SUPERUSER}"
        _run(
            "pg_basebackup",
            f"--pgdata={standby.data}",
            f"--dbname={address}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--create-slot",
            f"--slot={name}",
            "--write-recovery-conf",
            "--no-sync",
        )
        self.standbys.append(standby)
        standby.start()
        if is_synchronous:
            self.psql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            self.psql("SELECT pg_reload_conf()")
        expected = "sync" if is_synchronous else "async"
        follows = (
            "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' "  # noqa: S608
            f"AND application_name = '{name}' AND sync_state = '{expected}'"
        )
        wait_for(lambda: self.psql(follows) == "1")
        return standby

    def promote(self) -> None:
        """Make a standby a primary; return when it accepts writes."""
        self.psql("SELECT pg_promote()")

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # An earlier server may have left the file, and it is written in parts.
        if self._process is None or lines[:1] != [str(self._process.pid)]:
            return False
        return lines[-1].strip() in {"ready", "standby"}


_LOGIN: Final = f"{USER}:{quote(PASSWORD, safe='')}"


@dataclass(frozen=True)
class Database:
    """A database of a server."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """The address over TCP, with the password."""
        return self.server.url(self.name)

    @property
    def socket_url(self) -> str:
        """The address over the Unix socket, which asks for no password."""
        where = f"host={quote(str(self.server.folder), safe='')}"
        return f"postgresql://{USER}@/{self.name}?{where}&port={self.server.port}"

    def url_of(self, *servers: Server) -> str:
        """Return the address of the database on the one of *servers* that takes writes."""
        hosts = ",".join(f"{LOOPBACK}:{server.port}" for server in servers)
        options = "target_session_attrs=read-write"
        return f"postgresql://{_LOGIN}@{hosts}/{self.name}?{options}"

    def psql(self, sql: str) -> str:
        """Execute *sql* as owner; return the rows as lines, with ``|`` between values."""
        return self.server.psql(sql, self.name, USER)


@dataclass
class PgBouncer:
    """A pooler in front of a database, which gives each transaction any connection."""

    database: Database
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        server = self.database.server
        self.folder = server.folder / f"pgbouncer-{self.port}"
        self.folder.mkdir()
        log = self.folder / "log"
        self._program = _Program("pgbouncer", self.folder, log)

    @property
    def url(self) -> str:
        """The address of the database through the pooler."""
        return f"postgresql://{_LOGIN}@{LOOPBACK}:{self.port}/{self.database.name}"

    def start(self) -> None:
        """Start it; return when it accepts connections."""
        server = self.database.server
        users, settings = self.folder / "users.txt", self.folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        settings.write_text(
            "[databases]\n"
            f"* = host={server.folder} port={server.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = {LOOPBACK}\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "auth_type = scram-sha-256\n"
            f"auth_file = {users}\n"
            "pool_mode = transaction\n"
            "default_pool_size = 2\n"
        )
        for file in (users, settings):
            file.chmod(0o644)
        pgbouncer = Path("/usr/sbin/pgbouncer")
        command = str(pgbouncer) if pgbouncer.exists() else installed("pgbouncer")
        self._program._start([command, settings], lambda: listens(self.port))

    def stop(self) -> None:
        """Stop it in order."""
        self._program.stop()

    def kill(self) -> None:
        """End it at once."""
        self._program.kill()


@contextmanager
def running_server() -> Iterator[Server]:
    """Yield a new PostgreSQL server, which ends with the block.

    For tests that lose data or replace the server; it takes seconds.
    """
    with temporary_folder() as folder:
        server = Server(folder)
        try:
            server.create()
            yield server
        finally:
            for one in (server, *server.standbys):
                one.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server that the tests of this process share."""
    with running_server() as server:
        yield server


@pytest.fixture
def patient_limits() -> Iterator[pytest.MonkeyPatch]:
    """Let stores of this process wait for a server that is slow.

    A test that waits until a limit has passed undoes that.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, limit in (
            (connection, "CONNECT"),
            (connection, "IDLE"),
            (connection, "IDLE_POOLED"),
            (connections, "SHORT"),
            (connections, "LONG"),
            (commits, "SHORT"),
            (commits, "LONGEST"),
        ):
            before = getattr(module, limit)
            patch.setattr(module, limit, type(before)(PATIENCE))
        yield patch


@pytest.fixture
def postgres(
    postgres_server: Server,
    patient_limits: pytest.MonkeyPatch,  # noqa: ARG001
) -> Iterator[Database]:
    """A new empty database; its server may be stopped, killed and frozen."""
    yield postgres_server.new_database()
    postgres_server.thaw()
    if not postgres_server.is_running:
        postgres_server.start()


@pytest.fixture
def pgbouncer(postgres: Database) -> Iterator[PgBouncer]:
    """A pooler in front of the database of `postgres`."""
    with ExitStack() as stack:
        pooler = PgBouncer(postgres)
        pooler.start()
        stack.callback(pooler.stop)
        yield pooler
