"""Files that are never read block nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterrun_exporter.cli.configuration import Configuration
from afterrun_exporter.cli.origins import FileOrigin
from afterrun_exporter.cli.timed_calls import THREAD, TimedCalls
from afterrun_exporter.cli.web_config import WebFile
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.server.security import SecuritySettings
from tests.fakes import ManualClock

SOON = 0.05


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "afterrun.yml"
    made.write_text("jobs: {backup: {}}")
    return made


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A file that nobody writes; whoever reads it waits."""
    made = tmp_path / "pipe"
    os.mkfifo(made)
    yield made
    # Let the threads of the test end.
    os.close(os.open(made, os.O_RDWR | os.O_NONBLOCK))


async def test_a_result_is_returned_and_an_error_raised() -> None:
    timed_calls = TimedCalls()

    assert await timed_calls(int, "5") == 5
    with pytest.raises(ValueError, match="invalid literal"):
        await timed_calls(int, "five")
    assert await timed_calls(int, "6", forever=True) == 6


async def test_a_call_that_hangs_is_given_up_and_no_other_is_begun() -> None:
    """A thread would be left behind for each."""
    timed_calls, go = TimedCalls(SOON), threading.Event()

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await timed_calls(go.wait)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count(THREAD) == 1

    go.set()
    while timed_calls.is_waiting:
        await yield_to_loop()
    assert await timed_calls(int, "5", forever=True) == 5


def swap(file: Path, other: Path) -> None:
    """Put *other* in the place of *file*."""
    file.unlink(missing_ok=True)
    other.rename(file)


async def no_change(_: object) -> None:
    """Apply nothing."""


async def test_a_reload_of_a_file_that_hangs_is_refused(
    file: Path, pipe: Path, clock: ManualClock
) -> None:
    """Seen: it blocked every later reload, and the stop."""
    metrics = SelfMetrics("1.2.3")
    configuration = Configuration(FileOrigin(file, TimedCalls(SOON)), clock, metrics)
    await configuration.load(no_change)
    swap(file, pipe)

    with pytest.raises(ConfigError) as caught:
        await configuration.load(no_change)

    assert str(caught.value) == (
        f"{file}: cannot be read within 0.05 s: is it a pipe, or on NFS?"
    )
    swap(pipe, file)


async def test_a_web_configuration_that_hangs_is_refused(
    tmp_path: Path, pipe: Path
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("{}")
    timed_calls = TimedCalls()
    web_file = WebFile(file, SecuritySettings(), timed_calls)
    web_file.apply(await web_file.read())
    timed_calls.seconds = SOON
    swap(file, pipe)

    with pytest.raises(ConfigError, match=r"cannot be read within 0\.05 s"):
        await web_file.read()

    swap(pipe, file)
