"""Version and revision of what is built: from git, the environment or the changelog."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FILE = "afterrun_exporter/revision.txt"


def find_version() -> str:
    """Return the version of this source tree.

    AFTERRUN_VERSION wins. A commit with a tag such as v0.2.0 has that version, and
    every other one is a development version of the next release. hatchling does not
    ask in a source distribution, where PKG-INFO has the version.
    """
    if version := os.environ.get("AFTERRUN_VERSION"):
        return version
    # Of the form v0.2.0-3-gc0ffee12, or v0.2.0-3-gc0ffee12-dirty.
    described = _git(
        "describe", "--tags", "--long", "--dirty", "--abbrev=8", "--match=v[0-9]*"
    )
    if found := re.fullmatch(r"v(.+)-(\d+)-(g[0-9a-f]+)(-dirty)?", described):
        released, commits, commit, dirty = found.groups()
        if commits == "0" and not dirty:
            return released
        base = _later(released)
        return f"{base}.dev{commits}+{commit}{'.dirty' if dirty else ''}"
    if commit := _git("rev-parse", "--short=8", "HEAD"):
        commits = _git("rev-list", "--count", "HEAD")
        return f"{_next_version()}.dev{commits}+g{commit}"
    return f"{_next_version()}.dev0"


def _later(released: str) -> str:
    """Return the version that follows *released*: the next one, or a patch of it."""
    numbers = [int(number) for number in re.findall(r"\d+", released)[:3]]
    prepared = _next_version()
    if [int(number) for number in prepared.split(".")] > numbers:
        return prepared
    return ".".join(map(str, [*numbers[:-1], numbers[-1] + 1]))


def _next_version() -> str:
    """Return the newest version in the changelog."""
    changelog = ROOT / "CHANGELOG.md"
    text = changelog.read_text("utf-8") if changelog.exists() else ""
    found = re.search(r"^## \[?(\d+\.\d+\.\d+)\b", text, re.MULTILINE)
    if found is None:
        message = (
            f"the version is unknown: {ROOT} has neither a git repository nor a "
            "CHANGELOG.md that names one; set AFTERRUN_VERSION, such as 0.2.0"
        )
        raise ValueError(message)
    return found[1]


class RevisionHook(BuildHookInterface[Any]):
    """Adds the commit in AFTERRUN_REVISION, else the one that is checked out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to what is built; an editable installation changes too often."""
        if version == "editable" or (ROOT / FILE).exists():
            return
        revision, branch = os.environ.get("AFTERRUN_REVISION", ""), ""
        if not revision:
            revision = _git("rev-parse", "HEAD")
            branch = _git("rev-parse", "--abbrev-ref", "HEAD")
        if revision:
            path = Path(tempfile.mkdtemp()) / "revision.txt"
            # A checked out commit has no branch.
            lines = (revision[:12], "" if branch == "HEAD" else branch)
            path.write_text("\n".join(lines) + "\n", "utf-8")
            build_data["force_include"][str(path)] = FILE


def _git(*arguments: str) -> str:
    """Return the output of git in this tree; "" without a repository or git."""
    if not (ROOT / ".git").exists():
        return ""
    # root builds in the clones of others, whose code it is running anyway.
    command = ["git", "-C", str(ROOT), "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip()
