"""Ports that are free, and whether something answers on them."""

from __future__ import annotations

import atexit
import json
import secrets
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest

from tests.patience import PATIENCE

LOOPBACK: Final = "127.0.0.1"

#: Below the ports that Linux gives to outgoing connections: one of those must not
#: take a daemon's port while it is down for a moment.
FIRST_PORT: Final = 12_000
LAST_PORT: Final = 31_999


Value = TypeVar("Value")


#: Sockets that mark the last ports as taken, for the tests of all processes.
_marks: Final[deque[socket.socket]] = deque()
MARKS: Final = 256


@atexit.register
def _close_marks() -> None:
    while _marks:
        _marks.popleft().close()


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens.

    No other test gets it, even while the daemon that listens on it is down.
    """
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind((LOOPBACK, port))
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((LOOPBACK, port))
        except OSError:
            mark.close()
            continue
        _marks.append(mark)
        if len(_marks) > MARKS:
            _marks.popleft().close()
        return port


def listens(port: int) -> bool:
    """Return whether a connection to *port* is taken."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def get(url: str) -> bytes | None:
    """Return what *url* answers; None when it does not, or not with success."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body
    except OSError:
        return None


def query(prometheus: str, expression: str) -> list[Any]:
    """Return the instant vector of *expression*; [] as well when nothing answers."""
    arguments = urllib.parse.urlencode({"query": expression})
    try:
        address = f"{prometheus}/api/v1/query?{arguments}"
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:  # noqa: S310
            result: list[Any] = json.load(answer)["data"]["result"]
            return result
    except urllib.error.HTTPError as error:
        with error:
            pytest.fail(f"{expression}: {error.read().decode()}")
    except OSError:
        return []


def wait_for(condition: Callable[[], Value], patience: float = PATIENCE) -> Value:
    """Return what *condition* returns, once that is true or patience is at its end."""
    until = time.monotonic() + patience
    while not (value := condition()) and time.monotonic() < until:
        time.sleep(0.1)
    return value


def wait_for_value(value: Callable[[], Value], expected: Value) -> Value:
    """Return what *value* returns, once that is *expected* or patience is at its end."""
    last: list[Value] = []

    def is_expected() -> bool:
        last[:] = [value()]
        return last == [expected]

    wait_for(is_expected)
    return last[0]


def total(program: str, metric: str) -> float:
    """Return the sum of the series of *metric* that the *program* at this URL exposes."""
    lines = (get(f"{program}/metrics") or b"").decode().splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith((f"{metric}{{", f"{metric} "))
    )
