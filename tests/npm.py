"""Packages of npm that tests run, as the lock beside their package.json names them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

INSTALL: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


def install(home: Path) -> Path:
    """Install what the lock in *home* names, unless it is there; return where."""
    marker = home / "node_modules/.package-lock.json"
    lock = home / "package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(
            ("npm", *INSTALL), cwd=home, capture_output=True, text=True, check=False
        )
        if not marker.exists():
            said = done.stdout + done.stderr
            pytest.fail(f"npm could not install {home}/package.json:\n{said}")
    return home / "node_modules"
