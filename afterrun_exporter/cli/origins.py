"""Places that the configuration of a daemon is read from: a path, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from afterrun_exporter import config as configs
from afterrun_exporter.cli.revision import revision
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.cli.web_config import HANGS, config_error


@dataclass(frozen=True, slots=True)
class Version:
    """The configuration as it was read at one time."""

    #: None for the default configuration.
    source: configs.Source | None
    #: The commit that it is in, with "-dirty" if it differs from it; "" if unknown.
    revision: str


class Origin(Protocol):
    """A place that the configuration is read from."""

    @property
    def name(self) -> str:
        """Its name in problems and messages; "" without a configuration."""

    @property
    def beside(self) -> Path:
        """The directory that relative paths of the configuration start from."""

    async def start(self) -> None:
        """Prepare the first read; raise AfterRunError if there will be none."""

    async def start_anew(self) -> bool:
        """Return True if the first read may succeed now, after it failed.

        Raises AfterRunError.
        """

    async def refresh(self) -> str | None:
        """Get the newest version; return its revision, None if reading will find it.

        Raises GitError, and keeps the version before it.
        """

    async def read(self) -> Version:
        """Return the version to use; raise AfterRunError if it cannot be read."""

    async def accept(self, version: Version) -> None:
        """Note that *version* is in use now."""


class FileOrigin:
    """A file or a directory; None for the default configuration."""

    def __init__(
        self, path: Path | None, timed_calls: TimedCalls | None = None
    ) -> None:
        self._path = path
        self._timed_calls = timed_calls or TimedCalls()
        self._is_accepted = False
        self._beside = Path()

    @property
    def name(self) -> str:
        return str(self._path) if self._path is not None else ""

    @property
    def beside(self) -> Path:
        # Without access to the file, which may hang.
        return self._beside

    async def start(self) -> None:
        pass

    async def start_anew(self) -> bool:
        return False

    async def refresh(self) -> None:
        pass

    async def read(self) -> Version:
        path = self._path
        if path is None:
            return Version(None, "")
        # Startup waits for the file without a timeout.
        waits = not self._is_accepted
        try:
            source = await self._timed_calls(configs.read, path, forever=waits)
            commit = await self._timed_calls(revision, path, forever=waits)
        except TimeoutError:
            message = HANGS.format(self._timed_calls.seconds)
            raise config_error(path, "", message) from None
        self._beside = source.beside
        return Version(source, commit)

    async def accept(self, _: Version) -> None:
        self._is_accepted = True
