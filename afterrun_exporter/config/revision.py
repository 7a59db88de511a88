"""Which commit a configuration file is from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_sha(path: Path) -> str:
    """Return the commit checked out around *path*; "" where there is none."""
    command = ["git", "-C", str(path.parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and a path
            command, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
