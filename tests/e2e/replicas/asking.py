"""Requests to one replica, or to the load balancer in front of all."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, ParamSpec
from urllib.parse import urlencode

from tests.e2e.daemon.daemon import HOST, Answer
from tests.patience import PATIENCE

HTML = {"Accept": "text/html"}

#: Seconds until a request that was refused is sent again.
PAUSE: Final = 0.25

UNAVAILABLE: Final = 503

P = ParamSpec("P")


def accepted(
    send: Callable[P, Answer], *arguments: P.args, **named: P.kwargs
) -> Answer:
    """Return the answer to a request that is sent again after a 503, as clients do.

    A replica answers so while it, or its database, is slow. What it refused may have
    been recorded.
    """
    give_up = time.monotonic() + PATIENCE
    while (answer := send(*arguments, **named)).status == UNAVAILABLE:
        assert time.monotonic() < give_up, answer
        time.sleep(PAUSE)
    return answer


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return the answer to a request, as `accepted` does."""
    return accepted(ask_once, port, method, path, body, headers)


def ask_once(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return the answer to one request; a *body* that is no text is sent as JSON."""
    data = body if isinstance(body, str) or body is None else json.dumps(body)
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    with closing(connection):
        connection.request(method, path, data, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read().decode())


def send_form(port: int, path: str, **fields: str) -> Answer:
    """Return the answer to a form, as a browser sends it."""
    headers = {**HTML, "Content-Type": "application/x-www-form-urlencoded"}
    return ask(port, "POST", path, urlencode(fields), headers)
