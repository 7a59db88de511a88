"""A daemon, and jobs that report to it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.daemon.conftest import make_daemon
from tests.e2e.daemon.daemon import AFTERRUN, Daemon
from tests.e2e.replicas.as_one import daemon_or_replicas
from tests.patience import PATIENCE, PATIENT

__all__ = ["alone", "cron", "make_daemon"]

#: A command that runs until `Cron.finish_command` is called, however long that takes.
UNTIL_FINISHED = ("sh", "-c", "until [ -e end ]; do sleep 0.1; done")


@dataclass
class Done:
    """What became of a command."""

    code: int
    stdout: bytes
    stderr: str


@dataclass
class Cron:
    """Starts commands as cron does: without a terminal, with little around them."""

    folder: Path
    spool: Path
    environ: dict[str, str] = field(default_factory=dict)
    #: Options of all that report; their own options come later and count more.
    options: Sequence[str] = ()
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(
        self,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Done:
        """Run ``afterrun`` with *arguments* to its end."""
        done = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
            start_new_session=True,
        )
        return Done(
            done.returncode, done.stdout, done.stderr.decode(errors="surrogateescape")
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``afterrun`` with *arguments*, and do not wait."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environ,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what was started and still runs."""
        self.finish_command()
        for process in self.started:
            process.kill()
            process.communicate()

    def exec(self, job: str, options: Sequence[str], *command: str) -> Done:
        """Run *command* with ``afterrun exec``."""
        return self.run("exec", job, *options, "--", *command)

    def finish_command(self) -> None:
        """Make a command that waits for a file ``end`` go on."""
        (self.folder / "end").touch()

    def waiting(self) -> list[Path]:
        """Return the reports in the spool, the oldest first."""
        return sorted(self.spool.glob("*.json"))

    def kept(self) -> list[dict[str, Any]]:
        """Return the ends of runs that are in the spool, the oldest first."""
        ends = sorted(self.spool.glob("*-finish.json"))
        return [json.loads(file.read_bytes().split(b"\n")[1]) for file in ends]

    def keeps_the_start(self) -> bool:
        """Return whether the start of a run is in the spool."""
        return any(self.spool.glob("*-start.json"))

    def keeps_the_end(self) -> bool:
        """Return whether the end of a run is in the spool; its start may be, too."""
        return any(self.spool.glob("*-finish.json"))

    def line(self, *arguments: str) -> str:
        """Return the line of a shell that runs ``afterrun`` with *arguments*."""
        return shlex.join(map(str, self.command(*arguments)))

    def command(self, *arguments: str) -> list[str | Path]:
        """Return the words that run ``afterrun`` with *arguments*."""
        for words in (("exec",), ("ping",), ("spool", "flush")):
            if arguments[: len(words)] == words:
                rest = arguments[len(words) :]
                return [AFTERRUN, *words, *self.options, *rest]
        return [AFTERRUN, *arguments]


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon that has not been started yet."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    daemon = daemon_or_replicas(folder, request)
    yield daemon
    daemon.kill()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Cron]:
    """Jobs without a daemon: what they report is in the spool at once."""
    yield from _cron(tmp_path, "http://127.0.0.1:9")


@pytest.fixture
def cron(tmp_path: Path, daemon: Daemon) -> Iterator[Cron]:
    """Jobs that report to the daemon, with the patience of tests."""
    yield from _cron(tmp_path, daemon.url, PATIENT)


def _cron(tmp_path: Path, url: str, options: Sequence[str] = ()) -> Iterator[Cron]:
    folder, spool = tmp_path / "home", tmp_path / "spool"
    folder.mkdir()
    made = Cron(folder, spool, options=options)
    made.environ = {
        "PATH": f"{AFTERRUN.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "AFTERRUN_URL": url,
        "AFTERRUN_SPOOL": str(spool),
    }
    yield made
    made.end()
