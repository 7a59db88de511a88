"""A configuration in a git repository that the daemon follows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from afterrun_exporter.cli.configuration import Reloader
from afterrun_exporter.cli.git_flags import CACHE, FollowedRepository
from afterrun_exporter.cli.origins import FileOrigin, Origin, Version
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.clock import Clock
from afterrun_exporter.config import Source
from afterrun_exporter.core.commits import short_commit
from afterrun_exporter.errors import GitError
from afterrun_exporter.exposition.self_metrics import Fetches, SelfMetrics
from afterrun_exporter.git.remote import TOKEN, read_token
from afterrun_exporter.git.repository import Repository
from afterrun_exporter.storage.location import Location

#: The part by which an interval is shorter or longer, so that many daemons do not ask a
#: server at the same moment.
JITTER: Final = 0.1

log = structlog.get_logger()


class GitOrigin:
    """The configuration at a path of a repository, cached in *folder*."""

    def __init__(
        self,
        repository: FollowedRepository,
        folder: Path,
        clock: Clock,
        own: SelfMetrics,
    ) -> None:
        #: Seconds between two fetches.
        self.interval = repository.interval
        self._remote = repository.remote
        self._repository = Repository(folder, repository.remote, repository.timeout)
        self._read_token = TimedCalls()
        self._clock = clock
        #: The commit to read, and the one in use.
        self._commit = ""
        self._in_use = ""
        #: True until the first fetch.
        self.is_cached = False
        self._fetches = Fetches()
        #: The error of the last fetch, "" if it succeeded.
        self._error = ""
        own.watch_fetches(lambda: self._fetches)

    @property
    def name(self) -> str:
        commit = f" ({short_commit(self._commit)})" if self._commit else ""
        return f"{self._remote}{commit}"

    @property
    def beside(self) -> Path:
        return Path("/")

    async def start(self) -> None:
        """Use the last good commit, or fetch the newest one if there is none.

        So a daemon starts while the server cannot be reached, and is ready at once.
        """
        if self._remote.sends_plain_token:
            log.warning("git_token_unencrypted", url=self._remote.url)
        await self._repository.open()
        if (commit := await self._repository.good()) is not None:
            self._commit = self._in_use = commit
            self.is_cached = True
            return
        await self._fetch()

    async def start_anew(self) -> bool:
        """Fetch, because the last good commit cannot be used; False if it was fetched."""
        if not self.is_cached:
            return False
        await self._repository.rebuild()
        await self._fetch()
        return True

    async def refresh(self) -> str:
        """Fetch the ref; return its commit. Raises GitError, which is logged once."""
        try:
            commit = await self._fetch()
        except GitError as error:
            if str(error) != self._error:
                self._error = str(error)
                log.error("config_fetch_failed", error=self._error)  # noqa: TRY400
            raise
        if self._error:
            self._error = ""
            log.info("config_fetch_recovered", commit=commit)
        return commit

    async def _fetch(self) -> str:
        try:
            commit = await self._repository.fetch(await self._token())
        except GitError:
            self._fetches = self._fetches.after_failure()
            raise
        self._fetches = self._fetches.after_success(self._clock.now())
        self._commit, self.is_cached = commit, False
        return commit

    async def read(self) -> Version:
        return Version(await self._repository.source(self._commit), self._commit)

    async def accept(self, version: Version) -> None:
        """Keep the commit of *version* for the next start."""
        if version.revision == self._in_use:
            return
        try:
            await self._repository.keep(version.revision)
        except GitError as error:
            # It is in use, and only a start without the server would need it.
            log.warning("config_commit_not_in_use", error=str(error))
            return
        self._in_use = version.revision

    async def _token(self) -> str:
        try:
            return await self._read_token(read_token, self._remote)
        except TimeoutError:
            file = str(self._remote.token_file)
            raise GitError(f"{TOKEN} {file!r} cannot be read in time") from None


def origin_of(
    config_file: Path | None,
    repository: FollowedRepository | None,
    storage: Location,
    clock: Clock,
    own: SelfMetrics,
) -> Origin:
    """Return the place of the configuration.

    By default, fetched commits are cached in a directory beside the database at
    *storage* if that is a file.
    """
    if repository is None:
        return FileOrigin(config_file)
    cache = repository.cache
    if cache is None and isinstance(storage, Path):
        cache = storage.with_name(f"{storage.name}-git")
    return GitOrigin(repository, cache or CACHE, clock, own)


def polls(
    origin: Origin, reload: Reloader, clock: Clock, jitter: Callable[[float], float]
) -> list[Coroutine[None, None, None]]:
    """Return the task that follows *origin* if that is a repository."""
    if not isinstance(origin, GitOrigin):
        return []
    return [follow(origin, reload, clock, jitter)]


async def follow(
    origin: GitOrigin,
    reload: Reloader,
    clock: Clock,
    jitter: Callable[[float], float],
) -> None:
    """Fetch new commits regularly and use them, forever.

    A start from the cache is followed by a fetch at once.
    """
    interval = origin.interval
    pause = 0.0 if origin.is_cached else interval
    while True:
        await clock.sleep(pause)
        pause = interval * (1 - JITTER) + jitter(2 * JITTER * interval)
        try:
            await reload.poll()
        except Exception:
            log.exception("config_poll_failed")


async def newest(repository: FollowedRepository) -> Source:
    """Return the newest configuration of a repository, without a cache.

    Raises ConfigError and GitError.
    """
    with TemporaryDirectory(prefix="afterrun-git-") as folder:
        remote = repository.remote
        cache = Repository(Path(folder), remote, repository.timeout)
        await cache.open()
        commit = await cache.fetch(read_token(remote))
        return await cache.source(commit)
