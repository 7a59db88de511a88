"""The configuration file of a daemon: read, applied, and read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.cli.locks import Locks, WebFile
from afterrun_exporter.clock import Clock
from afterrun_exporter.config import revision
from afterrun_exporter.errors import AfterRunError
from afterrun_exporter.exposition.selfmetrics import SelfMetrics
from afterrun_exporter.service import Service
from afterrun_exporter.web.health import Reload

log = structlog.get_logger()


class Configuration:
    """The configuration file, and what has become of reading it."""

    def __init__(self, path: Path | None, clock: Clock, own: SelfMetrics) -> None:
        self._path = path
        self._clock = clock
        self._own = own

    async def load(
        self, apply: Callable[[configs.Config], Awaitable[None]]
    ) -> configs.Config:
        """Apply what the file says now, and remember how that went.

        Raises ConfigError, or what *apply* raises; then nothing has changed.
        """
        # A large file takes a while; pings are answered meanwhile.
        try:
            config, sha = await asyncio.to_thread(self._read)
            await apply(config)
        except AfterRunError:
            self._own.refused()
            raise
        self._own.loaded(config.hash, sha, self._clock.now())
        return config

    async def checked(self, web_file: WebFile | None) -> Locks | None:
        """Return what *web_file* says now; raise ConfigError if that cannot be."""
        try:
            return await web_file.read() if web_file else None
        except AfterRunError:
            self._own.refused()
            raise

    def _read(self) -> tuple[configs.Config, str]:
        if self._path is None:
            return configs.default(), ""
        return configs.load(self._path), revision.git_sha(self._path)


async def nothing_else(_: configs.Config) -> None:
    """At the start there is nothing yet that the configuration applies to."""


def reloader(
    configuration: Configuration,
    service: Service,
    then: Callable[[configs.Config], Awaitable[None]] = nothing_else,
    web_file: WebFile | None = None,
) -> Reload:
    """Return what makes *service* go by the file as it is now, and by the *web_file*.

    *then* is done afterwards, and can refuse nothing any more.
    """
    one_at_a_time = asyncio.Lock()

    async def reload() -> None:
        async with one_at_a_time:
            try:
                locks = await configuration.checked(web_file)
                config = await configuration.load(
                    lambda new: service.reconfigure(new.catalogue)
                )
            except AfterRunError as error:
                log.error("config_refused", problems=str(error))  # noqa: TRY400
                raise
            if web_file is not None:
                web_file.apply(locks)
            log.info("config_loaded", hash=config.hash, jobs=len(config.jobs))
            await then(config)

    return reload
