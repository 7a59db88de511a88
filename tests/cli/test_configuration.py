"""The configuration file is read again, and applied if it changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter import config as configs
from afterrun_exporter.cli.configuration import Configuration
from afterrun_exporter.cli.origins import FileOrigin
from afterrun_exporter.errors import StorageError
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from tests.fakes import ManualClock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "afterrun.yml"
    path.write_text("jobs: {backup: {every: 1h}}")
    return path


@pytest.fixture
def configuration(file: Path, clock: ManualClock) -> Configuration:
    return Configuration(FileOrigin(file), clock, SelfMetrics("1.2.3"))


class Applied(list[configs.Config]):
    """The configurations that were applied."""

    async def __call__(self, config: configs.Config) -> None:
        self.append(config)


async def test_a_file_that_has_not_changed_is_not_applied_again(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload of 100,000 jobs would take seconds to find out that nothing changed."""
    applied = Applied()
    first = await configuration.load(applied)
    monkeypatch.setattr(configs, "parse_source", None)

    again = await configuration.load(applied)

    assert again is first
    assert applied == [first]


async def test_a_file_that_could_not_be_applied_is_applied_again(
    configuration: Configuration, file: Path
) -> None:
    """And so is one that says again what it said before."""

    async def full(_: object) -> None:
        raise StorageError("disk is full")

    applied = Applied()
    await configuration.load(applied)
    write(file, "jobs: {backup: {every: 2h}}")
    with pytest.raises(StorageError):
        await configuration.load(full)

    await configuration.load(applied)
    write(file, "jobs: {backup: {every: 1h}}")
    await configuration.load(applied)

    assert [len(one.jobs) for one in applied] == [1, 1, 1]
    assert applied[0].hash == applied[2].hash != applied[1].hash


def write(file: Path, text: str) -> None:
    file.write_text(text)
