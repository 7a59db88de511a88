"""Disks that really are full: a small tmpfs where it may be mounted."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own that can be filled to the last byte."""

    path: Path

    def fill(self, leave: int = 0) -> None:
        """Leave no more room than *leave* bytes."""
        with self._ballast.open("ab") as file:
            file.write(bytes(max(0, shutil.disk_usage(self.path).free - leave)))

    def make_room(self) -> None:
        """Give back what `fill` has taken."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"


@contextmanager
def small_disk(path: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """Mount a disk of *size* at *path*; skips the test where that is not allowed."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("needs mount")
    path.mkdir()
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield SmallDisk(path)
    finally:
        # Lazily: a test that failed may have left files open.
        subprocess.run([umount, "--lazy", str(path)], check=True)
