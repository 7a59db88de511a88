"""Commands as cron runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from afterrun_exporter.importers.crontab import cron_jobs
from afterrun_exporter.importers.crontab_rewriting import rewrite
from afterrun_exporter.importers.model import InputFile
from tests.patience import PATIENCE

PATH = "/usr/bin:/bin"


class Ran(NamedTuple):
    """The result of a command."""

    output: str
    status: int


def split(raw: str, *, halves_backslashes: bool) -> tuple[str, str]:
    r"""Return the command and the standard input of *raw*, in the way of cron.

    Debian's cron also replaces ``\\`` with one backslash; cronie does not.
    """
    command, position, is_escaped = "", 0, False
    special = "%\\" if halves_backslashes else "%"
    while position < len(raw):
        character = raw[position]
        position += 1
        if is_escaped:
            command = command[:-1] if character in special else command
            is_escaped = False
        elif character == "%":
            break
        else:
            is_escaped = character == "\\"
        command += character
    stdin = raw[position:].replace("\\%", "\0").replace("%", "\n").replace("\0", "%")
    return command, f"{stdin}\n" if stdin and not stdin.endswith("\n") else stdin


def run(
    raw: str,
    *,
    shell: tuple[str, ...] = ("/bin/sh",),
    halves_backslashes: bool = False,
    environment: dict[str, str] | None = None,
) -> Ran:
    """Run the command *raw* of a crontab."""
    command, stdin = split(raw, halves_backslashes=halves_backslashes)
    result = subprocess.run(
        [*shell, "-c", command],
        input=stdin.encode(),
        capture_output=True,
        env={"PATH": PATH, "HOME": "/tmp", "LOGNAME": "x"} | (environment or {}),  # noqa: S108
        check=False,
        timeout=PATIENCE,
    )
    return Ran(result.stdout.decode(errors="replace"), result.returncode)


def rewritten(text: str, afterrun: str = "/usr/bin/afterrun") -> str:
    """Return the rewritten crontab *text*."""
    jobs, _ = cron_jobs([InputFile("crontab", text)], system=False)
    return rewrite(text, jobs, afterrun).text


def stand_in(folder: Path) -> Path:
    """Return the path of a program like `afterrun exec` that reports nothing."""
    program = folder / "after% run"
    program.write_text('#!/bin/sh\nshift 3\nexec "$@"\n', "utf-8")
    program.chmod(0o755)
    return program
