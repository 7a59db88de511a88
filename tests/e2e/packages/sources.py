"""Clones of this repository, with the files as they are now, and builds of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command; return its output, and fail with it if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    """Run git as someone with a name; return its output."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    return run("git", *who, *arguments, folder=folder).strip()


def clone(folder: Path, source: Path = ROOT) -> Path:
    """Clone the repository; what is not committed yet is committed in the clone."""
    git(source, "clone", "--quiet", str(source), str(folder))
    if source == ROOT:
        listed = git(
            ROOT, "ls-files", "--modified", "--others", "--exclude-standard"
        ).splitlines()
        for name in listed:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=Test")
    return folder


def build(source: Path, target: Path, *kinds: str) -> list[Path]:
    """Build a wheel, or wheel and source distribution; return the files."""
    options = [word for kind in kinds for word in ("-t", kind)]
    epoch = git(source, "log", "-1", "--format=%ct")
    command = (sys.executable, "-m", "hatchling", "build", "-d", str(target))
    run(*command, *options, folder=source, SOURCE_DATE_EPOCH=epoch)
    return sorted(target.iterdir())
