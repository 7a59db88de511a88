"""The daemon, as its clients see it: it takes reports, or says why not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.urls import authorization, public_url, target

if TYPE_CHECKING:
    from http.client import HTTPConnection

Answer = dict[str, Any]

#: Statuses by which AfterRun itself refuses a report for what it is.
REFUSALS: Final = frozenset({400, 404, 413, 422})
#: Statuses after which the same request may soon do better.
PASSING: Final = frozenset({408, 425, 429})
#: The status of a fault in the daemon, which another report may not meet.
FAULT: Final = 500
MAX_ANSWER: Final = 16 * 2**20


class NotDeliveredError(Exception):
    """The daemon did not take what was sent; it may later.

    *again* says whether there is a point in trying right now, *broken* that it failed
    over this very request: others may be taken.
    """

    def __init__(
        self, message: str, *, again: bool = True, broken: bool = False
    ) -> None:
        super().__init__(message)
        self.again = again
        self.broken = broken


class RefusedError(Exception):
    """The daemon has read what was sent, and will never take it."""


class Daemon(Protocol):
    """Takes reports. What it answers is what it has on its disk."""

    url: str

    def take(self, report: Report, timeout: float) -> Answer:
        """Send one report; return the verdict.

        Raises NotDeliveredError or RefusedError.
        """
        ...

    def take_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        """Send many reports; return the answer to each: a verdict or a problem.

        Raises NotDeliveredError or RefusedError if there is no answer to each.
        """
        ...


class HTTPDaemon:
    """The daemon at a URL, which may have credentials; a token counts before them."""

    def __init__(self, url: str, token: str = "") -> None:
        #: Without the credentials.
        self.url = public_url(url)
        self._target = url.rstrip("/")
        self._token = token

    def take(self, report: Report, timeout: float) -> Answer:
        path = f"/ping/{quote(report.job, safe='')}"
        answer = self._post(path, report.body(), "application/json", timeout)
        if "kind" not in answer:
            raise self._strange("no verdict")
        return answer

    def take_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        body = b"\n".join(one.item() for one in reports)
        answer = self._post("/ping", body, "application/x-ndjson", timeout)
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(reports):
            raise self._strange("no result for each report")
        return results

    def _post(self, path: str, body: bytes, kind: str, timeout: float) -> Answer:
        # It takes longer to import than all else together; the job runs meanwhile.
        from http.client import HTTPException  # noqa: PLC0415

        headers = {
            "Content-Type": kind,
            "User-Agent": "afterrun",
            "Connection": "close",
        }
        try:
            connection, prefix = self._connection(timeout)
            if allowed := authorization(self._target, self._token):
                headers["Authorization"] = allowed
            with closing(connection):
                connection.request("POST", prefix + path, body, headers)
                answer = connection.getresponse()
                text = answer.read(MAX_ANSWER)
                status, reason = answer.status, answer.reason
        except (OSError, HTTPException) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise NotDeliveredError(
                f"no answer from {self.url}: {said or type(error).__name__}"
            ) from None
        except ValueError as error:
            # An address, a name or a token that no request can carry.
            raise NotDeliveredError(
                f"nothing can be sent to {self.url!r}: {error}; write --url like "
                "http://127.0.0.1:10707",
                again=False,
            ) from None
        return self._read(status, reason, text)

    def _connection(self, timeout: float) -> tuple[HTTPConnection, str]:
        from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

        parts = target(self._target)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return HTTPConnection(host, port, timeout=timeout), parts.path
        # It trusts whom the system trusts, and looks at the name.
        return HTTPSConnection(host, port, timeout=timeout), parts.path

    def _read(self, status: int, reason: str, text: bytes) -> Answer:
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        ours = isinstance(answer, dict)
        if status == 200 and ours:
            return dict(answer)
        if status == 200:
            raise self._strange("no JSON")
        detail = str(answer.get("detail", reason)) if ours else reason
        said = f"{self.url} answered {status}: {detail}"
        if ours and "detail" in answer and status in REFUSALS:
            raise RefusedError(said)
        # What refuses everybody (a token, a proxy, a wrong address) can be mended.
        raise NotDeliveredError(
            said, again=status >= 500 or status in PASSING, broken=status == FAULT
        )

    def _strange(self, why: str) -> NotDeliveredError:
        return NotDeliveredError(
            f"{self.url} does not answer like AfterRun: {why}", again=False
        )
