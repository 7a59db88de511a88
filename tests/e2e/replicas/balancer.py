"""HAProxy in front of replicas, as the documents recommend it."""

from __future__ import annotations

import os
import re
from collections import Counter
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

#: Timeouts that are about clients, which may be slow.
CLIENTS: Final = ("http-request", "client", "queue")
#: Timeouts after which it gives up a frozen replica.
REPLICAS: Final = ("connect", "server")
LONG: Final = "10m"


class Server(Protocol):
    """A replica, as the configuration names it."""

    name: str
    port: int


def config_for(
    port: int, servers: Iterable[Server], *, waits_for_replicas: bool = False
) -> str:
    """Return the configuration that is shipped, with the addresses of a test.

    It is patient with slow clients, and if that is wanted with slow replicas.
    """
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
    text = text.partition("# Addresses of containers")[0]
    for timeout in (*CLIENTS, *(REPLICAS if waits_for_replicas else ())):
        text, replaced = re.subn(rf"(timeout {timeout}) \w+", rf"\1 {LONG}", text)
        assert replaced == 1
    # Otherwise it is the time from one check to the next.
    return f"{text}    timeout check {LONG}\n" if waits_for_replicas else text


class HAProxy:
    """One process, with one thread."""

    def __init__(
        self,
        folder: Path,
        servers: Iterable[Server],
        *,
        waits_for_replicas: bool = False,
    ) -> None:
        self.port = free_port()
        config = folder / "haproxy.cfg"
        text = config_for(self.port, servers, waits_for_replicas=waits_for_replicas)
        config.write_text(text)
        found = Path("/usr/sbin/haproxy")
        command: Sequence[str | Path] = [
            found if found.exists() else installed("haproxy"),
            *("-db", "-f", config),
        ]
        self._log = folder / "haproxy.log"
        is_ready = partial(listens, self.port)
        self._process = Process("haproxy", command, self._log, is_ready)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def times_down(self) -> Counter[str]:
        """The number of times that each server was found to be down."""
        found = re.findall(
            r"WARNING.* Server replicas/(\S+) is DOWN", self._log.read_text()
        )
        return Counter(found)

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
