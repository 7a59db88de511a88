"""The revision of the configuration file, if it is in a git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from afterrun_exporter.client.environment import git_sha

#: Added to the commit if the file differs from it.
DIRTY: Final = "-dirty"
#: Seconds to wait for git.
PATIENCE: Final = 5.0
#: Without writing to the repository, which another user may own.
_STATUS: Final = (
    *("git", "--no-optional-locks", "-c", "core.fsmonitor=false"),
    *("-c", "safe.directory=*", "status", "--porcelain", "--ignored", "--"),
)


def revision(file: Path) -> str:
    """Return the commit that is checked out around *file*, and `DIRTY` if it differs.

    Without a commit, or if git cannot compare them, this is "".
    """
    sha = git_sha(file.parent)
    if sha is None:
        return ""
    file = file.resolve()
    try:
        result = subprocess.run(  # noqa: S603 - constants and a name after "--"
            [*_STATUS, file.name],
            cwd=file.parent,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{sha}{DIRTY}" if result.stdout else sha
