"""A proxy on whose way the first answers get lost."""

from __future__ import annotations

import http.client
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from tests.e2e.daemon.daemon import HOST, Daemon
from tests.patience import PATIENCE

BAD_GATEWAY: Final = 502


class DroppingProxy:
    """Forwards requests to *daemon*, and keeps the first *drops* answers to itself.

    The client gets *instead* for them, or a closed connection.
    """

    def __init__(self, daemon: Daemon, drops: int, instead: int | None = None) -> None:
        self.forwarded = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self._body()
                connection = http.client.HTTPConnection(HOST, daemon.port, PATIENCE)
                with closing(connection):
                    for framing in ("Transfer-Encoding", "Content-Length"):
                        del self.headers[framing]
                    headers = {**self.headers, "Content-Length": str(len(body))}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    text = answer.read()
                proxy.forwarded += 1
                if proxy.forwarded > drops:
                    self._tell(answer.status, text)
                elif instead is not None:
                    self._tell(instead, b"")

            do_GET = do_PUT = do_POST  # noqa: N815 - so the library calls them

            def _body(self) -> bytes:
                if self.headers["Transfer-Encoding"] != "chunked":
                    return self.rfile.read(int(self.headers["Content-Length"] or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _tell(self, status: int, text: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing: the test tells."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
