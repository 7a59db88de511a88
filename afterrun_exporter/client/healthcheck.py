"""The health check of the image: exits with 0 if the daemon in this container is healthy.

    python -m afterrun_exporter.client.healthcheck [PID]

The address, TLS and prefix are those on the command line of the process, by default the
first one of the container.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from afterrun_exporter.client.urls import DEFAULT_URL

#: Less than the `--timeout` of the HEALTHCHECK, in seconds.
PATIENCE: Final = 2.0
_LISTEN: Final = "--web.listen-address"
_PREFIX: Final = "--web.route-prefix"
#: Addresses of all interfaces, and one of them. The last one has no IPv4.
_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104


def main(arguments: Sequence[str]) -> int:
    """Return the exit status; print the reason if it is not 0."""
    process = arguments[0] if arguments else "1"
    words = Path(f"/proc/{process}/cmdline").read_text("utf-8").split("\0")
    host, port = listen_address(words)
    path = f"{route_prefix(words)}/-/healthy"
    # The certificate is for other names than that of this machine.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001
    connections = [
        HTTPConnection(host, port, timeout=PATIENCE),
        HTTPSConnection(host, port, timeout=PATIENCE, context=context),
    ]
    if any(word.startswith("--web.config.file") for word in words):
        connections.reverse()
    problems = []
    for connection in connections:
        if not (problem := _problem(connection, path)):
            return 0
        problems.append(problem)
    print(f"{host}:{port}: {problems[0]}")  # noqa: T201
    return 1


def listen_address(words: Sequence[str]) -> tuple[str, int]:
    """Return host and port at which the daemon with this command line listens first."""
    address = _values(words, _LISTEN, f":{urlsplit(DEFAULT_URL).port}")[0]
    host, _, port = address.rpartition(":")
    return _ANY.get(host) or host.strip("[]"), int(port)


def route_prefix(words: Sequence[str]) -> str:
    """Return the prefix of all paths; "" for none, and for one that is not required."""
    return f"/{_values(words, _PREFIX, '')[-1].strip('/')}".rstrip("/")


def _values(words: Sequence[str], flag: str, default: str) -> list[str]:
    """Return the values of *flag* on a command line, or else the *default*."""
    values = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == flag:
            values.append(value if equals else following)
    return values or [default]


def _problem(connection: HTTPConnection, path: str) -> str:
    """Return the reason why the daemon is not healthy; "" if it is."""
    try:
        with closing(connection):
            connection.connect()
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            except (ConnectionError, ssl.SSLError) as error:
                # After a handshake: it answers clients with a certificate alone.
                encrypted = isinstance(connection, HTTPSConnection)
                return "" if encrypted else str(error)
    except (OSError, HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"status {status}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
