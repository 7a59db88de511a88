"""The daemon as seen by its clients: it records reports, or refuses them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.urls import authorization, hidden, public_url, target

if TYPE_CHECKING:
    from http.client import HTTPConnection

Answer = dict[str, Any]

#: Statuses with which AfterRun refuses a report because of its content.
REFUSALS: Final = frozenset({400, 404, 413, 422})
#: Statuses after which the same request may soon succeed.
TRANSIENT: Final = frozenset({408, 425, 429})
#: The status of a fault in the daemon, which may be limited to one report.
FAULT: Final = 500
MAX_ANSWER: Final = 16 * 2**20


class NotDeliveredError(Exception):
    """The daemon did not accept the request; it may later.

    *again* is True if another attempt now may succeed, *broken* if the daemon failed on
    this particular request: others may succeed.
    """

    def __init__(
        self, message: str, *, again: bool = True, broken: bool = False
    ) -> None:
        super().__init__(message)
        self.again = again
        self.broken = broken


class RefusedError(Exception):
    """The daemon read the request, and will never accept it."""


class Daemon(Protocol):
    """Records reports. A response means that they are on its disk."""

    url: str

    def send(self, report: Report, timeout: float) -> Answer:
        """Send one report; return the response.

        Raises NotDeliveredError or RefusedError.
        """
        ...

    def send_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        """Send many reports; return the result of each: a response or a problem.

        Raises NotDeliveredError or RefusedError without a result for each.
        """
        ...


class HTTPDaemon:
    """The daemon at a URL; a token takes precedence over credentials in the URL."""

    def __init__(self, url: str, token: str = "") -> None:
        #: The URL without credentials.
        self.url = public_url(url)
        self._target = url.rstrip("/")
        self._token = token

    def send(self, report: Report, timeout: float) -> Answer:
        path = f"/ping/{quote(report.job, safe='')}"
        answer = self._post(path, report.body(), "application/json", timeout)
        if "kind" not in answer:
            raise self._unexpected("no result")
        return answer

    def send_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        body = b"\n".join(one.item() for one in reports)
        answer = self._post("/ping", body, "application/x-ndjson", timeout)
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(reports):
            raise self._unexpected("no result for each report")
        return results

    def _post(self, path: str, body: bytes, kind: str, timeout: float) -> Answer:
        # This import takes longer than all others together; the job runs meanwhile.
        from http.client import HTTPException  # noqa: PLC0415

        headers = {
            "Content-Type": kind,
            "User-Agent": "afterrun",
            "Connection": "close",
        }
        allowed = ""
        try:
            connection, prefix = self._connection(timeout)
            if allowed := authorization(self._target, self._token):
                headers["Authorization"] = allowed
            with closing(connection):
                connection.request("POST", prefix + path, body, headers)
                answer = connection.getresponse()
                text = answer.read(MAX_ANSWER)
                status, phrase = answer.status, answer.reason
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error)
            reason = hidden(reason, allowed) or type(error).__name__
            raise NotDeliveredError(f"no answer from {self.url}: {reason}") from None
        except ValueError as error:
            # An address, a name or a token that no request can contain.
            raise NotDeliveredError(
                f"cannot send to {self.url!r}: {error}; write --url like "
                "http://127.0.0.1:10707",
                again=False,
            ) from None
        return self._read(status, phrase, text, allowed)

    def _connection(self, timeout: float) -> tuple[HTTPConnection, str]:
        from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

        parts = target(self._target)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return HTTPConnection(host, port, timeout=timeout), parts.path
        # The system's certificates are trusted, and the host name is checked.
        return HTTPSConnection(host, port, timeout=timeout), parts.path

    def _read(self, status: int, reason: str, text: bytes, allowed: str) -> Answer:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        is_object = isinstance(answer, dict)
        if status == 200 and is_object:
            return dict(answer)
        if status == 200:
            raise self._unexpected("no JSON")
        detail = str(answer.get("detail", reason)) if is_object else reason
        message = f"{self.url} answered {status}: {hidden(detail, allowed)}"
        if is_object and "detail" in answer and status in REFUSALS:
            raise RefusedError(message)
        # Refusals of all reports (a token, a proxy, a wrong address) can be fixed.
        raise NotDeliveredError(
            message, again=status >= 500 or status in TRANSIENT, broken=status == FAULT
        )

    def _unexpected(self, why: str) -> NotDeliveredError:
        return NotDeliveredError(
            f"{self.url} does not answer like AfterRun: {why}", again=False
        )
