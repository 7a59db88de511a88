"""`afterrun version`: the version, its revision and what it runs on."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import click

from afterrun_exporter import __version__

PACKAGE: Final = Path(__file__).parents[1]
#: Written by `hatch_build.py` into what is built.
REVISION: Final = PACKAGE / "revision.txt"


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(version_text())


def version_text() -> str:
    """Return the version, the revision, Python and the platform."""
    suffix = f" (revision {commit})" if (commit := find_revision()) else ""
    return (
        f"afterrun {__version__}{suffix}\n"
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )


def find_revision() -> str:
    """Return the commit from which this was built or runs; "" if unknown."""
    try:
        return REVISION.read_text("utf-8").strip()
    except OSError:
        return _installed_commit() or _checked_out_commit()


def _installed_commit() -> str:
    """Return the commit that pip has recorded (PEP 610)."""
    text = distribution("afterrun-exporter").read_text("direct_url.json")
    source = json.loads(text) if text else {}
    commit: str = source.get("vcs_info", {}).get("commit_id", "")
    return commit[:12]


def _checked_out_commit() -> str:
    """Return the commit of the clone from which this runs."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    command = ("git", "-C", str(PACKAGE.parent), "rev-parse", "--short=12", "HEAD")
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return result.stdout.strip()
