"""What tests run on Node, installed by npm as a lock names it."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE

INSTALL = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]


def install(home: Path) -> Path:
    """Install what the lock in *home* names, unless it is there; return where."""
    marker = home / "node_modules/.package-lock.json"
    lock = home / "package-lock.json"
    # Several test processes may want the same packages at once.
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
            said = run("npm", *INSTALL, cwd=home)
            if not marker.exists():
                pytest.fail(f"npm could not install {home}/package.json:\n{said}")
    return home / "node_modules"


def run(program: str, *arguments: str | Path, cwd: Path) -> str:
    """Return what a program that failed has said; "" of one that did not."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is missing: run make test, it installs it")
    result = subprocess.run(
        [found, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return result.stdout + result.stderr if result.returncode else ""
