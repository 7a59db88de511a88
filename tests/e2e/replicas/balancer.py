"""HAProxy in front of replicas, as the documents recommend it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Final, Protocol

from tests.e2e.daemon.daemon import HOST
from tests.e2e.network import free_port, listens
from tests.e2e.processes import Process, installed

CONFIG: Final = Path(__file__).parents[3] / "deploy/haproxy.cfg"


class Server(Protocol):
    """A replica, as the configuration names it."""

    name: str
    port: int


def config_for(port: int, servers: Iterable[Server]) -> str:
    """Return the configuration that is shipped, with the addresses of a test."""
    text, replaced = re.subn(
        r"bind :10707$",
        f"bind {HOST}:{port}",
        CONFIG.read_text("utf-8"),
        flags=re.MULTILINE,
    )
    assert replaced == 1
    lines = [f"    server {one.name} {HOST}:{one.port}" for one in servers]
    text, replaced = re.subn(
        r"(^    server .*\n)+", "\n".join(lines) + "\n", text, flags=re.MULTILINE
    )
    assert replaced == 1
    # No Docker resolves names here.
    return text.partition("# Addresses of containers")[0]


class HAProxy:
    """One process, with one thread."""

    def __init__(self, folder: Path, servers: Iterable[Server]) -> None:
        self.port = free_port()
        config = folder / "haproxy.cfg"
        config.write_text(config_for(self.port, servers))
        found = Path("/usr/sbin/haproxy")
        command: Sequence[str | Path] = [
            found if found.exists() else installed("haproxy"),
            *("-db", "-f", config),
        ]
        log = folder / "haproxy.log"
        self._process = Process("haproxy", command, log, partial(listens, self.port))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it; return when it accepts connections."""
        self._process.start()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        self._process.stop()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend it for a while."""
        os.kill(self._process.pid, SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, SIGCONT)
