"""The client's settings, from options and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from afterrun_exporter.client.file_descriptors import read_limited
from afterrun_exporter.client.spool import Warn

MAX_TOKEN_FILE: Final = 64 * 1024

#: The spool of root's jobs.
SYSTEM_SPOOL: Final = Path("/var/spool/afterrun")


@dataclass(frozen=True, slots=True)
class Settings:
    """The daemon's URL, the spool and time limits."""

    url: str
    token: str
    spool: Path
    #: The time limit of a report, in seconds.
    patience: float = 15.0
    #: The time limit of a request, in seconds.
    request_timeout: float = 10.0
    #: False if undelivered reports are not kept.
    keep: bool = True


def default_spool(environ: Mapping[str, str], uid: int) -> Path:
    """Return the default folder for a user's undelivered reports."""
    if folder := environ.get("AFTERRUN_SPOOL"):
        return Path(folder)
    if uid == 0:
        return SYSTEM_SPOOL
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore relative paths.
    base = Path(state) if state.startswith("/") else Path("~/.local/state")
    # Path.expanduser would raise for a user without a home.
    return Path(os.path.expanduser(base)) / "afterrun" / "spool"  # noqa: PTH111


def environ_token(environ: Mapping[str, str]) -> str:
    """Return the token from the environment; "" if there is none."""
    return environ.get("AFTERRUN_TOKEN", "").strip()


def find_token(environ: Mapping[str, str], file: str | None, warn: Warn) -> str:
    """Return the token from *file* or the environment; "" if there is none."""
    if not file:
        return environ_token(environ)
    try:
        return read_limited(file, MAX_TOKEN_FILE).decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        # The job runs anyway: the daemon may accept reports without a token, or
        # the report waits in the spool.
        why = getattr(error, "strerror", None) or error
        warn(f"cannot read --token-file {file!r}: {why}; going on without a token")
        return ""
