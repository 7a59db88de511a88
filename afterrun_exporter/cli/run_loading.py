"""Sending past runs to a daemon, in batches that may be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import click

from afterrun_exporter.cli.run_checks import Remarks
from afterrun_exporter.client.transport import NoResponseError, Response, Transport
from afterrun_exporter.importers.run_lines import RunLine

#: Lines and bytes of a request, below the limits of a daemon.
BATCH_LINES: Final = 2000
BATCH_BYTES: Final = 512 * 1024
#: Seconds for a response.
PATIENCE: Final = 60.0
#: Seconds before each further attempt: a repeated batch counts once.
PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
#: Statuses after which the same request may soon succeed, besides 500 and above.
_TRANSIENT: Final = frozenset({408, 425, 429})
_MAX_ANSWER: Final = 64 * 2**20
_PATH: Final = "/ping?history=true"


class LoadError(click.ClickException):
    """The daemon cannot be used; the runs that were recorded stay."""


@dataclass(slots=True)
class LoadResult:
    """Counts of the sent lines."""

    recorded: int = 0
    duplicates: int = 0
    refusals: Remarks = field(default_factory=Remarks)
    warnings: Remarks = field(default_factory=Remarks)

    @property
    def total(self) -> int:
        return self.recorded + self.duplicates + self.refusals.total


def batches(lines: Iterable[RunLine]) -> Iterator[list[RunLine]]:
    """Yield *lines* in the parts to send."""
    batch: list[RunLine] = []
    size = 0
    for line in lines:
        length = len(line.text) + 1
        if batch and (len(batch) == BATCH_LINES or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += length
    if batch:
        yield batch


class RunLoader:
    """Sends batches, and counts what the daemon made of them in *result*."""

    def __init__(
        self,
        url: str,
        token: str,
        result: LoadResult,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._transport = Transport(url, token)
        self._result = result
        self._sleep = sleep

    def send(self, batch: list[RunLine]) -> None:
        """Send *batch*; raise LoadError if the daemon cannot record it."""
        response = self._response(b"\n".join(line.text for line in batch))
        if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            if len(batch) == 1:
                self._result.refusals.add(batch[0].number, response.problem)
                return
            # The limits of this daemon are lower than the default.
            middle = len(batch) // 2
            self.send(batch[:middle])
            self.send(batch[middle:])
            return
        if response.status != HTTPStatus.OK:
            raise LoadError(response.problem)
        document = response.document
        results = document.get("results") if isinstance(document, dict) else None
        if not isinstance(results, list) or len(results) != len(batch):
            raise LoadError(f"{self._transport.url} does not respond like AfterRun")
        for line, result in zip(batch, results, strict=True):
            self._count(line, result)

    def _response(self, body: bytes) -> Response:
        for pause in (*PAUSES, None):
            try:
                response = self._transport.request(
                    "POST", _PATH, PATIENCE, body, "application/x-ndjson", _MAX_ANSWER
                )
            except NoResponseError as error:
                problem = f"{error}{error.hint}"
            except ValueError as error:
                raise LoadError(str(error)) from None
            else:
                if response.status < 500 and response.status not in _TRANSIENT:
                    return response
                problem = response.problem
            if pause is not None:
                self._sleep(pause)
        raise LoadError(problem)

    def _count(self, line: RunLine, result: Any) -> None:
        counts = self._result
        if not isinstance(result, dict) or "kind" not in result:
            detail = result.get("detail") if isinstance(result, dict) else None
            counts.refusals.add(line.number, str(detail or "not recorded"))
            return
        if result.get("duplicate"):
            counts.duplicates += 1
            return
        counts.recorded += 1
        for warning in result.get("warnings") or ():
            counts.warnings.add(line.number, str(warning))
