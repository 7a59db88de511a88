"""HAProxy in front of replicas, as the documents recommend it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Final

from tests.e2e.daemon.daemon import HOST
from tests.e2e.network import free_port, listens
from tests.e2e.processes import Process, installed
from tests.e2e.replicas.replica import Replicas

#: A request goes to another replica if one does not answer: run ids make that safe.
CONFIG: Final = """\
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 10s
    option redispatch
    retries 3
    retry-on conn-failure empty-response response-timeout 503
frontend jobs
    bind {address}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk
    http-check send meth GET uri /-/ready ver HTTP/1.1 hdr Host {address}
    default-server check inter 500ms fall 2 rise 1
{servers}
"""


class HAProxy:
    """One process, with one thread."""

    def __init__(self, folder: Path, replicas: Replicas) -> None:
        self.port = free_port()
        servers = [
            f"    server {replica.name} {HOST}:{replica.port}" for replica in replicas
        ]
        config = folder / "haproxy.cfg"
        address = f"{HOST}:{self.port}"
        config.write_text(CONFIG.format(address=address, servers="\n".join(servers)))
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
