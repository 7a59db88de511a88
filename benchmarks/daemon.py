"""Real servers on loopback, each a process of its own: `afterrun serve`, and others."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from benchmarks.machine import for_servers

#: A daemon that is not ready by then never will be.
PATIENCE: Final = 300.0

_PROGRAM: Final = Path(sys.executable).with_name("afterrun")
_HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A server that is ready."""

    pid: int
    port: int
    #: From the start of its process until it was ready, in seconds.
    ready_after: float

    def get(self, path: str, encoding: str = "identity") -> bytes:
        """Return what is at *path*, in the encoding it comes in."""
        connection = HTTPConnection(_HOST, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": encoding})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"GET {path}: {answer.status}: {body[:200]!r}")
            return body
        finally:
            connection.close()

    def scrape(self, encoding: str = "identity") -> float:
        """Return the seconds until the last byte of the metrics has come."""
        request = (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Accept-Encoding: {encoding}\r\n\r\n"
        )
        buffer = bytearray(2**20)
        began = time.perf_counter()
        with socket.create_connection((_HOST, self.port), PATIENCE) as connection:
            connection.sendall(request.encode())
            # A head that comes in pieces is none of those we measure.
            head = connection.recv(2**16)
            while connection.recv_into(buffer):
                pass
        taken = time.perf_counter() - began
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"a scrape was answered {head[:200]!r}")
        if (encoding == "gzip") != (b"\r\ncontent-encoding: gzip" in head.lower()):
            raise RuntimeError(f"a scrape in {encoding} was answered {head[:400]!r}")
        return taken

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has used."""
        # What clock_getcpuclockid(3) returns for a process.
        return time.clock_gettime(~self.pid << 3 | 2)

    def resident(self) -> int:
        """Return the bytes of memory that it holds."""
        pages = Path(f"/proc/{self.pid}/statm").read_text("utf-8").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Connection:
    """One connection that is kept; no more than HTTP needs, to be out of the way."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, daemon: Daemon) -> AsyncIterator[Connection]:
        """Connect to *daemon*; close the connection in the end."""
        reader, writer = await asyncio.open_connection(_HOST, daemon.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, request: bytes) -> bytes:
        """Send *request*; return the body of the answer, which must be a 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{head!r} {body[:200]!r}")
        return body


@contextmanager
def serving(
    config: Path,
    database: Path | str,
    *,
    pinned: bool = False,
    beats: Path | None = None,
) -> Iterator[Daemon]:
    """Run a daemon on a file or a URL of PostgreSQL; stop it in the end.

    On the core of the servers where it is *pinned*. *beats* is told how long its
    event loop was held: see benchmarks/beats.py.
    """
    port = free_port()
    watched = (sys.executable, "-m", "benchmarks.beats", str(beats))
    command = (
        *(watched if beats else (str(_PROGRAM),)),
        "serve",
        f"--config.file={config}",
        f"--storage.path={database}",
        f"--web.listen-address={_HOST}:{port}",
        "--log.level=error",
    )
    with running(for_servers(*command) if pinned else command, port) as daemon:
        yield daemon


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[Daemon]:
    """Run a server that listens on *port*; stop it in the end."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _await_ready(process, port)
            yield Daemon(process.pid, port, time.perf_counter() - began)
        finally:
            process.terminate()


def _await_ready(process: subprocess.Popen[bytes], port: int) -> None:
    waiting = Daemon(process.pid, port, 0.0)
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            waiting.get("/-/ready")
        except (OSError, HTTPException, RuntimeError):
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"{process.args!r} was not ready after {PATIENCE:g} s")


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
