"""A real program, run by a test: its start, its log, its end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.patience import PATIENCE

from .network import wait_for

#: What a failed test shows of each program.
LAST_LINES: Final = 60


def installed(*names: str) -> str:
    """Return the path of the first of *names* that is on PATH."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.fail(f"{names[0]} is missing: run make test, it installs them")


class Process:
    """A program that can be started again after its end, with the same log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self._command = [str(word) for word in command]
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program; return when it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
            )
        is_ready = wait_for(lambda: self._has_ended() or self._ready())
        if self._has_ended() or not is_ready:
            pytest.fail(f"{self.name} did not start:\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        """The number of the process, once it has started."""
        assert self._process is not None, f"{self.name} has not started"
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would: at once, without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_tail(self) -> str:
        """Return the last lines that it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None
