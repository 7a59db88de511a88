"""`afterrun version`: the version, its revision and what it runs on."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, NamedTuple

import click

from afterrun_exporter import __version__

PACKAGE: Final = Path(__file__).parents[1]
#: Written by `hatch_build.py` into what is built: the revision, and the branch if known.
REVISION: Final = PACKAGE / "revision.txt"
#: The checked out branch in the decoration of `git log`.
_BRANCH: Final = re.compile(r"HEAD -> ([^,]+)")


class Revision(NamedTuple):
    """The commit from which this was built or runs; "" if unknown."""

    commit: str = ""
    branch: str = ""


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(version_text())


def version_text() -> str:
    """Return the version, Python and the platform as Prometheus prints its own."""
    build = build_labels()
    details = ", ".join(
        f"{name}: {build[name]}" for name in ("branch", "revision") if build[name]
    )
    return (
        f"afterrun, version {__version__}{f' ({details})' if details else ''}\n"
        f"  python version:   {build['pythonversion']}\n"
        f"  platform:         {build['platform']}"
    )


def build_labels() -> dict[str, str]:
    """Return the labels of `BUILD_INFO` beside the version."""
    commit, branch = find_revision()
    return {
        "revision": commit,
        "branch": branch,
        "pythonversion": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


def find_revision() -> Revision:
    """Return the commit from which this was built or runs."""
    try:
        return Revision(*REVISION.read_text("utf-8").splitlines()[:2])
    except OSError:
        return _installed_commit() or _checked_out_commit()


def _installed_commit() -> Revision | None:
    """Return the commit that pip has recorded (PEP 610)."""
    text = distribution("afterrun-exporter").read_text("direct_url.json")
    source = json.loads(text).get("vcs_info", {}) if text else {}
    commit = source.get("commit_id", "")
    return (
        Revision(commit[:12], source.get("requested_revision", "")) if commit else None
    )


def _checked_out_commit() -> Revision:
    """Return the commit of the clone from which this runs."""
    if not (PACKAGE.parent / ".git").exists():
        return Revision()
    command = ("git", "-C", str(PACKAGE.parent), "log", "-1", "--format=%H%n%D")
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return Revision()
    commit, _, names = result.stdout.strip().partition("\n")
    branch = _BRANCH.match(names)
    return Revision(commit[:12], branch[1] if branch else "")
