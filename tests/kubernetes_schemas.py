"""Schemas of custom resources: prometheus-operator's, and those of the Gateway API."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests import npm

HOME: Final = Path(__file__).parent / "kubernetes"


def prepare(home: Path) -> Path:
    """Return *home* with the schemas in it."""
    npm.install(HOME)
    (home / "node_modules").symlink_to(HOME / "node_modules")
    for name in ("shapes.ts", "validate.mjs"):
        shutil.copy(HOME / name, home)
    return home


def invalid(home: Path, objects: list[Any]) -> str:
    """Return what the schemas have against *objects*."""
    result = subprocess.run(
        ["node", "validate.mjs"],
        cwd=home,
        input=json.dumps(objects),
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr
