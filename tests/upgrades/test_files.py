"""The configuration and the generated files of earlier versions are accepted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from afterrun_exporter.cli.check import check
from afterrun_exporter.cli.generate import generate
from tests.upgrades.versions import VERSIONS

GENERATED = ("prometheus", "alertmanager")


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current directory, with what an earlier version left behind."""
    shutil.copytree(request.param, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_configuration_has_no_problems() -> None:
    """A key that is renamed must be accepted, or its message must name the new one."""
    result = CliRunner().invoke(check, [])

    assert result.exit_code == 0, result.output
    assert "no problems" in result.output


@pytest.mark.thorough
def test_generated_files_are_outdated_and_replaced(folder: Path) -> None:
    """`--check` names each of them, and none of them is taken for someone else's."""
    before = contents(folder)
    differences = "".join(
        CliRunner().invoke(generate, [what, "--check"]).output for what in GENERATED
    )
    replaced = [CliRunner().invoke(generate, [what]) for what in GENERATED]
    current = [CliRunner().invoke(generate, [what, "--check"]) for what in GENERATED]
    after = contents(folder)

    outdated = {name for name in before if after[name] != before[name]}
    assert {name for name in before if f"--- {name}\n" in differences} == outdated
    assert [result.exit_code for result in replaced] == [0, 0]
    assert [result.exit_code for result in current] == [0, 0]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the generated files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for name in ("rules", "alertmanager")
        for path in (folder / name).rglob("*")
        if path.is_file()
    }
