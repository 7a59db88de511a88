"""Who is told of one job, and the alertmanager.yml in which Alertmanager reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from afterrun_exporter.alertmanager.managed_file import (
    IsLoaded,
    ManagedFile,
    Reload,
    is_loaded,
)
from afterrun_exporter.clock import in_background
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.targets import origin
from afterrun_exporter.errors import (
    AfterRunError,
    AlertmanagerError,
    AlertmanagerRefusedError,
    GenerateError,
    ReceiverExistsError,
    StorageError,
    UnknownReceiverError,
)
from afterrun_exporter.storage.store import Store

log = structlog.get_logger()


#: Makes the jobs of the first names announce their ok runs, and no others of the second
#: ones, or of all jobs.
Announce = Callable[[frozenset[str], frozenset[str] | None], Awaitable[None]]

#: Receivers that are added or removed by one change of the file. Each change makes
#: Alertmanager read the whole file again, so many receivers take one change, not many.
MOST_AT_ONCE: Final = 1000

#: Errors that one receiver of many may cause.
_REFUSALS: Final = (AlertmanagerRefusedError, GenerateError)


class Applied(StrEnum):
    """How far a change of the receivers has come."""

    #: No alertmanager.yml is kept: it is stored, and `generate` will not see it.
    STORED = "stored"
    WRITTEN = "written"
    RELOADED = "reloaded"


#: The receiver of a request and what its change resulted in.
_Result = asyncio.Future[tuple[JobReceiver, Applied]]


@dataclass(frozen=True, slots=True)
class _Addition:
    """A request to add a receiver."""

    receiver: JobReceiver
    result: _Result

    @property
    def subject(self) -> tuple[str, str, str]:
        return _what(self.receiver)


@dataclass(frozen=True, slots=True)
class _Removal:
    """A request to remove the receiver with an id."""

    number: int
    result: _Result

    @property
    def subject(self) -> int:
        return self.number


_Request = _Addition | _Removal


class Receivers:
    """The stored receivers and the file made of them: changed together or not at all.

    One change at a time; requests that arrive meanwhile share the next one. A change
    that Alertmanager does not accept is undone, in the database and in the file.
    """

    def __init__(
        self,
        store: Store,
        reload: Reload,
        announce: Announce | None = None,
        is_loaded: IsLoaded = is_loaded,
    ) -> None:
        self._store = store
        self._reload = reload
        self._is_loaded = is_loaded
        self._announce = announce
        self._file: ManagedFile | None = None
        self._file_ok = True
        self._one_at_a_time = asyncio.Lock()
        self._waiting: deque[_Request] = deque()
        self._changes: asyncio.Task[None] | None = None

    def keep(self, file: ManagedFile | None) -> None:
        """Keep *file* up to date from the next change on."""
        self._file = file

    @property
    def file_ok(self) -> bool | None:
        """Whether the file is as it should be; None where none is kept.

        It is not when it could not be made anew, or Alertmanager refused it: then
        it is as it was before. One that does not answer reads it when it starts.
        """
        return None if self._file is None else self._file_ok

    async def every(self) -> list[JobReceiver]:
        """Return all there are, in the order they were added."""
        return await self._store.receivers()

    async def of(self, job: str) -> list[JobReceiver]:
        """Return who is told of *job*, in the order they were added."""
        return [one for one in await self._store.receivers() if one.job == job]

    async def get(self, number: int) -> JobReceiver:
        """Return the receiver with this id; raise UnknownReceiverError if none has."""
        return _with_id(number, await self._store.receivers())

    async def add(self, receiver: JobReceiver) -> tuple[JobReceiver, Applied]:
        """Add *receiver*; return it as it is stored, and how far that has come.

        Raises ReceiverExistsError, AlertmanagerError, GenerateError or
        StorageError: then everything is as it was.
        """
        loop = asyncio.get_running_loop()
        return await self._request(_Addition(receiver, loop.create_future()))

    async def remove(self, number: int) -> Applied:
        """Remove the receiver with this id; return how far that has come.

        Raises UnknownReceiverError, or as `add` does.
        """
        loop = asyncio.get_running_loop()
        _, applied = await self._request(_Removal(number, loop.create_future()))
        return applied

    async def _request(self, request: _Request) -> tuple[JobReceiver, Applied]:
        self._waiting.append(request)
        if self._changes is None:
            # A task of its own: others may wait for the same change.
            self._changes = asyncio.create_task(self._change_waiting())
        return await request.result

    async def _change_waiting(self) -> None:
        try:
            while self._waiting:
                async with self._one_at_a_time:
                    await self._change(self._next())
        finally:
            self._changes = None

    def _next(self) -> list[_Request]:
        """Take the next requests that can be one change: all add, or all remove."""
        batch: dict[object, _Request] = {}
        kind = type(self._waiting[0])
        while self._waiting and len(batch) < MOST_AT_ONCE:
            request = self._waiting[0]
            if type(request) is not kind or request.subject in batch:
                break
            self._waiting.popleft()
            if not request.result.done():
                batch[request.subject] = request
        return list(batch.values())

    async def _change(self, batch: Sequence[_Request]) -> None:
        """Do what *batch* requests, together, or one by one where that fails."""
        try:
            await self._add([one for one in batch if isinstance(one, _Addition)])
            await self._remove([one for one in batch if isinstance(one, _Removal)])
        except Exception as error:  # noqa: BLE001 - raised again by `_request`
            left = [request for request in batch if not request.result.done()]
            # One of them may be to blame. An Alertmanager that does not answer is not
            # asked again for each.
            if len(left) > 1 and isinstance(error, _REFUSALS):
                for request in left:
                    await self._change([request])
                return
            for request in left:
                request.result.set_exception(error)

    async def _add(self, batch: Sequence[_Addition]) -> None:
        if not batch:
            return
        known = await self._store.receivers()
        taken = {_what(one): one for one in known}
        accepted: list[_Addition] = []
        for request in batch:
            if one := taken.get(request.subject):
                problem = (
                    f"job {one.job!r} has this {one.type} receiver already: it is "
                    f"{one.id}; delete that one to change it"
                )
                _fail(request, ReceiverExistsError(problem))
            else:
                accepted.append(request)
        if not accepted:
            return
        added = await self._store.add_receivers([one.receiver for one in accepted])
        try:
            applied = await self._apply([*known, *added])
        except Exception:
            await self._store.remove_receivers([one.id for one in added])
            raise
        await self._announce_successes({one.job for one in added})
        for request, receiver in zip(accepted, added, strict=True):
            self._resolve("receiver_added", request, receiver, applied)

    async def _remove(self, batch: Sequence[_Removal]) -> None:
        if not batch:
            return
        known = await self._store.receivers()
        by_id = {one.id: one for one in known}
        gone: dict[int, JobReceiver] = {}
        for request in batch:
            if receiver := by_id.get(request.number):
                gone[request.number] = receiver
            else:
                _fail(request, _unknown(request.number))
        if not gone:
            return
        applied = await self._apply([one for one in known if one.id not in gone])
        try:
            await self._store.remove_receivers(list(gone))
        except StorageError:
            with suppress(AfterRunError):
                await self._apply(known)
            raise
        await self._announce_successes({one.job for one in gone.values()})
        for request in batch:
            if receiver := gone.get(request.number):
                self._resolve("receiver_removed", request, receiver, applied)

    async def refresh(self) -> None:
        """Make the file anew, as after a change of the configuration.

        What goes wrong is in the log and nowhere else: pings are taken whatever
        becomes of it. An Alertmanager that does not answer finds the new file
        when it starts; one that refuses it finds the old one.
        """
        async with self._one_at_a_time:
            await self._announce_successes()
            if self._file is None:
                return
            try:
                receivers = await self._store.receivers()
                applied = await self._apply(receivers, insist=False)
            except AfterRunError as error:
                self._file_ok = False
                reason = str(error)
                log.error("alertmanager_file_not_kept", error=reason)  # noqa: TRY400
            except Exception:
                self._file_ok = False
                log.exception("alertmanager_file_not_kept")
            else:
                log.info("alertmanager_file_kept", applied=applied.value)

    async def announce_successes(self) -> None:
        """Have those jobs announce their ok runs that a receiver wants to hear of."""
        async with self._one_at_a_time:
            await self._announce_successes()

    async def _announce_successes(self, jobs: Iterable[str] | None = None) -> None:
        """Do it for *jobs*, or for all jobs."""
        if self._announce is None:
            return
        try:
            receivers = await self._store.receivers()
            await self._announce(
                frozenset(r.job for r in receivers if r.on_success),
                None if jobs is None else frozenset(jobs),
            )
        except StorageError as error:
            # The next change, reload or start does it.
            log.error("successes_not_announced", error=str(error))  # noqa: TRY400

    async def _apply(
        self, receivers: Sequence[JobReceiver], *, insist: bool = True
    ) -> Applied:
        """Write the file and have it loaded; put the old one back where that fails.

        One that Alertmanager uses already is not loaded again: a reload sends anew
        what is just being sent. Unless we *insist*, an Alertmanager that does not answer is no failure.
        """
        if (file := self._file) is None:
            return Applied.STORED
        written = await in_background(file.write, receivers)
        if file.reload_url and (
            written.changes_configuration or not await self._is_loaded(file)
        ):
            try:
                await self._reload(file.reload_url)
            except AlertmanagerError as error:
                if not (insist or isinstance(error, AlertmanagerRefusedError)):
                    log.warning("alertmanager_not_reloaded", error=str(error))
                    self._file_ok = True
                    return Applied.WRITTEN
                await asyncio.to_thread(written.undo)
                # One that refused goes on saying that its file is bad, and one that
                # took too long to answer may have read the new one.
                with suppress(AlertmanagerError):
                    await self._reload(file.reload_url)
                raise type(error)(f"{error}; the old file is back") from None
        self._file_ok = True
        for left, reason in await asyncio.to_thread(written.tidy):
            log.warning("secret_not_removed", file=str(left), reason=reason)
        return Applied.RELOADED if file.reload_url else Applied.WRITTEN

    @staticmethod
    def _resolve(
        event: str, request: _Request, receiver: JobReceiver, applied: Applied
    ) -> None:
        log.info(
            event,
            id=receiver.id,
            job=receiver.job,
            type=receiver.type.value,
            target=origin(receiver.type, receiver.target),
            applied=applied.value,
        )
        if not request.result.done():
            request.result.set_result((receiver, applied))


def _fail(request: _Request, error: AfterRunError) -> None:
    # A client that disconnected has canceled its future.
    if not request.result.done():
        request.result.set_exception(error)


def _unknown(number: int) -> UnknownReceiverError:
    return UnknownReceiverError(f"no receiver has the id {number}")


def _with_id(number: int, receivers: Sequence[JobReceiver]) -> JobReceiver:
    found = next((one for one in receivers if one.id == number), None)
    if found is None:
        raise _unknown(number)
    return found


def _what(receiver: JobReceiver) -> tuple[str, str, str]:
    return receiver.job, receiver.type, receiver.target
