"""Detection of missing files of secrets.

Alertmanager only logs that it cannot read one, when it sends a notification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import structlog

from afterrun_exporter.engine.periodic import PeriodicTask

#: Seconds between two checks.
CHECK_EVERY: Final = 30.0

log = structlog.get_logger()


def problem_of(path: Path) -> str:
    """Return the reason why the secret at *path* is unusable, or ""."""
    try:
        return "" if path.read_bytes().strip() else "is empty"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


class SecretFiles:
    """The secrets that Alertmanager reads, on the same host."""

    def __init__(self, leads: Callable[[], bool] = lambda: True) -> None:
        #: Returns True while this replica manages alertmanager.yml.
        self._leads = leads
        #: The number of missing or empty files; None before the first check, and if
        #: Alertmanager may run on another host.
        self.missing: int | None = None
        self._paths: Sequence[Path] | None = None
        self._logged: set[str] = set()

    def watch(self, paths: Sequence[Path] | None) -> None:
        """Check the files at *paths* from now on; None if they cannot be found."""
        self._paths = paths
        if paths is None:
            self.missing = None

    def task(self) -> PeriodicTask:
        """Return the task that checks the files."""
        return PeriodicTask(
            name="secret files", work=self.check, every=CHECK_EVERY, first=0.0
        )

    async def check(self) -> None:
        """Look for missing files, and log each one once until it is there."""
        if (paths := self._paths) is None:
            return
        if not self._leads():
            self.missing = None
            return
        problems = await asyncio.to_thread(_missing, paths)
        for problem in problems:
            if problem not in self._logged:
                log.warning("alertmanager_secret_missing", problem=problem)
        self._logged = set(problems)
        self.missing = len(problems)


def _missing(paths: Iterable[Path]) -> list[str]:
    return [
        f"{path} {problem}"
        for path in paths
        if not _is_private(path) and (problem := problem_of(path))
    ]


def _is_private(path: Path) -> bool:
    """Return True if another user, who may run Alertmanager, can read the file."""
    try:
        with path.open("rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False
