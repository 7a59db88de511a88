"""Receivers of single jobs, and their alertmanager.yml."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from afterrun_exporter.alertmanager.loaded_file import Applied, LoadedFile
from afterrun_exporter.alertmanager.managed_file import (
    IsLoaded,
    ManagedFile,
    Reload,
    is_loaded,
)
from afterrun_exporter.alertmanager.recipients import Recipients
from afterrun_exporter.alertmanager.secret_files import SecretFiles
from afterrun_exporter.alertmanager.shared_reload import SharedReload
from afterrun_exporter.clock import Clock, SystemClock
from afterrun_exporter.core.receiver_targets import is_plain, origin
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.errors import (
    AfterRunError,
    AlertmanagerRefusedError,
    GenerateError,
    ReceiverExistsError,
    StorageError,
    UnknownReceiverError,
)
from afterrun_exporter.storage.store import Store

log = structlog.get_logger()


#: Makes the jobs in the first set announce successful runs, and the other jobs of the
#: second set not; None for all jobs.
Announce = Callable[[frozenset[str], frozenset[str] | None], Awaitable[None]]

#: The most receivers that are added or removed by one change of the file. Alertmanager
#: reloads the whole file after each change, so concurrent requests share one.
MOST_AT_ONCE: Final = 1000

#: With more receivers than this, changes soon after a reload share the next one.
FEW: Final = 100

#: Errors that a single receiver of a batch may cause.
_REFUSALS: Final = (AlertmanagerRefusedError, GenerateError)


#: The receiver of a request and what its change resulted in.
_Result = asyncio.Future[tuple[JobReceiver, Applied]]


@dataclass(frozen=True, slots=True)
class _Addition:
    """A request to add a receiver."""

    receiver: JobReceiver
    result: _Result

    @property
    def subject(self) -> tuple[str, str, str]:
        return _identity(self.receiver)


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
    """The stored receivers and the file generated from them, changed atomically.

    Changes are made one at a time; requests that arrive during a change share the next
    one. A change that Alertmanager refuses is undone in the database and in the file.
    Many changes one after another share reloads, if Alertmanager cannot refuse them.
    """

    def __init__(
        self,
        store: Store,
        reload: Reload,
        announce: Announce | None = None,
        is_loaded: IsLoaded = is_loaded,
        clock: Clock | None = None,
    ) -> None:
        #: The receivers of alerts, by the configured routes.
        self.recipients = Recipients()
        #: The secrets of the configured receivers.
        self.secrets = SecretFiles(lambda: self._leads)
        self._store = store
        self._announce = announce
        self._file = LoadedFile(reload, is_loaded)
        self._shared_reload = SharedReload(clock or SystemClock(), self._reload_shared)
        #: The stored receivers, once they were read.
        self._cache: list[JobReceiver] | None = None
        self._lock = asyncio.Lock()
        self._waiting: deque[_Request] = deque()
        self._changes: asyncio.Task[None] | None = None

    def manage(
        self, file: ManagedFile | None, secrets: Sequence[Path] | None = None
    ) -> None:
        """Manage *file* from the next change on, which refers to *secrets*."""
        self._file.managed = file
        self.secrets.watch(secrets)

    @property
    def _leads(self) -> bool:
        """True while this replica writes the file."""
        return self._store.replicas.is_leader

    @property
    def file_ok(self) -> bool | None:
        """See `LoadedFile.is_ok`; None while another replica writes the file."""
        return self._file.is_ok if self._leads else None

    async def every(self) -> list[JobReceiver]:
        """Return all receivers, in the order of their creation."""
        return await self._store.receivers()

    async def of(self, job: str) -> list[JobReceiver]:
        """Return the receivers of *job*, in the order of their creation."""
        return [one for one in await self._store.receivers() if one.job == job]

    async def get(self, number: int) -> JobReceiver:
        """Return the receiver with this id; raise UnknownReceiverError if there is none."""
        return _with_id(number, await self._store.receivers())

    async def add(self, receiver: JobReceiver) -> tuple[JobReceiver, Applied]:
        """Add *receiver*; return it as stored, and the progress of the change.

        Raises ReceiverExistsError, AlertmanagerError, GenerateError or StorageError,
        without changes.
        """
        loop = asyncio.get_running_loop()
        return await self._request(_Addition(receiver, loop.create_future()))

    async def remove(self, number: int) -> Applied:
        """Remove the receiver with this id; return the progress of the change.

        Raises UnknownReceiverError, and the errors of `add`.
        """
        loop = asyncio.get_running_loop()
        _, applied = await self._request(_Removal(number, loop.create_future()))
        return applied

    async def finish(self) -> None:
        """Make Alertmanager load the last changes, as part of a shutdown."""
        with suppress(TimeoutError):
            await self._shared_reload.finish()

    async def _all(self) -> list[JobReceiver]:
        """Return the stored receivers, as each change needs all.

        They are read once, unless other replicas may change them.
        """
        if self._cache is None or self._store.replicas.is_shared:
            self._cache = await self._store.receivers()
        return self._cache

    async def _request(self, request: _Request) -> tuple[JobReceiver, Applied]:
        self._waiting.append(request)
        if self._changes is None:
            # A separate task, because several requests may wait for the same change.
            self._changes = asyncio.create_task(self._change_waiting())
        return await request.result

    async def _change_waiting(self) -> None:
        try:
            while self._waiting:
                async with self._lock:
                    await self._change(self._next())
        finally:
            self._changes = None

    def _next(self) -> list[_Request]:
        """Remove and return the next requests that fit in one change."""
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
        """Apply *batch* as one change, or one by one if that fails."""
        try:
            await self._add([one for one in batch if isinstance(one, _Addition)])
            await self._remove([one for one in batch if isinstance(one, _Removal)])
        except Exception as error:  # noqa: BLE001 - raised again by `_request`
            remaining = [request for request in batch if not request.result.done()]
            # One request may have caused the error. Do not retry each one with an
            # Alertmanager that does not respond.
            if len(remaining) > 1 and isinstance(error, _REFUSALS):
                for request in remaining:
                    await self._change([request])
                return
            for request in remaining:
                request.result.set_exception(error)

    async def _add(self, batch: Sequence[_Addition]) -> None:
        if not batch:
            return
        receivers = await self._all()
        by_subject = {_identity(one): one for one in receivers}
        accepted: list[_Addition] = []
        for request in batch:
            if one := by_subject.get(request.subject):
                problem = (
                    f"job {one.job!r} already has this {one.type} receiver, with id "
                    f"{one.id}; delete it to change it"
                )
                _fail(request, ReceiverExistsError(problem))
            else:
                accepted.append(request)
        if not accepted:
            return
        self._cache = None
        added = await self._store.add_receivers([one.receiver for one in accepted])
        try:
            applied = await self._apply(
                [*receivers, *added],
                may_share=all(is_plain(one.type, one.target) for one in added),
            )
        except Exception:
            await self._store.remove_receivers([one.id for one in added])
            raise
        self._cache = [*receivers, *added]
        await self._announce_successes({one.job for one in added})
        for request, receiver in zip(accepted, added, strict=True):
            self._resolve("receiver_added", request, receiver, applied)

    async def _remove(self, batch: Sequence[_Removal]) -> None:
        if not batch:
            return
        receivers = await self._all()
        by_id = {one.id: one for one in receivers}
        removed: dict[int, JobReceiver] = {}
        for request in batch:
            if receiver := by_id.get(request.number):
                removed[request.number] = receiver
            else:
                _fail(request, _unknown(request.number))
        if not removed:
            return
        remaining = [one for one in receivers if one.id not in removed]
        applied = await self._apply(remaining, may_share=True)
        self._cache = None
        try:
            await self._store.remove_receivers(list(removed))
        except StorageError:
            with suppress(AfterRunError):
                await self._apply(receivers)
            raise
        self._cache = remaining
        await self._announce_successes({one.job for one in removed.values()})
        for request in batch:
            if receiver := removed.get(request.number):
                self._resolve("receiver_removed", request, receiver, applied)

    async def refresh(self) -> None:
        """Rewrite the file, as after a change of the configuration.

        It is work of the leader.
        Errors are only logged, because they must not affect pings. An Alertmanager that
        does not respond reads the new file when it starts; if it refuses the file, the
        old one is restored.
        """
        async with self._lock:
            self._cache = None
            await self._announce_successes()
            await self._keep()

    async def _keep(self) -> bool:
        responds = await self._file.keep(self._all)
        if responds and self._file.is_ok:
            self._shared_reload.note()
        return responds

    async def _reload_shared(self) -> bool:
        """Reload Alertmanager for several changes; return False if it does not respond."""
        async with self._lock:
            responds = await self._keep()
            if not self._file.is_ok:
                # The receivers are not the reason: they are written again later.
                await self._file.restore()
            return responds

    async def _apply(
        self, receivers: Sequence[JobReceiver], *, may_share: bool = False
    ) -> Applied:
        """Write the file and reload Alertmanager; restore the old file if that fails.

        A change that *may_share* a reload is loaded a moment later if there are many
        receivers and another reload is near. Also if another replica writes the file.
        """
        file = self._file
        if not self._leads:
            return Applied.STORED if file.managed is None else Applied.RELOADING
        shares = may_share and file.is_ok and len(receivers) > FEW
        if shares and self._shared_reload.is_near:
            applied = await file.write(receivers)
            if applied is Applied.RELOADING:
                self._shared_reload.schedule()
            return applied
        applied = await file.apply(receivers)
        self._shared_reload.note()
        return applied

    async def announce_successes(self) -> None:
        """Make jobs announce successful runs if a receiver is configured for them."""
        async with self._lock:
            await self._announce_successes()

    async def _announce_successes(self, jobs: Iterable[str] | None = None) -> None:
        """Update the announcements of *jobs*, or of all jobs."""
        if self._announce is None:
            return
        try:
            receivers = await self._all()
            await self._announce(
                frozenset(r.job for r in receivers if r.on_success),
                None if jobs is None else frozenset(jobs),
            )
        except StorageError as error:
            # The next change, reload or start repeats it.
            log.error("successes_not_announced", error=str(error))  # noqa: TRY400

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
    # A disconnected client has canceled its future.
    if not request.result.done():
        request.result.set_exception(error)


def _unknown(number: int) -> UnknownReceiverError:
    return UnknownReceiverError(f"no receiver has the id {number}")


def _with_id(number: int, receivers: Sequence[JobReceiver]) -> JobReceiver:
    receiver = next((one for one in receivers if one.id == number), None)
    if receiver is None:
        raise _unknown(number)
    return receiver


def _identity(receiver: JobReceiver) -> tuple[str, str, str]:
    return receiver.job, receiver.type, receiver.target
