"""Virtual environments of the supported versions of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.compat.debian import CACHE, Suite

ROOT: Final = Path(__file__).parents[2]

#: Each supported version, and the suite of Debian that has it. 3.12 is in none.
SUITES: Final = {"3.11": "bookworm", "3.12": None, "3.13": "trixie", "3.14": "forky"}


def interpreter(version: str) -> Path | None:
    """Return a Python of *version*: Debian's, or one of this machine."""
    if suite := SUITES[version]:
        return Suite(suite).python(version)
    return next((one for one in _installed(version) if _runs(one)), None)


def _installed(version: str) -> Iterator[Path]:
    """Yield what may be a Python of *version* on this machine."""
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))


def _runs(python: Path) -> bool:
    """Return True if *python* is more than a placeholder of a version manager."""
    command = [str(python), "-c", "import sqlite3, ssl, venv"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def environment(version: str, python: Path) -> Path:
    """Return the interpreter of an environment with AfterRun and its tests' packages."""
    folder = CACHE / "python" / version
    inside = folder / "bin" / "python"
    packages = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    contents = b"".join(path.read_bytes() for path in packages)
    fingerprint = sha256(contents + bytes(python)).hexdigest()
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != fingerprint:
        # Debian's Pythons have no pip: ours installs for them.
        make = [str(python), "-m", "venv", "--clear", "--without-pip", str(folder)]
        subprocess.run(make, check=True)
        install = [
            *(sys.executable, "-W", "ignore", "-m", "pip", "--python", str(inside)),
            *("install", "--quiet", "--constraint", "constraints.txt"),
            *("--editable", ".[dev]"),
        ]
        subprocess.run(install, cwd=ROOT, check=True)
        installed.write_text(fingerprint)
    return inside
