"""Loading and reloading the configuration of a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from collections.abc import Set as AbstractSet
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.cli.origins import Origin, Version
from afterrun_exporter.cli.web_config import WebConfigState, WebFile
from afterrun_exporter.clock import Clock, in_background
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.engine.runtime import Runtime
from afterrun_exporter.errors import AfterRunError, ConfigError, GitError, Problem
from afterrun_exporter.exposition.self_metrics import SelfMetrics

log = structlog.get_logger()

#: A fetch; it returns True if there is something to load.
Fetch = Coroutine[None, None, bool]


class Configuration:
    """The configuration at *origin*, and the state of its last read."""

    def __init__(self, origin: Origin, clock: Clock, own: SelfMetrics) -> None:
        self._origin = origin
        self._clock = clock
        self._own = own
        #: The digest of the texts that are in use, and what was read from them.
        self._current: tuple[bytes, configs.Config] | None = None
        #: The newest revision, if that is known, and the last one that was used or
        #: refused.
        self._newest: str | None = None
        self._attempted: str | None = None
        #: The digest of the texts that were used or refused last, or of the reason why
        #: they could not be read; None before, and if they are to be tried again.
        self.attempted_texts: bytes | None = None

    async def start(self) -> configs.Config:
        """Return the configuration to start with; raise AfterRunError."""
        await self._origin.start()
        try:
            return await self.load()
        except (ConfigError, GitError) as error:
            if not await self._origin.start_anew():
                raise
            log.warning("cached_config_refused", problems=str(error))
            return await self.load()

    async def load(
        self,
        apply: Callable[[configs.Config], Awaitable[None]] | None = None,
        note_revision: Callable[[str], None] | None = None,
    ) -> configs.Config:
        """Read the configuration, *apply* it, and record the result in the metrics.

        If only its revision is new, that is noted. Raises ConfigError, or any error of
        *apply*; then nothing has changed.
        """
        digest: bytes | None = None
        try:
            version = await self._origin.read()
            digest = _digest(version)
            config = await self._parsed(version, digest)
            is_new = self._current is None or digest != self._current[0]
            if apply is not None and is_new:
                await apply(config)
        except AfterRunError as error:
            if isinstance(error, ConfigError):
                self._attempted = self._newest
                self.attempted_texts = digest_of(error) if digest is None else digest
            self._own.refused()
            raise
        if note_revision is not None and not is_new:
            note_revision(version.revision)
        self._current = digest, config
        self.attempted_texts = digest
        self._attempted = version.revision
        await self._origin.accept(version)
        self._own.loaded(config.hash, version.revision, self._clock.now())
        return config

    async def refresh(self) -> bool:
        """Get the newest version; return True unless it was used or refused before.

        Raises GitError.
        """
        self._newest = await self._origin.refresh()
        return self._newest is None or self._newest != self._attempted

    @property
    def base(self) -> Path | None:
        """The alertmanager.yml that the managed one is made from; None without one."""
        if self._current is None:
            return None
        settings = self._current[1].alertmanager
        if not settings.base or not settings.config_file:
            return None
        return self._origin.beside / settings.base

    def refuse(self, error: ConfigError) -> None:
        """Record and log texts that cannot be read, because of *error*."""
        self.attempted_texts = digest_of(error)
        self._own.refused()
        log.error("config_refused", problems=str(error))

    async def checked(self, web_file: WebFile) -> WebConfigState | None:
        """Return the content of *web_file*; raise ConfigError if it is invalid."""
        try:
            return await web_file.read()
        except AfterRunError:
            self._own.refused()
            raise

    async def _parsed(self, version: Version, digest: bytes) -> configs.Config:
        """Return the configuration of *version*.

        The configuration of unchanged texts is the same object again, unless its revision
        is another one.
        """
        if self._current is not None and self._current[0] == digest:
            config = self._current[1]
        elif version.source is None:
            config = configs.default()
        else:
            # Parsed in a thread, because a large file takes a while.
            config = await in_background(configs.parse_source, version.source)
        if config.job_config.revision == version.revision:
            return config
        job_config = replace(config.job_config, revision=version.revision)
        return replace(config, job_config=job_config)

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
        message = (
            f"the file would retire {count}, as it has none of them: if that is "
            "intended, POST /-/reload?retire=all, or restart the daemon"
        )
        raise ConfigError(self._origin.name, [Problem(0, "jobs", message)])


def _digest(version: Version) -> bytes:
    """Return the digest of the texts of *version*."""
    return version.source.digest if version.source else b""


def digest_of(error: ConfigError) -> bytes:
    """Return the digest of *error*, in place of texts that cannot be read."""
    return sha256(str(error).encode()).digest()


class Reloader:
    """Reads the configuration again, and reconfigures *runtime*.

    After each success *on_success* is awaited. *unless_stopped* awaits a fetch, and
    raises StoppingError if the daemon stops meanwhile.
    """

    def __init__(
        self,
        configuration: Configuration,
        runtime: Runtime[configs.Config],
        web_file: WebFile | None = None,
        on_success: Callable[[], Awaitable[None]] | None = None,
        unless_stopped: Callable[[Fetch], Awaitable[bool]] | None = None,
    ) -> None:
        self._configuration = configuration
        self._runtime = runtime
        self._web_file = web_file
        self._on_success = on_success
        self._unless_stopped = unless_stopped
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, *, retire_all: bool = False) -> None:
        """See `server.health.Reload`."""
        errors: list[AfterRunError] = []
        try:
            # At once, because a fetch may take minutes.
            await self._reload_web_file()
        except AfterRunError as error:
            errors.append(error)
        try:
            async with self._one_at_a_time:
                await self._refresh()
                if not errors:
                    await self._load(retire_all=retire_all)
        except AfterRunError as error:
            errors.append(error)
        if len(errors) > 1:
            raise GitError("\n".join(map(str, errors)))
        if errors:
            raise errors[0]

    async def poll(self) -> None:
        """Use a version that was neither used nor refused before, if there is one.

        Errors are logged.
        """
        async with self._one_at_a_time:
            try:
                if await self._refresh():
                    await self._load(retire_all=False)
            except AfterRunError:
                # It has been logged.
                return

    async def _refresh(self) -> bool:
        fetch = self._configuration.refresh()
        return await (self._unless_stopped(fetch) if self._unless_stopped else fetch)

    async def _reload_web_file(self) -> None:
        if self._web_file is None:
            return
        try:
            self._web_file.apply(await self._configuration.checked(self._web_file))
        except AfterRunError as error:
            log.error("config_refused", problems=str(error))  # noqa: TRY400
            raise

    async def _load(self, *, retire_all: bool) -> None:
        configuration, runtime = self._configuration, self._runtime

        async def use(new: configs.Config) -> None:
            if not retire_all:
                configuration.check_jobs(runtime.configured_jobs, new.jobs.keys())
            await runtime.reconfigure(new)

        try:
            config = await configuration.load(use, runtime.note_revision)
        except AfterRunError as error:
            log.error("config_refused", problems=str(error))  # noqa: TRY400
            raise
        log.info("config_loaded", hash=config.hash, jobs=len(config.jobs))
        if self._on_success is not None:
            await self._on_success()
