"""Reloads of the configuration without a signal, when its files have other contents."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from afterrun_exporter.cli.configuration import Configuration, Reloader, digest_of
from afterrun_exporter.cli.flags import DURATION, grouped
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.cli.web_config import HANGS, config_error
from afterrun_exporter.clock import Clock
from afterrun_exporter.config.source import read, read_text
from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.errors import ConfigError

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")

_ENABLE: Final = "--config.enable-auto-reload"
#: Seconds between two looks, by default, as in Prometheus.
INTERVAL: Final = 30.0
#: A change is used once two reads have the same contents, which are so many seconds
#: apart: an editor may write half of a file that is valid.
SETTLE: Final = 1.0
#: Reads after which a file that changes all the time is left until the next look.
_ATTEMPTS: Final = 10

NO_FILE: Final = (
    "is neither a file nor a directory, so its changes cannot be noticed: reload it with "
    "SIGHUP"
)


@dataclass(frozen=True, slots=True)
class AutoReloadFlags:
    """The values of the flags."""

    enabled: bool
    #: Seconds.
    interval: float

    def check(self, *, has_configuration: bool) -> None:
        """Raise ValueError if nothing would be watched."""
        if self.enabled and not has_configuration:
            raise ValueError(
                f"{_ENABLE} has no effect without --config.file: add it, or remove the "
                "flag"
            )


_OPTIONS: Final[tuple[Any, ...]] = (
    click.option(
        f"{_ENABLE}/--no-{_ENABLE.removeprefix('--')}",
        "auto_reload_enabled",
        default=False,
        help="Reload the configuration when the contents of its files change, as SIGHUP "
        "does.  [default: off]",
    ),
    click.option(
        "--config.auto-reload-interval",
        "auto_reload_interval",
        type=DURATION,
        default=INTERVAL,
        show_default="30s",
        help=f"How often {_ENABLE} reads the files.",
    ),
)


def auto_reload_options(command: F) -> F:
    """Add the flags to *command*, as one `AutoReloadFlags` named auto_reload_flags."""
    return grouped(command, AutoReloadFlags, "auto_reload_", _OPTIONS)


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of the watched files at one time."""

    #: The digest of the configuration, or of the reason why it cannot be read.
    texts: bytes
    problem: ConfigError | None
    #: The digest of the alertmanager.yml that is merged with ours; b"" without one.
    base: bytes

    def is_same(self, other: Contents) -> bool:
        """Return True if *other* has the same contents."""
        return (self.texts, self.base) == (other.texts, other.base)


class AutoReload:
    """Reloads the configuration at *path* when its contents change.

    Contents that were refused are not tried again.
    """

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        reload: Reloader,
        clock: Clock,
        settle: float = SETTLE,
        timed_calls: TimedCalls | None = None,
    ) -> None:
        self._path = path
        self._configuration = configuration
        self._reload = reload
        self._clock = clock
        self._settle = settle
        self._timed_calls = timed_calls or TimedCalls()
        #: The base at the last reload; None if it is not known.
        self._base: bytes | None = None

    async def look(self) -> None:
        """Read the files, and reload them if they have new contents that last."""
        contents = await self._read()
        if self._base is None:
            self._base = contents.base
        attempts = 0
        while self._is_new(contents):
            await self._clock.sleep(self._settle)
            before, contents = contents, await self._read()
            if contents.is_same(before):
                await self._use(contents)
                return
            attempts += 1
            if attempts == _ATTEMPTS:
                return

    async def _use(self, contents: Contents) -> None:
        path, self._base = self._configuration.base, contents.base
        if contents.problem is not None:
            self._configuration.refuse(contents.problem)
            return
        await self._reload.poll()
        if self._configuration.base != path:
            self._base = None

    def _is_new(self, contents: Contents) -> bool:
        is_known = contents.texts == self._configuration.attempted_texts
        return not is_known or contents.base != self._base

    async def _read(self) -> Contents:
        path = self._path
        try:
            return await self._timed_calls(contents_of, path, self._configuration.base)
        except TimeoutError:
            message = HANGS.format(self._timed_calls.seconds)
            return _unreadable(config_error(path, "", message), b"")


def contents_of(path: Path, base: Path | None = None) -> Contents:
    """Return the contents of the configuration at *path*, and of its *base*."""
    base_digest = b""
    if base is not None:
        try:
            base_digest = sha256(_unless_pipe(read_text, base).encode()).digest()
        except ConfigError as error:
            base_digest = digest_of(error)
    try:
        return Contents(_unless_pipe(read, path).digest, None, base_digest)
    except ConfigError as error:
        return _unreadable(error, base_digest)


def _unless_pipe(read_file: Callable[[Path], T], path: Path) -> T:
    """Return the result of *read_file* for *path*.

    A pipe is not opened: what is in it, is for the next reload. Raises ConfigError.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise config_error(path, "", NO_FILE)
    return read_file(path)


def _unreadable(error: ConfigError, base: bytes) -> Contents:
    return Contents(digest_of(error), error, base)


def auto_reloads(
    flags: AutoReloadFlags,
    path: Path | None,
    configuration: Configuration,
    reload: Reloader,
    clock: Clock,
) -> list[Coroutine[None, None, None]]:
    """Return the task that watches the configuration at *path* if *flags* enable it."""
    if not flags.enabled or path is None:
        return []
    settle = min(SETTLE, flags.interval)
    watch = AutoReload(path, configuration, reload, clock, settle)
    task = PeriodicTask(
        name="auto_reload", work=watch.look, every=flags.interval, first=0.0
    )
    return [task.run(clock)]
