"""Writes the revision into wheels and source distributions, for `afterrun --version`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILE = "afterrun_exporter/revision.txt"


class RevisionHook(BuildHookInterface[Any]):
    """Adds the commit in AFTERRUN_REVISION, else the one that is checked out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to what is built; an editable installation changes too often."""
        if version == "editable" or (Path(self.root) / FILE).exists():
            return
        revision, branch = os.environ.get("AFTERRUN_REVISION", ""), ""
        if not revision:
            revision, branch = self._git("HEAD"), self._git("--abbrev-ref", "HEAD")
        if revision:
            path = Path(tempfile.mkdtemp()) / "revision.txt"
            # A checked out commit has no branch.
            lines = (revision[:12], "" if branch == "HEAD" else branch)
            path.write_text("\n".join(lines) + "\n", "utf-8")
            build_data["force_include"][str(path)] = FILE

    def _git(self, *arguments: str) -> str:
        if not (Path(self.root) / ".git").exists():
            return ""
        command = ["git", "-C", self.root, "rev-parse", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        except OSError:
            return ""
        return done.stdout.strip()
