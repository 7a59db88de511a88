"""The daemon as seen by its clients: it records reports, or refuses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from afterrun_exporter.client.reports import Report
from afterrun_exporter.client.transport import NoResponseError, Transport

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


class Daemon:
    """The daemon at a URL; a token takes precedence over credentials in the URL.

    A response means that the reports are on its disk.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._transport = Transport(url, token)
        #: The URL without credentials.
        self.url = self._transport.url

    def send(self, report: Report, timeout: float) -> Answer:
        """Send one report; return the response.

        Raises NotDeliveredError or RefusedError.
        """
        path = f"/ping/{quote(report.job, safe='')}"
        answer = self._post(path, report.body(), "application/json", timeout)
        if "kind" not in answer:
            raise self._unexpected("no result")
        return answer

    def send_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        """Send many reports; return the result of each: a response or a problem.

        Raises NotDeliveredError or RefusedError without a result for each.
        """
        body = b"\n".join(one.item() for one in reports)
        answer = self._post("/ping", body, "application/x-ndjson", timeout)
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(reports):
            raise self._unexpected("no result for each report")
        return results

    def _post(self, path: str, body: bytes, media: str, timeout: float) -> Answer:
        try:
            response = self._transport.request(
                "POST", path, timeout, body, media, MAX_ANSWER
            )
        except NoResponseError as error:
            raise NotDeliveredError(str(error)) from None
        except ValueError as error:
            raise NotDeliveredError(str(error), again=False) from None
        status = response.status
        if status == 200:
            if not isinstance(response.document, dict):
                raise self._unexpected("no JSON")
            return response.document
        problem = response.problem
        if response.detail:
            problem = f"{self.url} answered {status}: {problem}"
            if status in REFUSALS:
                raise RefusedError(problem)
        # Refusals of all reports (a token, a proxy, a wrong address) can be fixed.
        raise NotDeliveredError(
            problem,
            again=status >= 500 or status in TRANSIENT,
            broken=status == FAULT,
        )

    def _unexpected(self, why: str) -> NotDeliveredError:
        return NotDeliveredError(
            f"{self.url} does not respond like AfterRun: {why}", again=False
        )
