"""Where reports go, and how long one tries: from options and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from afterrun_exporter.client.file_descriptors import read_limited
from afterrun_exporter.client.spool import Tell

MAX_TOKEN_FILE: Final = 64 * 1024

DEFAULT_URL: Final = "http://127.0.0.1:10707"

#: Where root's jobs keep what could not be delivered.
SYSTEM_SPOOL: Final = Path("/var/spool/afterrun")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where reports go, and how long one tries."""

    url: str
    token: str
    spool: Path
    #: How long one report is tried, in seconds.
    patience: float = 15.0
    #: How long one request may take.
    request_timeout: float = 10.0
    #: Whether what cannot be delivered is kept.
    keep: bool = True


def default_spool(environ: Mapping[str, str], uid: int) -> Path:
    """Return the folder of a user's undelivered reports."""
    if given := environ.get("AFTERRUN_SPOOL"):
        return Path(given)
    if uid == 0:
        return SYSTEM_SPOOL
    state = environ.get("XDG_STATE_HOME", "")
    # Relative paths in it are to be ignored, says its specification.
    base = Path(state) if state.startswith("/") else Path("~/.local/state")
    # Path.expanduser would raise for a user without a home.
    return Path(os.path.expanduser(base)) / "afterrun" / "spool"  # noqa: PTH111


def find_token(environ: Mapping[str, str], file: str | None, tell: Tell) -> str:
    """Return the token from *file* or the environment; "" if there is none."""
    if not file:
        return environ.get("AFTERRUN_TOKEN", "").strip()
    try:
        return read_limited(file, MAX_TOKEN_FILE).decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        # No reason not to run the job: the daemon may do without, or the
        # report waits in the spool.
        why = getattr(error, "strerror", None) or error
        tell(f"--token-file {file!r} cannot be read: {why}; going on without a token")
        return ""
