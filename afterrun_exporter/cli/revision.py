"""The revision of the configuration, if it is in a git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from afterrun_exporter.client.environment import git_sha
from afterrun_exporter.config.source import ENDINGS
from afterrun_exporter.core.commits import DIRTY

#: Seconds to wait for git.
PATIENCE: Final = 5.0
#: Without writing to the repository, which another user may own.
_STATUS: Final = (
    *("git", "--no-optional-locks", "-c", "core.fsmonitor=false"),
    *("-c", "safe.directory=*", "status", "--porcelain", "--ignored", "--"),
)


#: The files of a directory that are part of a configuration.
_FILES: Final = (
    *(f":(glob)*{ending}" for ending in ENDINGS),
    ":(exclude,glob).*",
)


def revision(path: Path) -> str:
    """Return the commit that is checked out around *path*, and `DIRTY` if it differs.

    Of a directory only the files of the configuration count. Without a commit, or if git
    cannot compare them, this is "".
    """
    path = path.resolve()
    folder = path if path.is_dir() else path.parent
    sha = git_sha(folder)
    if sha is None:
        return ""
    names = _FILES if path.is_dir() else (f":(literal){path.name}",)
    try:
        result = subprocess.run(  # noqa: S603 - constants and a name after "--"
            [*_STATUS, *names],
            cwd=folder,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{sha}{DIRTY}" if result.stdout else sha
