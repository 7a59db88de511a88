"""A client that reads answers and throws them away, as a process of its own.

It is told on its standard input what to get, and answers how long that took.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, Process
from time import perf_counter
from typing import Final

_HOST: Final = "127.0.0.1"
_BUFFER: Final = 2**20


class Client:
    """The process; start it before there is much memory to fork."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> Client:
        """Return it, waiting to be told."""
        command = (sys.executable, "-m", __name__)
        return cls(
            await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        )

    async def get(self, port: int, path: str, encoding: str) -> tuple[float, int]:
        """Return how many seconds *path* took, and how many bytes came."""
        pipe, answers = self._process.stdin, self._process.stdout
        if pipe is None or answers is None:
            raise RuntimeError("the client has no pipes")
        pipe.write(f"{port} {path} {encoding}\n".encode())
        if not (line := await answers.readline()):
            raise RuntimeError(f"the client has ended over {path}")
        seconds, size = line.split()
        return float(seconds), int(size)

    async def stop(self) -> None:
        """End it."""
        self._process.terminate()
        await self._process.wait()


def _fetch(port: int, path: str, encoding: str) -> tuple[float, int]:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Accept-Encoding: {encoding}\r\n\r\n"
    )
    buffer = bytearray(_BUFFER)
    began = perf_counter()
    with socket.create_connection((_HOST, port)) as connection:
        connection.sendall(request.encode())
        # A head that comes in pieces is none of those we measure.
        head = connection.recv(2**16)
        size = len(head)
        while count := connection.recv_into(buffer):
            size += count
    taken = perf_counter() - began
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{path} was answered {head[:400]!r}")
    return taken, size


if __name__ == "__main__":
    for line in sys.stdin:
        port, path, encoding = line.split()
        print(*_fetch(int(port), path, encoding), flush=True)
