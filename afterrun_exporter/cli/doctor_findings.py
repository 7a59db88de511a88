"""Findings about the links of the chain, and requests to its programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from afterrun_exporter.client.transport import (
    NOT_JSON,
    NoResponseError,
    Response,
    Transport,
)
from afterrun_exporter.clock import SystemClock

OK: Final = "ok"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"

#: The timeout of a request, in seconds.
PATIENCE: Final = 10.0
#: The longest difference of two clocks, in seconds.
SKEW: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one link of the chain."""

    link: str
    status: str
    detail: str
    #: The way out, if it failed.
    fix: str = ""


Findings = Iterator[Finding]


class BrokenError(Exception):
    """A link is broken, so that those behind it cannot be checked."""

    def __init__(self, detail: str, fix: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix


class Program:
    """One of the programs of the chain, as it answers requests."""

    def __init__(self, name: str, url: str, option: str, token: str = "") -> None:
        self.name = name
        self._transport = Transport(url, token, name, option)
        #: The URL without credentials.
        self.url = self._transport.url
        self._option = option
        #: Seconds by which its clock is ahead of this one; None before a response.
        self.ahead: float | None = None

    def request(
        self, path: str, method: str = "GET", body: bytes | None = None
    ) -> Response:
        """Return the response; raise BrokenError if there is none."""
        clock = SystemClock()
        before = clock.now()
        try:
            response = self._transport.request(method, path, PATIENCE, body)
        except (NoResponseError, ValueError) as error:
            raise BrokenError(
                str(error), f"start {self.name}, or set its address with {self._option}"
            ) from None
        if response.date:
            then = parsedate_to_datetime(response.date).timestamp()
            # The header has whole seconds, and was written between the two.
            self.ahead = min(then + 1 - before, max(0.0, then - clock.now()))
        return response

    def json(self, path: str, **query: str | Sequence[str]) -> Any:
        """Return the JSON response; raise BrokenError if it is an error."""
        encoded = urlencode(query, doseq=True)
        response = self.request(f"{path}?{encoded}" if encoded else path)
        if response.status != HTTPStatus.OK or response.document is NOT_JSON:
            document = response.document
            reason = document.get("error") if isinstance(document, dict) else None
            raise BrokenError(
                f"{self.url}: {reason}" if reason else response.problem,
                f"set the address of {self.name} with {self._option}",
            )
        return response.document

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the instant vector of *expression*, if this is Prometheus."""
        answer = self.json("/api/v1/query", query=expression)
        vector: list[dict[str, Any]] = answer["data"]["result"]
        return vector


def clock_finding(program: Program) -> Finding:
    """Return the finding about the clock of *program*."""
    link = f"clock of {program.name}"
    ahead = program.ahead
    if ahead is None:
        return Finding(link, SKIPPED, f"{program.url} sends no Date")
    if abs(ahead) <= SKEW:
        return Finding(link, OK, f"within {SKEW:g} s of the clock of this host")
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        link,
        FAILED,
        f"{abs(ahead):.0f} s {direction} the clock of this host",
        "synchronise the clocks of all hosts, for example with chrony: deadlines of "
        "jobs are compared with the clock of Prometheus",
    )
