"""A configuration is reloaded when its contents change, and at no other time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from afterrun_exporter import config as configs
from afterrun_exporter.cli import auto_reload
from afterrun_exporter.cli.auto_reload import AutoReload, AutoReloadFlags, auto_reloads
from afterrun_exporter.cli.configuration import Configuration, Reloader
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.origins import FileOrigin
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.config import source
from afterrun_exporter.engine.periodic import running
from afterrun_exporter.engine.runtime import Runtime
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from tests.fakes import ManualClock, MemoryStore

GOOD = "jobs: {backup: {every: 1h}}\n"
BETTER = "jobs: {backup: {every: 2h}}\n"
BROKEN = "jobs: {backup: {evry: 1h}}\n"
RELOADED_AT = "afterrun_config_last_reload_success_timestamp_seconds"
SUCCESSFUL = "afterrun_config_last_reload_successful"


class Daemon:
    """What `afterrun serve --config.enable-auto-reload` makes of a path."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.path = path
        self.clock = clock
        self.own = SelfMetrics("1.2.3")
        self.configuration = Configuration(FileOrigin(path), clock, self.own)
        self.managed = 0
        self.timed_calls = TimedCalls()

    async def start(self) -> Daemon:
        config = await self.configuration.start()
        self.service = Service(MemoryStore(), self.clock, config.job_config)
        self.runtime = Runtime[configs.Config](self.service)
        await self.runtime.start(config)
        self.reload = Reloader(
            self.configuration, self.runtime, on_success=self._write_managed
        )
        self.watch = AutoReload(
            self.path,
            self.configuration,
            self.reload,
            self.clock,
            timed_calls=self.timed_calls,
        )
        await self.look()
        return self

    async def _write_managed(self) -> None:
        self.managed += 1

    async def look(self, meanwhile: Callable[[int], object] = id) -> None:
        """Look once, with *meanwhile* called before each second that passes."""
        task = asyncio.create_task(self.watch.look())
        second = 0
        while not task.done():
            await yield_to_loop()
            if self.clock.is_asleep(task):
                meanwhile(second)
                second += 1
                await self.clock.advance(1.0)
        await task

    @property
    def every(self) -> str:
        schedule = self.service.job_config.jobs["backup"].schedule
        assert schedule is not None
        return schedule.text

    def metric(self, name: str) -> float:
        lines = self.own.render({name}).decode().splitlines()
        (line,) = (one for one in lines if not one.startswith("#"))
        return float(line.partition(" ")[2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "afterrun.yml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def logged() -> Iterator[Callable[[], list[str]]]:
    """The events that were logged."""
    with capture_logs() as lines:
        yield lambda: [line["event"] for line in lines]


def write(path: Path, text: str) -> None:
    path.write_text(text)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


@pytest.fixture
async def daemon(file: Path, clock: ManualClock) -> Daemon:
    return await Daemon(file, clock).start()


def rewritten(path: Path) -> None:
    path.write_text(BETTER)


def replaced(path: Path) -> None:
    """As editors and `install` do."""
    new = path.with_suffix(".new")
    new.write_text(BETTER)
    new.replace(path)


def without_a_new_time(path: Path) -> None:
    """As `cp -p` and `rsync` do, and clocks that were set back; the size is the same."""
    before = path.stat()
    path.write_text(BETTER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(BETTER)
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [rewritten, replaced, without_a_new_time, linked])
async def test_a_change_is_used_however_it_is_written(
    daemon: Daemon, file: Path, change: Callable[[Path], None]
) -> None:
    before = daemon.metric(RELOADED_AT)
    change(file)

    await daemon.look()

    assert daemon.every == "every 2h"
    assert daemon.metric(RELOADED_AT) > before


async def test_unchanged_contents_are_not_reloaded(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    """Their file may have another time: the last reload stays where it was."""
    before = daemon.metric(RELOADED_AT)
    await daemon.clock.advance(600)
    write(file, GOOD)

    await daemon.look()

    assert daemon.metric(RELOADED_AT) == before
    assert logged() == []


class ConfigMap:
    """A volume of a ConfigMap, as the kubelet writes it."""

    def __init__(self, mount: Path, files: dict[str, str]) -> None:
        self.mount = mount
        mount.mkdir()
        self._version = 0
        self._write(files)
        for name in files:
            (mount / name).symlink_to(Path("..data", name))

    def swap(self, files: dict[str, str]) -> None:
        """Replace all files at once, by one symbolic link."""
        self._write(files)

    def _write(self, files: dict[str, str]) -> None:
        self._version += 1
        folder = self.mount / f"..2026_11_30.{self._version}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        link = self.mount / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(self.mount / "..data")


@pytest.mark.parametrize("of_a_directory", [False, True])
async def test_a_configmap_that_is_swapped_is_used(
    tmp_path: Path, clock: ManualClock, *, of_a_directory: bool
) -> None:
    """The files that are mounted never change: a link behind them does."""
    volume = ConfigMap(tmp_path / "volume", {"a.yml": GOOD, "b.yml": "jobs: {b: {}}"})
    path = volume.mount if of_a_directory else volume.mount / "a.yml"
    daemon = await Daemon(path, clock).start()

    volume.swap({"a.yml": BETTER, "b.yml": "jobs: {b: {}}"})
    await daemon.look()

    assert daemon.every == "every 2h"
    assert ("b" in daemon.service.job_config.jobs) is of_a_directory


async def test_a_file_of_a_directory_comes_and_goes(
    tmp_path: Path, clock: ManualClock
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "a.yml", GOOD)
    daemon = await Daemon(folder, clock).start()

    write(folder / "b.yml", "jobs: {sync: {}}")
    await daemon.look()
    assert daemon.service.job_config.jobs.keys() == {"backup", "sync"}

    remove(folder / "b.yml")
    await daemon.look()
    assert daemon.service.job_config.jobs.keys() == {"backup"}


def broken(path: Path) -> None:
    path.write_text(BROKEN)


def empty(path: Path) -> None:
    path.write_text("")


def missing(path: Path) -> None:
    path.unlink()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def no_text(path: Path) -> None:
    path.write_bytes(b"jobs: \xff")


def too_large(path: Path) -> None:
    path.write_text(GOOD + "#" * 100)


def without_any_job_of_before(path: Path) -> None:
    path.write_text("jobs: {}")


PROBLEMS: dict[Callable[[Path], None], str] = {
    broken: "unknown key; did you mean 'every'?",
    empty: "is empty; write 'jobs: {}'",
    missing: "cannot be read: No such file or directory",
    a_pipe: "is neither a file nor a directory, so its changes cannot be noticed",
    no_text: "not UTF-8: byte 0xff",
    too_large: "larger than",
    without_any_job_of_before: "the file would retire the only job",
}


@pytest.mark.parametrize("change", PROBLEMS)
async def test_unusable_contents_keep_the_last_good_ones_and_are_logged_once(
    daemon: Daemon,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
) -> None:
    """Good ones are used again, also if they are those from before."""
    monkeypatch.setattr(source, "MAX_BYTES", 100)
    monkeypatch.setattr(source.read_text, "__defaults__", (100,))
    change(file)

    with capture_logs() as lines:
        for _ in range(3):
            await daemon.look()

    assert [line["event"] for line in lines] == ["config_refused"]
    assert PROBLEMS[change] in lines[0]["problems"]
    assert str(file) in lines[0]["problems"]
    assert (daemon.every, daemon.metric(SUCCESSFUL)) == ("every 1h", 0)

    remove(file)
    write(file, GOOD)
    await daemon.look()
    assert daemon.metric(SUCCESSFUL) == 1


async def test_each_broken_content_is_logged(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    """A second mistake is another one, and the first may come back."""
    for text in (BROKEN, BROKEN, "jobs: [", BROKEN):
        write(file, text)
        await daemon.look()

    assert logged() == ["config_refused"] * 3


async def test_a_refusal_by_signal_is_not_logged_again(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    write(file, BROKEN)
    await daemon.reload.poll()

    await daemon.look()

    assert logged() == ["config_refused"]


async def test_a_file_is_read_when_it_is_written_to_its_end(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    """Its first half may be valid, and have no more than half of the jobs."""
    whole = GOOD.rstrip("}\n") + "}, sync: {}, mails: {}}\n"
    parts = [BROKEN, "jobs: {sync: {}}", whole]
    write(file, GOOD.replace("1h", "3h"))

    await daemon.look(lambda second: write(file, parts[min(second, 2)]))

    assert daemon.service.job_config.jobs.keys() == {"backup", "sync", "mails"}
    assert logged() == ["config_loaded"]


async def test_a_file_that_changes_all_the_time_is_left_for_later(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    write(file, BETTER)

    await daemon.look(lambda second: write(file, f"{BETTER}# {second}\n"))

    assert (daemon.every, logged()) == ("every 1h", [])
    await daemon.look()
    assert daemon.every == "every 2h"


async def test_a_change_that_is_taken_back_at_once_is_none(
    daemon: Daemon, file: Path, logged: Callable[[], list[str]]
) -> None:
    write(file, BROKEN)

    await daemon.look(lambda _: write(file, GOOD))

    assert logged() == []


async def test_contents_that_could_not_be_stored_are_tried_again(
    daemon: Daemon, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk says nothing about the file."""
    reconfigure = daemon.runtime.reconfigure

    async def full(_: configs.Config) -> None:
        raise StorageError("disk is full")

    write(file, BETTER)
    monkeypatch.setattr(daemon.runtime, "reconfigure", full)
    await daemon.look()
    monkeypatch.setattr(daemon.runtime, "reconfigure", reconfigure)

    await daemon.look()

    assert daemon.every == "every 2h"


async def test_a_file_that_hangs_is_reported_once_and_delays_nothing(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one on a dead NFS server."""
    answers = threading.Event()

    def hanging(*_: object) -> auto_reload.Contents:
        answers.wait()
        raise AssertionError

    daemon.timed_calls.seconds = 0.01
    monkeypatch.setattr(auto_reload, "contents_of", hanging)
    with capture_logs() as lines:
        for _ in range(3):
            looking = asyncio.create_task(daemon.watch.look())
            while not looking.done():
                await asyncio.wait([looking], timeout=0.02)
                await daemon.clock.advance(1.0)
    answers.set()

    assert [line["event"] for line in lines] == ["config_refused"]
    assert "cannot be read within 0.01 s" in lines[0]["problems"]
    assert daemon.every == "every 1h"


BASE = "jobs: {backup: {}}\nalertmanager: {base: base.yml, config_file: ours.yml}\n"


async def test_the_alertmanager_base_is_watched_too(
    file: Path, clock: ManualClock, logged: Callable[[], list[str]]
) -> None:
    """The managed alertmanager.yml is made from it."""
    write(file, BASE)
    base = file.with_name("base.yml")
    write(base, "route: {receiver: a}\nreceivers: [{name: a}]\n")
    daemon = await Daemon(file, clock).start()
    assert daemon.managed == 0

    changes: list[Callable[[], object]] = [
        lambda: write(base, "route: {receiver: b}\nreceivers: [{name: b}]\n"),
        base.unlink,
        lambda: os.mkfifo(base),
    ]
    for number, change in enumerate(changes, 1):
        change()
        for _ in range(2):
            await daemon.look()
        assert daemon.managed == number
    assert logged() == ["config_loaded"] * 3


async def test_another_base_in_the_file_is_watched_from_then_on(
    file: Path, clock: ManualClock
) -> None:
    other = file.with_name("other.yml")
    write(other, "route: {receiver: a}\nreceivers: [{name: a}]\n")
    daemon = await Daemon(file, clock).start()
    write(file, BASE.replace("base.yml", "other.yml"))
    for _ in range(2):
        await daemon.look()
    assert daemon.managed == 1

    write(other, "route: {receiver: b}\nreceivers: [{name: b}]\n")
    await daemon.look()

    assert daemon.managed == 2


async def test_it_looks_at_its_interval(daemon: Daemon, file: Path) -> None:
    """And once at the start: the file may have changed since it was read."""
    tasks = auto_reloads(
        AutoReloadFlags(enabled=True, interval=30.0),
        file,
        daemon.configuration,
        daemon.reload,
        daemon.clock,
    )
    write(file, BETTER)
    async with running(*tasks):
        while daemon.every != "every 2h":
            await yield_to_loop()
            await daemon.clock.advance(1.0)
        start = daemon.clock.now()
        write(file, GOOD)
        while daemon.every != "every 1h":
            await yield_to_loop()
            await daemon.clock.advance(1.0)

    assert daemon.clock.now() - start >= 29.0


@pytest.mark.parametrize(
    ("enabled", "has_file", "count"),
    [(True, True, 1), (False, True, 0), (True, False, 0)],
)
async def test_it_is_off_without_its_flag_and_without_a_file(
    daemon: Daemon, file: Path, *, enabled: bool, has_file: bool, count: int
) -> None:
    """A repository is followed at an interval of its own."""
    tasks = auto_reloads(
        AutoReloadFlags(enabled=enabled, interval=30.0),
        file if has_file else None,
        daemon.configuration,
        daemon.reload,
        daemon.clock,
    )

    assert len(tasks) == count
    for task in tasks:
        task.close()


def test_it_needs_a_configuration() -> None:
    ended = CliRunner().invoke(afterrun, ["serve", "--config.enable-auto-reload"])

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr == (
        "afterrun: --config.enable-auto-reload has no effect without --config.file: add "
        "it, or remove the flag\n"
    )
