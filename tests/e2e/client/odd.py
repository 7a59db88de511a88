"""A server that does not do what a daemon does, or does it only now and then."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.e2e.daemon.daemon import HOST
from tests.patience import PATIENCE

#: Makes an answer of a request; returns False to hang up without one.
Act = Callable[["Handler", bytes], bool]


class Handler(BaseHTTPRequestHandler):
    """Remembers what it was sent, and acts as it was told to."""

    server: Odd

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        if not self.server.act(self, body):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, status: int, body: Any) -> bool:
        """Answer with *body* in JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Odd(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(self, act: Act) -> None:
        super().__init__((HOST, 0), Handler)
        self.act = act
        #: Path, headers and body of each request.
        self.seen: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The single reports it was sent."""
        return [json.loads(body) for path, _, body in self.seen if path != "/ping"]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to talk about."""


@contextmanager
def odd(act: Act) -> Iterator[Odd]:
    """Run a server that acts so."""
    with Odd(act) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def unavailable(handler: Handler, _: bytes) -> bool:
    """Cannot commit."""
    return handler.answer(503, {"title": "Service Unavailable", "detail": "disk full"})


def hang_up(_: Handler, __: bytes) -> bool:
    """Close the connection without a word."""
    return False


def slow(_: Handler, __: bytes) -> bool:
    """Take longer than anybody waits."""
    time.sleep(30)
    return False


def stranger(handler: Handler, _: bytes) -> bool:
    """Be some other web server, which is glad of everything."""
    return handler.answer(200, ["welcome"])


def forbidding(handler: Handler, _: bytes) -> bool:
    """Want a token."""
    return handler.answer(401, {"title": "Unauthorized", "detail": "no token"})


def taking(handler: Handler, _: bytes) -> bool:
    """Take everything."""
    return handler.answer(200, {"kind": "finish", "outcome": "ok", "warnings": []})


def forgetful(url: str, times: int) -> Act:
    """Return what passes requests on to *url*, and loses the first answers."""
    host = url.removeprefix("http://")
    lost: list[int] = []

    def act(handler: Handler, body: bytes) -> bool:
        connection = HTTPConnection(host, timeout=PATIENCE)
        connection.request("POST", handler.path, body)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if len(lost) < times:
            lost.append(1)
            return False
        return handler.answer(200, answer)

    return act
