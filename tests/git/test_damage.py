"""A cache that a power cut has damaged is repaired; hostile names are harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter import config as configs
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.git.remote import Remote
from afterrun_exporter.git.repository import Repository
from tests.git.repositories import Origin
from tests.patience import PATIENCE

#: Real git, in many processes.
pytestmark = pytest.mark.thorough


async def opened(folder: Path, origin: Origin, path: str) -> Repository:
    repository = Repository(folder, Remote(url=origin.url, path=path), PATIENCE)
    await repository.open()
    return repository


@pytest.mark.parametrize("name", ["HEAD", "config", "fetched", "good"])
@pytest.mark.parametrize("content", [b"", b"\0garbage[\n"])
async def test_a_damaged_file_is_repaired_by_the_next_start(
    tmp_path: Path, name: str, content: bytes
) -> None:
    origin = Origin.create(tmp_path / "origin")
    origin.commit({"afterrun.yml": "jobs: {}\n"})
    repository = await opened(tmp_path / "cache", origin, "afterrun.yml")
    await repository.keep(await repository.fetch(""))
    for file in (tmp_path / "cache/repository.git").rglob(name):
        file.write_bytes(content)
    newest = origin.commit({"afterrun.yml": "jobs: {a: {}}\n"})

    again = await opened(tmp_path / "cache", origin, "afterrun.yml")

    assert await again.fetch("") == newest
    await again.keep(newest)
    assert await again.good() == newest


async def test_a_file_name_cannot_control_a_terminal(tmp_path: Path) -> None:
    origin = Origin.create(tmp_path / "origin")
    origin.commit({"c/\x1b[2J\n\u202ea.yml": "jobs: {a: {evry: 1h}}\n"})
    repository = await opened(tmp_path / "cache", origin, "c")

    source = await repository.source(await repository.fetch(""))

    with pytest.raises(ConfigError) as refused:
        configs.parse_source(source)
    assert r":c/\x1b[2J\n\u202ea.yml:1: jobs.a.evry" in str(refused.value)
