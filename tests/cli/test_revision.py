"""The revision of a configuration is the commit that it is in, or says that it is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from afterrun_exporter.cli.revision import revision
from tests.patience import PATIENCE


def git(folder: Path, *line: str) -> str:
    settings = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    result = subprocess.run(
        ["git", *settings, *line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for git for longer than the command does: a busy machine may need that."""
    monkeypatch.setattr("afterrun_exporter.cli.revision.PATIENCE", PATIENCE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A committed file, beside one that is not."""
    file = tmp_path / "etc" / "-- afterrun.yml"
    file.parent.mkdir()
    file.write_text("jobs: {}\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Add it")
    (tmp_path / "other").write_text("")
    return file


def test_a_committed_file_has_its_commit(file: Path) -> None:
    assert revision(file) == git(file.parent, "rev-parse", "HEAD")


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_is_dirty(file: Path, staged: bool) -> None:
    file.write_text("jobs: {backup: {}}\n")
    if staged:
        git(file.parent, "add", ".")

    assert revision(file) == git(file.parent, "rev-parse", "HEAD") + "-dirty"


def test_a_file_that_was_never_committed_is_dirty(file: Path) -> None:
    (file.parent / ".gitignore").write_text("ignored.yml\n")
    for name in ("new.yml", "ignored.yml"):
        other = file.with_name(name)
        other.write_text("")

        assert revision(other).endswith("-dirty")


def test_without_a_repository_or_without_git_it_is_empty(
    file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = tmp_path_factory.mktemp("alone") / "afterrun.yml"
    alone.write_text("")
    assert revision(alone) == ""

    monkeypatch.setenv("PATH", "")
    assert revision(file) == ""


def test_of_a_directory_only_the_files_of_the_configuration_count(file: Path) -> None:
    folder = file.parent
    sha = git(folder, "rev-parse", "HEAD")
    inner = folder / "inner"
    inner.mkdir()
    for other in (folder / "notes.md", folder / ".hidden.yml", inner / "a.yml"):
        other.write_text("")
    assert revision(folder) == sha

    (folder / "new.yaml").write_text("jobs: {}\n")
    assert revision(folder) == f"{sha}-dirty"

    (folder / "new.yaml").unlink()
    file.unlink()
    assert revision(folder) == f"{sha}-dirty"


def test_a_name_is_no_pattern(file: Path) -> None:
    named = file.with_name("*.yml")
    named.write_text("jobs: {}\n")
    git(file.parent, "add", ".")
    git(file.parent, "commit", "--quiet", "--message", "Add another one")
    file.write_text("jobs: {backup: {}}\n")

    assert not revision(named).endswith("-dirty")
