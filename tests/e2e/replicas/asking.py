"""Requests to one replica, or to the load balancer in front of all."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from tests.e2e.daemon.daemon import HOST, Answer
from tests.patience import PATIENCE

HTML = {"Accept": "text/html"}


def ask(
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
