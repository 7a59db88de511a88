"""Loading and reloading the configuration of a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.cli.revision import revision
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.cli.web_config import (
    HANGS,
    WebConfigState,
    WebFile,
    config_error,
)
from afterrun_exporter.clock import Clock, in_background
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.engine.runtime import Runtime
from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.server.health import Reload

log = structlog.get_logger()


class Configuration:
    """The configuration, a file or a directory, and the state of its last read."""

    def __init__(
        self,
        path: Path | None,
        clock: Clock,
        own: SelfMetrics,
        timed_calls: TimedCalls | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._own = own
        self._timed_calls = timed_calls or TimedCalls()
        self._is_loaded = False
        #: The digest of the text that is in use, and what was read from it.
        self._current: tuple[bytes, configs.Config] | None = None

    async def load(
        self, apply: Callable[[configs.Config], Awaitable[None]] | None = None
    ) -> configs.Config:
        """Read the file, *apply* it, and record the result in the metrics.

        Raises ConfigError, or any error of *apply*; then nothing has changed.
        """
        try:
            config, sha, digest = await self._read()
            is_new = self._current is None or config is not self._current[1]
            if apply is not None and is_new:
                await apply(config)
        except AfterRunError:
            self._own.refused()
            raise
        self._is_loaded = True
        self._current = digest, config
        self._own.loaded(config.hash, sha, self._clock.now())
        return config

    async def checked(self, web_file: WebFile | None) -> WebConfigState | None:
        """Return the content of *web_file*; raise ConfigError if it is invalid."""
        try:
            return await web_file.read() if web_file else None
        except AfterRunError:
            self._own.refused()
            raise

    async def _read(self) -> tuple[configs.Config, str, bytes]:
        """Return the configuration of the file, its revision and the digest of its text.

        The configuration of an unchanged file is the same object again.
        """
        path = self._path
        if path is None:
            return configs.default(), "", b""
        try:
            # Startup waits for the file without a timeout.
            waits = not self._is_loaded
            source, digest = await self._timed_calls(_read, path, forever=waits)
            sha = await self._timed_calls(revision, path, forever=waits)
        except TimeoutError:
            raise config_error(
                path, "", HANGS.format(self._timed_calls.seconds)
            ) from None
        if self._current is not None and self._current[0] == digest:
            return self._current[1], sha, digest
        # Parsed in a thread, because a large file takes a while.
        return await in_background(configs.parse_source, source), sha, digest

    def check_jobs(self, before: AbstractSet[str], after: AbstractSet[str]) -> None:
        """Raise ConfigError if none of the jobs in *before* is in *after*.

        A truncated file, or one of another host, would retire all jobs. A single job may
        be renamed.
        """
        if not before or not after.isdisjoint(before) or (len(before) == 1 and after):
            return
        count = (
            f"all {plural(len(before), 'job')}" if len(before) > 1 else "the only job"
        )
        raise config_error(
            self._path,
            "jobs",
            f"the file would retire {count}, as it has none of them: if that is "
            "intended, POST /-/reload?retire=all, or restart the daemon",
        )


def _read(path: Path) -> tuple[configs.Source, bytes]:
    """Return the configuration at *path* and its digest."""
    source = configs.read(path)
    digest = sha256()
    for file in source.files:
        digest.update(f"{file.name}\0{len(file.text)}\0".encode())
        digest.update(file.text.encode())
    return source, digest.digest()


def reloader(
    configuration: Configuration,
    runtime: Runtime[configs.Config],
    web_file: WebFile | None = None,
    on_success: Callable[[], Awaitable[None]] | None = None,
) -> Reload:
    """Return the function that reads the files again and reconfigures *runtime*.

    After each success *on_success* is awaited.
    """
    one_at_a_time = asyncio.Lock()

    async def reload(*, retire_all: bool = False) -> None:
        async def use(new: configs.Config) -> None:
            if not retire_all:
                configuration.check_jobs(runtime.configured_jobs, new.jobs.keys())
            await runtime.reconfigure(new)

        async with one_at_a_time:
            try:
                web_config = await configuration.checked(web_file)
                config = await configuration.load(use)
            except AfterRunError as error:
                log.error("config_refused", problems=str(error))  # noqa: TRY400
                raise
            if web_file is not None:
                web_file.apply(web_config)
            log.info("config_loaded", hash=config.hash, jobs=len(config.jobs))
            if on_success is not None:
                await on_success()

    return reload
