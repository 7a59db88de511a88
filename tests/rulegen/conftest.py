"""The real tools of Prometheus and Alertmanager, run on the shipped files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

#: Runs a program with arguments in the root of the repository.
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run(root: Path) -> Run:
    """Return a function that runs a tool; without the tool, the test fails."""

    def call(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        found = shutil.which(tool)
        if found is None:
            pytest.fail(f"{tool} is missing: run make test, it installs them")
        return subprocess.run(
            [found, *map(str, arguments)],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )

    return call
