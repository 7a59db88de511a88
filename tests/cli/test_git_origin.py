"""A daemon follows a repository: newest commit, last good one, and what it reports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from afterrun_exporter import config as configs
from afterrun_exporter.cli.configuration import Configuration, Reloader
from afterrun_exporter.cli.git_flags import FollowedRepository
from afterrun_exporter.cli.git_origin import GitOrigin, follow, newest, origin_of
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.engine.runtime import Runtime
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError, GitError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.git.remote import Remote
from tests.fakes import ManualClock, MemoryStore
from tests.git.repositories import Origin, git

GOOD = "jobs: {backup: {every: 1h}}\n"
BETTER = "jobs: {backup: {every: 2h}}\n"
BROKEN = "jobs: {backup: {evry: 1h}}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Origin:
    origin = Origin.create(tmp_path / "origin")
    origin.commit({"afterrun.yml": GOOD})
    return origin


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """The events that were logged."""
    with capture_logs() as lines:
        yield lambda: [line["event"] for line in lines]


class Daemon:
    """What `afterrun serve` makes of a repository."""

    def __init__(
        self, folder: Path, origin: Origin, clock: ManualClock, path: str
    ) -> None:
        remote = Remote(url=origin.url, ref="main", path=path)
        followed = FollowedRepository(remote, 60.0, 600.0)
        self.own = SelfMetrics("1.2.3")
        database = folder / "afterrun.db"
        self.origin = origin_of(None, followed, database, clock, self.own)
        assert isinstance(self.origin, GitOrigin)
        self.configuration = Configuration(self.origin, clock, self.own)
        self.clock = clock

    async def start(self) -> configs.Config:
        config = await self.configuration.start()
        store = MemoryStore()
        self.service = Service(store, self.clock, config.job_config)
        runtime = Runtime[configs.Config](self.service)
        await runtime.start(config)
        self.reload = Reloader(self.configuration, runtime)
        return config

    @property
    def every(self) -> str:
        schedule = self.service.job_config.jobs["backup"].schedule
        assert schedule is not None
        return schedule.text

    @property
    def revision(self) -> str:
        return self.service.job_config.revision

    def metric(self, name: str) -> str:
        """Return the value of a metric, or its labels if the value is 1.0."""
        lines = self.own.render({name}).decode().splitlines()
        (line,) = (one for one in lines if not one.startswith("#"))
        return line.removeprefix(name)


@pytest.fixture
def daemon(tmp_path: Path, repository: Origin, clock: ManualClock) -> Daemon:
    return Daemon(tmp_path, repository, clock, "afterrun.yml")


LOADED = "afterrun_config_last_reload_successful"
FETCHED = "afterrun_config_last_fetch_successful"


async def test_the_first_start_fetches(daemon: Daemon, repository: Origin) -> None:
    await daemon.start()

    head = git(repository.folder, "rev-parse", "HEAD")
    assert (daemon.every, daemon.revision) == ("every 1h", head)
    assert f'git_sha="{head}"' in daemon.metric("afterrun_config_info")
    assert daemon.metric(FETCHED) == " 1.0"


async def test_the_first_start_needs_the_repository(
    daemon: Daemon, repository: Origin
) -> None:
    shutil.rmtree(repository.folder)

    with pytest.raises(GitError, match="cannot be fetched"):
        await daemon.start()


async def test_the_first_start_needs_a_good_commit(
    daemon: Daemon, repository: Origin
) -> None:
    head = repository.commit({"afterrun.yml": BROKEN})

    with pytest.raises(ConfigError) as refused:
        await daemon.start()
    assert str(refused.value).startswith(
        f"{head[:12]}:afterrun.yml:1: jobs.backup.evry: unknown key"
    )


async def test_a_new_commit_is_used(daemon: Daemon, repository: Origin) -> None:
    await daemon.start()
    head = repository.commit({"afterrun.yml": BETTER})

    await daemon.reload.poll()

    assert (daemon.every, daemon.revision) == ("every 2h", head)


async def test_a_commit_of_other_files_is_noted_without_a_change(
    daemon: Daemon, repository: Origin
) -> None:
    config = await daemon.start()
    jobs = daemon.service.job_config.jobs
    head = repository.commit({"README.md": "x"})

    await daemon.reload()

    assert daemon.revision == head
    assert daemon.service.job_config.jobs is jobs
    assert f'git_sha="{head}"' in daemon.metric("afterrun_config_info")
    assert config.job_config.revision != head


async def test_a_broken_commit_keeps_the_last_good_one(
    daemon: Daemon, repository: Origin
) -> None:
    await daemon.start()
    good = daemon.revision
    repository.commit({"afterrun.yml": BROKEN})

    with pytest.raises(ConfigError, match="unknown key"):
        await daemon.reload()

    assert (daemon.every, daemon.revision) == ("every 1h", good)
    assert f'git_sha="{good}"' in daemon.metric("afterrun_config_info")
    assert (daemon.metric(LOADED), daemon.metric(FETCHED)) == (" 0.0", " 1.0")


async def test_a_broken_commit_is_refused_once_by_polls(
    daemon: Daemon, repository: Origin, logged: Callable[[], list[str]]
) -> None:
    await daemon.start()
    repository.commit({"afterrun.yml": BROKEN})

    for _ in range(3):
        await daemon.reload.poll()

    assert logged().count("config_refused") == 1


async def test_after_a_broken_commit_going_back_is_a_success(
    daemon: Daemon, repository: Origin
) -> None:
    await daemon.start()
    good = daemon.revision
    repository.commit({"afterrun.yml": BROKEN})
    await daemon.reload.poll()
    git(repository.folder, "reset", "--quiet", "--hard", good)

    await daemon.reload.poll()

    assert (daemon.revision, daemon.metric(LOADED)) == (good, " 1.0")


async def test_a_commit_without_the_jobs_is_refused(
    daemon: Daemon, repository: Origin
) -> None:
    """One may be on the wrong branch; on request it is used."""
    await daemon.start()
    repository.commit({"afterrun.yml": "jobs: {}\n"})

    with pytest.raises(ConfigError, match="would retire the only job"):
        await daemon.reload()
    await daemon.reload(retire_all=True)

    assert not daemon.service.job_config.jobs


@pytest.mark.parametrize("path", ["conf", ""])
async def test_a_directory_is_followed(
    tmp_path: Path, repository: Origin, clock: ManualClock, path: str
) -> None:
    for number, text in enumerate((GOOD, "jobs: {other: {}}\n")):
        repository.commit({f"conf/{number}.yml": text, "afterrun.yml": GOOD})
    daemon = Daemon(tmp_path, repository, clock, path)

    config = await daemon.start()

    assert len(config.jobs) == (2 if path else 1)


async def test_a_restart_uses_the_last_good_commit_without_the_server(
    tmp_path: Path, daemon: Daemon, repository: Origin, clock: ManualClock
) -> None:
    await daemon.start()
    good = daemon.revision
    repository.commit({"afterrun.yml": BROKEN})
    await daemon.reload.poll()
    shutil.rmtree(repository.folder)
    again = Daemon(tmp_path, repository, clock, "afterrun.yml")

    await again.start()
    await again.reload.poll()

    assert (again.every, again.revision) == ("every 1h", good)
    assert (again.metric(LOADED), again.metric(FETCHED)) == (" 1.0", " 0.0")


async def test_a_cache_that_cannot_be_used_is_fetched_again(
    tmp_path: Path, daemon: Daemon, repository: Origin, clock: ManualClock
) -> None:
    await daemon.start()
    shutil.rmtree(tmp_path / "afterrun.db-git/repository.git/objects/pack")
    head = repository.commit({"afterrun.yml": BETTER})
    again = Daemon(tmp_path, repository, clock, "afterrun.yml")

    await again.start()

    assert (again.every, again.revision) == ("every 2h", head)


async def test_a_failing_fetch_is_logged_once_and_counted(
    daemon: Daemon, repository: Origin, logged: Callable[[], list[str]]
) -> None:
    await daemon.start()
    moved = repository.folder.with_name("moved")
    repository.folder.rename(moved)

    for _ in range(3):
        await daemon.reload.poll()
    with pytest.raises(GitError, match="cannot be fetched"):
        await daemon.reload()

    assert logged().count("config_fetch_failed") == 1
    failed = 'afterrun_config_fetches_total{result="failed"} 4.0'
    assert failed in daemon.own.render().decode()
    assert (daemon.metric(LOADED), daemon.metric(FETCHED)) == (" 1.0", " 0.0")

    moved.rename(repository.folder)
    await daemon.reload.poll()

    assert logged().count("config_fetch_recovered") == 1
    assert daemon.metric(FETCHED) == " 1.0"


async def test_commits_are_fetched_regularly(
    daemon: Daemon, repository: Origin
) -> None:
    """A bit earlier or later each time, so that many daemons do not ask at once."""
    await daemon.start()
    assert isinstance(daemon.origin, GitOrigin)
    work = follow(daemon.origin, daemon.reload, daemon.clock, lambda most: most)
    async with running(work):
        await yield_to_loop()
        for pause in (60, 66):
            before = daemon.revision
            head = repository.commit({"afterrun.yml": f"# {pause}\n{BETTER}"})
            await daemon.clock.advance(seconds=pause - 1)
            assert daemon.revision == before
            await daemon.clock.advance(seconds=1)
            assert daemon.revision == head


async def test_relative_paths_of_files_to_write_are_refused(
    daemon: Daemon, repository: Origin
) -> None:
    """They would be somewhere in the file system of the daemon."""
    alerting = (
        "alertmanager:\n  config_file: alertmanager.yml\n  base: base.yml\n"
        "  receivers: {a: [{email: a@example.com}]}\n"
    )
    repository.commit({"afterrun.yml": GOOD + alerting})

    with pytest.raises(ConfigError) as refused:
        await daemon.start()

    lines = str(refused.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "alertmanager.config_file",
        "alertmanager.base",
    ]


async def test_a_check_needs_no_cache(repository: Origin) -> None:
    remote = Remote(url=repository.url, ref="main")

    source = await newest(FollowedRepository(remote, 60.0, 600.0))

    assert source.files[0].text == GOOD
