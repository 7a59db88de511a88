"""Several replicas behind a load balancer, in the place of one daemon."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, Final

import pytest

from tests.e2e.daemon.daemon import Answer, Daemon
from tests.e2e.replicas.http_proxy import RoundRobin
from tests.e2e.replicas.replica import Replicas
from tests.patience import PATIENCE
from tests.postgres import Database, Server

#: `make replicas` sets it, for tests that know a daemon by its requests alone.
VARIABLE: Final = "AFTERRUN_TEST_REPLICAS"


def daemon_or_replicas(folder: Path, request: pytest.FixtureRequest) -> Daemon:
    """Return a daemon that is not started; or so many replicas as are wanted instead."""
    number = int(os.environ.get(VARIABLE, "0"))
    if not number:
        return Daemon(folder)
    server: Server = request.getfixturevalue("postgres_server")
    return AsOne(folder, server.new_database(), number)


class AsOne(Daemon):
    """Sends each request to another replica.

    What a test reads, it reads when all replicas expose the same of all jobs.
    """

    def __init__(self, folder: Path, database: Database, number: int) -> None:
        super().__init__(folder)
        self._replicas = Replicas(folder, database.url, number)
        ports = [replica.port for replica in self._replicas]
        self._balancer = RoundRobin(ports, self.port)
        self._running_balancer = ExitStack()

    @property
    def stdout(self) -> str:
        return "".join(replica.stdout for replica in self._replicas)

    @property
    def log(self) -> str:
        return "".join(replica.log for replica in self._replicas)

    def launch(self, *flags: str, files: int | None = None) -> None:
        for replica in self._replicas:
            replica.environment |= self.environment
            if self.config.exists():
                replica.configure(self.config.read_text("utf-8"))
            replica.launch(*flags, files=files)

    def start(self, *flags: str, files: int | None = None) -> None:
        self.launch(*flags, files=files)
        self._replicas.wait_until_ready()
        self._running_balancer.enter_context(self._balancer)

    def kill(self) -> None:
        self._running_balancer.close()
        self._replicas.kill()

    def stop(self, number: Signals = SIGTERM) -> int:
        self._running_balancer.close()
        return max(replica.stop(number) for replica in self._replicas)

    def wait(self, patience: float = PATIENCE) -> int:
        return max(replica.wait(patience) for replica in self._replicas)

    def get(self, path: str) -> Answer:
        self._replicas.wait_until_agree()
        return super().get(path)

    def rows(self, sql: str, *values: object) -> list[Any]:  # noqa: ARG002
        pytest.skip("it looks into the file of a database")
