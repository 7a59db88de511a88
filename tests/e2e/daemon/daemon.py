"""The daemon as its own process: start it, talk to it, kill it, start it again."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.network import free_port
from tests.patience import PATIENCE

#: Beside the interpreter that runs the tests.
AFTERRUN: Final = Path(sys.executable).with_name("afterrun")

HOST: Final = "127.0.0.1"
#: So long that a busy machine does not turn a clean stop into a forced one. A stop that
#: hangs fails a test after PATIENCE.
PATIENT_STOP: Final = "--web.shutdown-timeout=1h"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """Return what the body says in JSON."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command that was run to its end."""

    code: int
    stdout: str
    stderr: str


class Daemon:
    """`afterrun serve`, in a folder of its own, on a free port of the loopback."""

    def __init__(
        self, folder: Path, database: Path | None = None, logs: Path | None = None
    ) -> None:
        self.port = free_port()
        self.database = database or folder / "afterrun.db"
        #: What is given as `--storage.path`.
        self.storage = str(self.database)
        self.config = folder / "afterrun.yml"
        self._stdout = (logs or folder) / "stdout.txt"
        self._stderr = (logs or folder) / "stderr.txt"
        #: What its process has in its environment beside what the tests have.
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._running().pid

    @property
    def stdout(self) -> str:
        """All it has said so far."""
        return self._stdout.read_text("utf-8")

    @property
    def log(self) -> str:
        """All it has logged so far."""
        return self._stderr.read_text("utf-8")

    def configure(self, text: str) -> None:
        """Replace its configuration file, at once and not bit by bit."""
        new = self.config.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.replace(self.config)

    def launch(self, *flags: str, files: int | None = None) -> None:
        """Start it, with its configuration file if there is one, and do not wait.

        With *files*, it may open no more than so many.
        """
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*_limited(files), *self._command(*flags)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **self.environment},
            )

    def start(self, *flags: str, files: int | None = None) -> None:
        """Start it, as `launch` does, and return when it takes pings."""
        self.launch(*flags, files=files)
        wait_until(self._ready, "the daemon is ready")

    def ended(self, *flags: str, files: int | None = None) -> Ended:
        """Run it to its end, which is to come by itself.

        With *files*, it may open no more than so many.
        """
        done = subprocess.run(
            [*_limited(files), *self._command(*flags)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def send_signal(self, number: Signals) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def kill(self) -> None:
        """End it at once and without a chance to do anything about it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, number: Signals = SIGTERM) -> int:
        """Ask it to stop; return its exit status."""
        self.send_signal(number)
        return self.wait()

    def wait(self, patience: float = PATIENCE) -> int:
        """Return its exit status once it has stopped."""
        code = self._running().wait(patience)
        self._process = None
        return code

    def get(self, path: str) -> Answer:
        """Return the answer to a GET."""
        return self.request("GET", path)

    def post(self, path: str, body: object = None) -> Answer:
        """Return the answer to a POST of *body*, as JSON."""
        return self.request("POST", path, None if body is None else json.dumps(body))

    def request(self, method: str, path: str, body: str | None = None) -> Answer:
        """Return the answer to a request on a connection of its own."""
        return request(HOST, self.port, method, path, body)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that stays."""
        return http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)

    def series(self, path: str = "/metrics") -> dict[tuple[str, str], float]:
        """Return what is exposed: by name and `job_name`, the value.

        Of series that differ in other labels too, the last one.
        """
        return {
            (sample.name, sample.labels.get("job_name", "")): sample.value
            for family in text_string_to_metric_families(self.get(path).text)
            for sample in family.samples
        }

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return what the database says, to whoever looks into it."""
        with closing(sqlite3.connect(self.database, PATIENCE)) as connection:
            return connection.execute(sql, values).fetchall()

    def _command(self, *flags: str) -> list[str]:
        given = [PATIENT_STOP]
        if not any(flag.startswith("--web.listen-address") for flag in flags):
            given.append(f"--web.listen-address={HOST}:{self.port}")
        if self.config.exists():
            given.append(f"--config.file={self.config}")
        where = f"--storage.path={self.storage}"
        return [str(AFTERRUN), "serve", where, *given, *flags]

    def _ready(self) -> bool:
        code = self._running().poll()
        assert code is None, f"it ended with {code}: {self.log[-2000:]}"
        try:
            return self.get("/-/ready").status == 200
        except OSError:
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the daemon is not running"
        return self._process


def request(
    host: str, port: int, method: str, path: str, body: str | None = None
) -> Answer:
    """Return the answer to one request."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    with closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        return Answer(answer.status, dict(answer.headers), text)


def wait_until(
    condition: Callable[[], bool],
    what: str,
    patience: float = PATIENCE,
    every: float = 0.02,
) -> None:
    """Return once *condition* holds; fail if it does not within *patience*."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(every)


async def until(
    condition: Callable[[], bool], what: str, patience: float = PATIENCE
) -> None:
    """Do as `wait_until` does, and let others go on meanwhile."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        await asyncio.sleep(0.02)


def _limited(files: int | None) -> list[str]:
    """Return the words before a command that may open no more *files*."""
    return ["prlimit", f"--nofile={files}:{files}"] if files else []
