"""Atomic replacement of a file that belongs to a user."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

#: Permissions of new files, before the umask.
_NEW: Final = 0o666


def replace_file(path: Path, data: bytes) -> None:
    """Replace the content of *path* with *data*, and keep its mode and owner.

    A symbolic link stays, and its target is replaced. Raises OSError; then the file is
    unchanged.
    """
    path = path.resolve()
    try:
        before = path.stat()
    except FileNotFoundError:
        before = None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if before is None:
                os.fchmod(file.fileno(), _NEW & ~_umask())
            else:
                new = os.fstat(file.fileno())
                if (new.st_uid, new.st_gid) != (before.st_uid, before.st_gid):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
