"""The connections of one store, and the translation of their errors."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, TypeVar

import structlog

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.errors import StorageError, UnreadableStorageError
from afterrun_exporter.storage.codec import UNDECODABLE
from afterrun_exporter.storage.postgres.address import Address
from afterrun_exporter.storage.postgres.connection import Act, Link, failure
from afterrun_exporter.storage.postgres.failures import CALLERS, FAULTS

T = TypeVar("T")

#: Seconds for a statement that reports wait for, and for others.
SHORT: Final = 3.0
LONG: Final = 10.0

#: The statement of the writer compares rows by id only, also while the server does not
#: know yet that there are many.
_WRITING: Final = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}

#: Seconds without a failure after which reads count as working again.
QUIET: Final = 60.0

log = structlog.get_logger()


class Connections:
    """Five connections: for reports, for replicas, two to read, and one for the rest.

    Two, because a person's query of a long history must not delay a ping.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.writer = Link(address, SHORT, _WRITING)
        self.poller = Link(address, SHORT)
        self.reader = Link(address, LONG)
        self.browser = Link(address, LONG)
        self.upkeep = Link(address, LONG)
        #: The number of errors, except of the connections for reports and replicas.
        self.failures = 0
        self._failing_since: float | None = None
        self._failed_at = 0.0

    async def read(self, act: Act[T]) -> T:
        """Return the result of *act*; raise StorageError if the database cannot be read."""
        return await self._read(self.reader, act)

    async def browse(self, act: Act[T]) -> T:
        """Do as `read` for a query that may take long."""
        return await self._read(self.browser, act)

    async def write(self, act: Act[T]) -> T:
        """Return the result of *act*, which writes; raise StorageError if that fails."""
        try:
            return await self.upkeep.run(act)
        except CALLERS:
            raise
        except FAULTS as error:
            self.failures += 1
            raise failure(self.address, "write to", error) from None
        except StorageError:
            self.failures += 1
            raise

    async def close(self) -> None:
        """Close all connections."""
        links = self.writer, self.poller, self.reader, self.browser, self.upkeep
        await asyncio.gather(*(link.close() for link in links))

    def drop(self) -> None:
        """Close all connections at once."""
        for link in (self.writer, self.poller, self.reader, self.browser, self.upkeep):
            with suppress(*FAULTS):
                link.drop()

    async def _read(self, link: Link, act: Act[T]) -> T:
        try:
            result = await link.read(act)
        except CALLERS:
            raise
        except StorageError as error:
            raise self._failed(str(error)) from None
        except (*FAULTS, *UNDECODABLE) as error:
            text = str(failure(self.address, "read from", error))
            raise self._failed(text) from error
        self._succeeded()
        return result

    def _failed(self, problem: str) -> StorageError:
        self.failures += 1
        self._failed_at = stopwatch()
        if self._failing_since is None:
            self._failing_since = self._failed_at
            log.error("storage_unreadable", error=problem)
        return UnreadableStorageError(problem)

    def _succeeded(self) -> None:
        since = self._failing_since
        if since is not None and stopwatch() - self._failed_at >= QUIET:
            seconds = round(self._failed_at - since, 3)
            log.info("storage_readable", failed_for=seconds, failures=self.failures)
            self._failing_since = None
