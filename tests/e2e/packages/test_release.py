"""The release script refuses what must not be released, all reasons at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.packages.sources import ROOT, clone, git, run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clone that can be released as 0.2.0, with the Python of this one."""
    folder = clone(tmp_path / "source")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / ".git/info/exclude").write_text(".venv\n")
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text().replace("[0.2.0] - unreleased", "[0.2.0] - 2026-12-01")
    changelog.write_text(text)
    git(folder, "commit", "--all", "--quiet", "--allow-empty", "--message=Release")
    return folder


#: A user without rights.
NOBODY: Final = 65534
#: In place of what builds the packages, with a commit that comes too late.
PACKAGES: Final = """#!/bin/sh
set -eu
mkdir -p "$1"
cd "$(dirname "$0")/.." && "$AFTERRUN_PYTHON" -m hatchling build -d "$1"
git -C {source} commit --quiet --allow-empty --message=Later
"""


@pytest.fixture
def owned(source: Path) -> Iterator[Path]:
    """The source of a user who starts the script with sudo, if root runs this test."""
    folder = Path(tempfile.mkdtemp(prefix="afterrun-release-"))
    folder.chmod(0o755)
    owned = folder / "source"
    source.rename(owned)
    script = owned / "scripts/packages.sh"
    script.write_text(PACKAGES.format(source=owned))
    git(owned, "config", "user.name", "Owner")
    git(owned, "config", "user.email", "owner@example.com")
    git(owned, "commit", "--all", "--quiet", "--message=Release")
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    yield owned
    shutil.rmtree(folder)


def release(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return the exit status and the messages."""
    done = subprocess.run(
        ["scripts/release.sh", "--python", *arguments],
        cwd=folder,
        env={**os.environ, "PIP_NO_DEPS": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_it_names_every_problem_and_builds_nothing(source: Path) -> None:
    (source / "README.md").write_text("Changed.\n")
    git(source, "tag", "v0.9.0")

    status, text = release(source, "0.9.0")

    assert status == 1
    assert "the working tree has changes: commit or remove them" in text
    assert "the tag v0.9.0 exists" in text
    assert 'CHANGELOG.md has no section "## [0.9.0] - ' in text
    assert not (source / "dist").exists()


@pytest.mark.parametrize("version", ["", "v0.2.0", "0.2", "0.2.0.dev1", "0.2.0-1"])
def test_it_refuses_what_is_no_version(source: Path, version: str) -> None:
    status, text = release(source, version)

    assert status == 1
    assert f'"{version}" is not a version such as 0.2.0 or 0.2.0rc1' in text


def test_it_refuses_a_section_without_a_date(source: Path) -> None:
    changelog = source / "CHANGELOG.md"
    text = changelog.read_text().replace("[0.2.0] - 2026-12-01", "[0.2.0] - unreleased")
    changelog.write_text(text)
    git(source, "commit", "--all", "--quiet", "--message=Not yet")

    status, messages = release(source, "0.2.0")

    assert status == 1
    assert 'replace "unreleased" by the date' in messages


def test_it_refuses_two_versions(source: Path) -> None:
    assert release(source, "0.2.0", "0.3.0") == (
        2,
        "two versions, 0.2.0 and 0.3.0: build one\n",
    )


def test_it_refuses_to_build_what_git_cannot_tag(source: Path) -> None:
    git(source, "config", "user.useConfigOnly", "true")

    status, text = release(source, "0.2.0", GIT_CONFIG_GLOBAL=os.devnull)

    assert status == 1
    assert "git knows no name for the tag: git config user.name NAME" in text


def test_the_tag_is_on_what_was_built_and_nothing_belongs_to_root(owned: Path) -> None:
    commit = head(owned)
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}

    status, text = release(owned, "0.2.0", **({} if os.geteuid() else sudo))

    assert status == 0, text
    assert head(owned) != commit
    assert head(owned, "v0.2.0^{commit}") == commit
    made = [*(owned / "dist").rglob("*"), *(owned / ".git/refs/tags").iterdir()]
    assert len(made) > 3
    assert {path.stat().st_uid for path in made} == {os.geteuid() or NOBODY}


def head(folder: Path, what: str = "HEAD") -> str:
    """Return the id of a commit, also in a repository of another user."""
    safe = {"SUDO_UID": str(folder.stat().st_uid)}
    return run("git", "rev-parse", what, folder=folder, **safe).strip()


@pytest.mark.slow
def test_a_dry_run_builds_everything_and_sets_no_tag(source: Path) -> None:
    """With the dependencies from PyPI; a second run sets the tag."""
    os.environ.pop("PIP_NO_DEPS", None)
    done = subprocess.run(
        ["scripts/release.sh", "--python", "--dry-run", "0.2.0"],
        cwd=source,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (source / "dist/0.2.0").iterdir()) == [
        "SHA256SUMS",
        "afterrun_exporter-0.2.0-py3-none-any.whl",
        "afterrun_exporter-0.2.0.cdx.json",
        "afterrun_exporter-0.2.0.tar.gz",
    ]
    assert "aiohttp" in (
        source / "dist/0.2.0/afterrun_exporter-0.2.0.cdx.json"
    ).read_text("utf-8")
    assert git(source, "tag") == ""
