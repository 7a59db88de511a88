"""One daemon a database."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from afterrun_exporter.errors import StorageError


def locked(path: Path) -> IO[str]:
    """Hold the right to write to *path* until the returned file is closed.

    A lock of our own and not SQLite's exclusive mode, so that people may look
    into the database while the daemon runs.
    """
    # The file itself, by whatever symbolic link it was named.
    name = f"{os.path.realpath(path)}.lock"
    try:
        # Closed by the caller's `with`.
        file = Path(name).open("w", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise StorageError(
            f"cannot use database {str(path)!r}: {error.strerror}: {name}; "
            "choose another --storage.path or make its directory writable"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StorageError(
            f"database {str(path)!r} is in use by another afterrun: stop that one, "
            "or choose another --storage.path"
        ) from None
    return file
