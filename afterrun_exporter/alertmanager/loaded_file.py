"""The managed alertmanager.yml, and the receivers that Alertmanager has loaded from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from enum import StrEnum

import structlog

from afterrun_exporter.alertmanager.managed_file import IsLoaded, ManagedFile, Reload
from afterrun_exporter.clock import in_background
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.errors import (
    AfterRunError,
    AlertmanagerError,
    AlertmanagerRefusedError,
)

log = structlog.get_logger()


class Applied(StrEnum):
    """The progress of a change of the receivers."""

    #: No alertmanager.yml is managed: the receiver is only stored.
    STORED = "stored"
    WRITTEN = "written"
    #: Written; Alertmanager loads it with other changes, a moment later.
    RELOADING = "reloading"
    RELOADED = "reloaded"


class LoadedFile:
    """A managed file, if there is one, and its state in Alertmanager."""

    def __init__(self, reload: Reload, is_loaded: IsLoaded) -> None:
        self._reload = reload
        self._is_loaded = is_loaded
        self.managed: ManagedFile | None = None
        self._is_ok = True
        #: The receivers in the last file that Alertmanager loaded.
        self._accepted: Sequence[JobReceiver] | None = None

    @property
    def is_ok(self) -> bool | None:
        """True if the file is up to date; None if no file is managed.

        False if it could not be written or Alertmanager refused it; then the previous
        file is still in place. An unreachable Alertmanager reads it when it starts.
        """
        return None if self.managed is None else self._is_ok

    async def apply(
        self,
        receivers: Sequence[JobReceiver],
        *,
        insist: bool = True,
    ) -> Applied:
        """Write the file and reload Alertmanager; restore the old file if that fails.

        A file that Alertmanager already uses is not reloaded, because a reload repeats
        notifications in flight. Unless *insist*, an Alertmanager that does not respond
        is no failure.
        """
        if (file := self.managed) is None:
            return Applied.STORED
        written_files = await in_background(file.write, receivers)
        if file.reload_url and (
            written_files.changes_configuration or not await self._is_loaded(file)
        ):
            try:
                await self._reload(file.reload_url)
            except AlertmanagerError as error:
                if not (insist or isinstance(error, AlertmanagerRefusedError)):
                    log.warning("alertmanager_not_reloaded", error=str(error))
                    self._is_ok = True
                    return Applied.WRITTEN
                await asyncio.to_thread(written_files.undo)
                # After a refusal this clears the error state of Alertmanager; after a
                # timeout it may have read the new file.
                with suppress(AlertmanagerError):
                    await self._reload(file.reload_url)
                raise type(error)(f"{error}; the old file was restored") from None
        self._is_ok = True
        self._accepted = receivers
        for file_left, reason in await asyncio.to_thread(written_files.prune_secrets):
            log.warning("secret_not_removed", file=str(file_left), reason=reason)
        return Applied.RELOADED if file.reload_url else Applied.WRITTEN

    async def write(self, receivers: Sequence[JobReceiver]) -> Applied:
        """Write the file, which Alertmanager loads later.

        The secrets of removed receivers stay, because they are in use until then.
        """
        if (file := self.managed) is None:
            return Applied.STORED
        await in_background(file.write, receivers)
        return Applied.RELOADING if file.reload_url else Applied.WRITTEN

    async def keep(self, every: Callable[[], Awaitable[Sequence[JobReceiver]]]) -> bool:
        """Write the file for *every* receiver and reload Alertmanager.

        Returns False if it does not respond. Errors are only logged.
        """
        if self.managed is None:
            return True
        try:
            applied = await self.apply(await every(), insist=False)
        except AfterRunError as error:
            self._is_ok = False
            reason = str(error)
            log.error("alertmanager_file_not_kept", error=reason)  # noqa: TRY400
        except Exception:
            self._is_ok = False
            log.exception("alertmanager_file_not_kept")
        else:
            log.info("alertmanager_file_kept", applied=applied.value)
            return applied is Applied.RELOADED or not self.managed.reload_url
        return True

    async def restore(self) -> None:
        """Write the last file that Alertmanager loaded, and reload it."""
        if self.managed is not None and self._accepted is not None:
            with suppress(AfterRunError):
                await in_background(self.managed.write, self._accepted)
                await self._reload(self.managed.reload_url)
