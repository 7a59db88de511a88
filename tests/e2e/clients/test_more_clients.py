"""Other systems' clients: a job that fails, answers that are lost, no daemon at all.

Each program under programs/ and node/programs/ runs one job with a client of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests import npm
from tests.e2e.clients.clients import (
    CLIENTS,
    LATE_REPEATS,
    environment,
    jobs,
    runs,
)
from tests.e2e.clients.dropping import BAD_GATEWAY, DroppingProxy
from tests.e2e.daemon.daemon import HOST, Daemon
from tests.e2e.network import free_port
from tests.patience import PATIENCE

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE / "programs"
NODE: Final = HERE / "node"

#: Debian's golang-github-prometheus-client-golang-dev.
GO_PATH: Final = Path("/usr/share/gocode")
HAS_GO: Final = (
    shutil.which("go") is not None
    and (GO_PATH / "src/github.com/prometheus/client_golang/prometheus/push").is_dir()
)


@dataclass(frozen=True, slots=True)
class Client:
    """A program that runs one job and reports it."""

    program: str
    job: str
    #: Whether its own exit status tells that the job failed.
    exits_with_the_job: bool = False
    #: Whether its own exit status tells that the report was not delivered.
    exits_with_the_report: bool = False

    def __str__(self) -> str:
        return self.program

    @property
    def command(self) -> list[str]:
        """The command line that runs it."""
        name, _, ending = self.program.rpartition(".")
        path = str(PROGRAMS / self.program)
        match ending:
            case "sh":
                script = f". {PROGRAMS}/job.sh; . {path}"
                return ["sh", "-c", script, name]
            case "js":
                return ["node", str(NODE / "programs" / self.program)]
            case "go":
                return ["go", "run", path]
            case "py":
                return [str(CLIENTS / "python"), path]
            case _:
                return ["perl", path]


CLIENT_PROGRAMS: Final = [
    Client("with_aioprometheus.py", "aioprometheus", True, True),
    Client("ansible.sh", "ansible", exits_with_the_report=True),
    Client("axios.js", "axios", exits_with_the_report=True),
    Client("with_celery_beat.py", "celery-beat"),
    *([Client("client_golang.go", "client-golang", True, True)] if HAS_GO else []),
    Client("got.js", "got", exits_with_the_report=True),
    Client("with_healthchecks_wrapper.py", "healthchecks-wrapper", True),
    Client("httpie.sh", "httpie", exits_with_the_report=True),
    Client("kuma_scout.sh", "kuma-scout"),
    Client("ncat.sh", "ncat", exits_with_the_report=True),
    Client("perl.pl", "perl", exits_with_the_report=True),
    Client("prom-client.js", "prom-client", True, True),
    Client("sentry-cron.js", "sentry-cron"),
    Client("sentry-node-cron.js", "sentry-node-cron"),
    Client("sentry-node-schedule.js", "sentry-node-schedule", True),
    Client("wget.sh", "wget", exits_with_the_report=True),
]
every_client = pytest.mark.parametrize("client", CLIENT_PROGRAMS, ids=str)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for all clients: each has a job of its own."""
    npm.install(NODE)
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    daemon.configure(LATE_REPEATS)
    daemon.start()
    yield daemon
    daemon.kill()


@dataclass(frozen=True, slots=True)
class Reporter:
    """Runs clients in a folder of their own."""

    folder: Path

    def run(self, client: Client, url: str, *, fails: bool) -> int:
        """Run the job once; return the exit status, once the job is seen to have run."""
        mark = self.folder / uuid4().hex
        variables = environment(
            PATH=f"{CLIENTS}:{os.environ['PATH']}",
            GO111MODULE="off",
            GOPATH=str(GO_PATH),
            URL=url,
            MARK=str(mark),
            FOLDER=str(self.folder),
            FAILS="yes" if fails else "",
            RID=str(uuid4()),
        )
        done = subprocess.run(
            client.command,
            env=variables,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert mark.exists(), done.stdout + done.stderr
        return done.returncode


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    return Reporter(tmp_path)


def new_runs(daemon: Daemon, job: str, before: int) -> list[dict[str, Any]]:
    return runs(daemon, job)[before:]


@every_client
def test_a_job_that_does_well_is_ok_and_one_that_fails_has_failed(
    shared: Daemon, reporter: Reporter, client: Client
) -> None:
    before = len(runs(shared, client.job))
    assert reporter.run(client, shared.url, fails=False) == 0

    status = reporter.run(client, shared.url, fails=True)

    outcomes = [run["outcome"] for run in new_runs(shared, client.job, before)]
    assert outcomes == ["ok", "fail"]
    assert (status != 0) is client.exits_with_the_job
    assert jobs(shared)[client.job] == 0


@every_client
def test_a_failure_whose_answer_is_lost_is_one_failed_run(
    shared: Daemon, reporter: Reporter, client: Client
) -> None:
    """The first two answers: of some clients they are those to a start and an end."""
    reporter.run(client, shared.url, fails=False)
    before = len(runs(shared, client.job))
    with DroppingProxy(shared, 2, BAD_GATEWAY) as proxy:
        reporter.run(client, proxy.url, fails=True)

    outcomes = [run["outcome"] for run in new_runs(shared, client.job, before)]
    assert outcomes == ["fail"]
    assert jobs(shared)[client.job] == 0


@every_client
def test_a_job_runs_without_a_daemon_and_is_heard_again_afterwards(
    shared: Daemon, reporter: Reporter, client: Client
) -> None:
    status = reporter.run(client, f"http://{HOST}:{free_port()}", fails=False)
    before = len(runs(shared, client.job))
    reporter.run(client, shared.url, fails=False)

    assert (status != 0) is client.exits_with_the_report
    outcomes = [run["outcome"] for run in new_runs(shared, client.job, before)]
    assert outcomes == ["ok"]
