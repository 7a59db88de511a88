"""Wheels and source distributions: their version, equal bytes, installation from git."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.e2e.packages.sources import build, clone, git, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the tag v7.1.0, which no test changes."""
    folder = clone(tmp_path_factory.mktemp("clone") / "source")
    git(folder, "tag", "--annotate", "v7.1.0", "--message=A release")
    return folder


def test_two_builds_elsewhere_and_later_are_equal(source: Path, tmp_path: Path) -> None:
    other = clone(tmp_path / "elsewhere" / "another name", source)
    for path in other.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (10**9, 10**9))

    first = build(source, tmp_path / "first")
    second = build(other, tmp_path / "second")

    assert [path.name for path in first] == [
        "afterrun_exporter-7.1.0-py3-none-any.whl",
        "afterrun_exporter-7.1.0.tar.gz",
    ]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]

    # Without git, from the source distribution: the same version and the same files.
    with tarfile.open(first[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / "afterrun_exporter-7.1.0"
    options = ("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "third")
    epoch = git(source, "log", "-1", "--format=%ct")
    run(sys.executable, *options, folder=unpacked, SOURCE_DATE_EPOCH=epoch)
    (third,) = (tmp_path / "third").iterdir()
    assert third.name == first[0].name
    assert contents(third) == contents(first[0])


def test_pip_installs_from_a_git_url(source: Path, tmp_path: Path) -> None:
    """Without the dependencies, which are those of the environment of the tests."""
    commit = git(source, "rev-parse", "--short=12", "HEAD")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment, folder=tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    (ours,) = (p for p in sys.path if p.endswith("site-packages"))

    run(
        environment / "bin/pip",
        *("install", "--no-deps", f"git+file://{source}@v7.1.0"),
        folder=tmp_path,
    )
    (packages / "dependencies.pth").write_text(ours)
    text = run(environment / "bin/afterrun", "--version", folder=tmp_path)

    assert text.startswith("afterrun, version 7.1.0 (")
    assert f"revision: {commit}" in text


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([], r"7.1.0"),
        (["commit --allow-empty --quiet --message=More"], r"7.1.1.dev1+g"),
        (["tag --delete v7.1.0", "tag v7.2.0rc1"], r"7.2.0rc1"),
        (["tag --delete v7.1.0"], r"0.2.0.dev"),
    ],
)
def test_the_version_is_that_of_the_tag(
    source: Path, tmp_path: Path, commands: list[str], expected: str
) -> None:
    folder = clone(tmp_path / "source", source)
    for command in commands:
        git(folder, *command.split())

    assert version(folder).startswith(expected)


def test_a_tree_without_git_has_the_version_of_the_changelog(
    source: Path, tmp_path: Path
) -> None:
    folder = clone(tmp_path / "source", source)
    shutil.rmtree(folder / ".git")

    assert version(folder) == "0.2.0.dev0"
    assert version(folder, AFTERRUN_VERSION="3.0.1") == "3.0.1"


def test_a_changed_tree_is_not_the_release(source: Path, tmp_path: Path) -> None:
    folder = clone(tmp_path / "source", source)
    (folder / "README.md").write_text("Changed.\n")

    assert version(folder).startswith("7.1.1.dev0+g")
    assert version(folder).endswith(".dirty")


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel; its list of them is in their order."""
    with ZipFile(wheel) as archive:
        names = [one for one in archive.namelist() if not one.endswith("/RECORD")]
        return {name: archive.read(name) for name in names}


def version(folder: Path, **environment: str) -> str:
    """Return the version of the tree in *folder*."""
    command = (sys.executable, "-m", "hatchling", "version")
    return run(*command, folder=folder, **environment).strip()
