"""Real clients, and what became of what they reported."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.e2e.daemon.daemon import HOST, Daemon

#: Made by `make test`.
CLIENTS: Final = Path(__file__).parents[3] / ".venv-clients" / "bin"
PATIENCE: Final = 60.0


def run(
    *command: str | Path, ok: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the clients; it is to end well, unless *ok* is False."""
    program, *arguments = command
    done = subprocess.run(
        [str(CLIENTS / program), *map(str, arguments)],
        env={**os.environ, **environment, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done


def python(code: str, *, ok: bool = True, **environment: str) -> str:
    """Run *code* where the clients are installed; return what it printed."""
    return run("python", "-c", code, ok=ok, **environment).stdout


def runs(daemon: Daemon, job: str) -> list[dict[str, Any]]:
    """Return the finished runs of *job*, the oldest first; none if it is unknown."""
    answer = daemon.get(f"/api/v1/jobs/{job}/runs")
    return [] if answer.status == 404 else answer.json()["runs"][::-1]


@contextmanager
def dropping(daemon: Daemon, answers: int) -> Iterator[str]:
    """Yield a URL where *daemon* answers, too, but the first *answers* get lost.

    The daemon gets the request and acts on it; its client sees a closed connection.
    """
    left = [answers]

    class Between(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            there = socket.create_connection((HOST, daemon.port))
            with closing(there):
                while data := self.request.recv(65536):
                    there.sendall(data)
                    answer = there.recv(65536)
                    if left[0]:
                        left[0] -= 1
                        return
                    self.request.sendall(answer)

    with socketserver.ThreadingTCPServer((HOST, 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()
        with suppress(RuntimeError):
            thread.join()
