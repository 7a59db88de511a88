"""Who is told of one job, and the alertmanager.yml in which Alertmanager reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import StrEnum

import structlog

from afterrun_exporter.alertmanager.managed_file import (
    IsLoaded,
    KeptFile,
    Reload,
    is_loaded,
)
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.targets import origin
from afterrun_exporter.errors import (
    AfterRunError,
    AlertmanagerError,
    AlertmanagerRefusedError,
    ReceiverExistsError,
    StorageError,
    UnknownReceiverError,
)
from afterrun_exporter.storage.store import Store

log = structlog.get_logger()


#: Has the jobs of these names announce their ok runs, and no others.
Announce = Callable[[frozenset[str]], Awaitable[None]]


class Applied(StrEnum):
    """How far a change of the receivers has come."""

    #: No alertmanager.yml is kept: it is stored, and `generate` will not see it.
    STORED = "stored"
    WRITTEN = "written"
    RELOADED = "reloaded"


class Receivers:
    """The stored receivers and the file made of them: changed together or not at all.

    One change at a time. A change that Alertmanager does not take is undone, in
    the database and in the file.
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
        self._file: KeptFile | None = None
        self._file_ok = True
        self._one_at_a_time = asyncio.Lock()

    def keep(self, file: KeptFile | None) -> None:
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
        async with self._one_at_a_time:
            known = await self._store.receivers()
            for one in known:
                if _what(one) == _what(receiver):
                    raise ReceiverExistsError(
                        f"job {one.job!r} has this {one.type} receiver already: it is "
                        f"{one.id}; delete that one to change it"
                    )
            added = await self._store.add_receiver(receiver)
            try:
                applied = await self._apply([*known, added])
            except Exception:
                await self._store.remove_receiver(added.id)
                raise
            await self._announce_successes()
        self._log("receiver_added", added, applied)
        return added, applied

    async def remove(self, number: int) -> Applied:
        """Remove the receiver with this id; return how far that has come.

        Raises UnknownReceiverError, or as `add` does.
        """
        async with self._one_at_a_time:
            known = await self._store.receivers()
            gone = _with_id(number, known)
            applied = await self._apply([one for one in known if one is not gone])
            try:
                await self._store.remove_receiver(number)
            except StorageError:
                with suppress(AfterRunError):
                    await self._apply(known)
                raise
            await self._announce_successes()
        self._log("receiver_removed", gone, applied)
        return applied

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

    async def _announce_successes(self) -> None:
        if self._announce is None:
            return
        try:
            receivers = await self._store.receivers()
            await self._announce(frozenset(r.job for r in receivers if r.on_success))
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
        written = await asyncio.to_thread(file.write, receivers)
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
    def _log(event: str, receiver: JobReceiver, applied: Applied) -> None:
        log.info(
            event,
            id=receiver.id,
            job=receiver.job,
            type=receiver.type.value,
            target=origin(receiver.type, receiver.target),
            applied=applied.value,
        )


def _with_id(number: int, receivers: Sequence[JobReceiver]) -> JobReceiver:
    found = next((one for one in receivers if one.id == number), None)
    if found is None:
        raise UnknownReceiverError(f"no receiver has the id {number}")
    return found


def _what(receiver: JobReceiver) -> tuple[str, str, str]:
    return receiver.job, receiver.type, receiver.target
