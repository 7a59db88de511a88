"""Reading, replacing and restoring crontabs."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli.atomic_file import replace_file
from afterrun_exporter.cli.import_input import decode
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.model import InputFile

#: The name of the user's crontab in messages.
USER_CRONTAB: Final = "crontab"

_MANIFEST: Final = "manifest.json"
#: Names of files in /etc/cron.d that Debian's cron reads.
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def crontab_names(directory: Path) -> Iterator[Path]:
    """Yield the files of *directory* that cron reads; list the others on stderr."""
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if _NAME.fullmatch(path.name):
            yield path
        else:
            click.echo(
                f"{path}: not read, like by Debian's cron, because of its name; to "
                "import it, name the file itself",
                err=True,
            )


def read_user_crontab() -> InputFile:
    """Return the crontab of the current user; raise ConfigError if there is none."""
    result = _crontab("-l")
    if result.returncode:
        raise _error(USER_CRONTAB, _message(result))
    return InputFile(USER_CRONTAB, decode(result.stdout, USER_CRONTAB))


@dataclass(frozen=True, slots=True)
class Change:
    """The old and the new text of a crontab."""

    #: The path of a file, or `USER_CRONTAB`.
    name: str
    before: str
    after: str


def default_backups() -> Path:
    """Return the directory of backups."""
    if os.geteuid() == 0:
        return Path("/var/backups/afterrun")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "afterrun/crontabs"


def apply(changes: Sequence[Change], backups: Path) -> Path:
    """Write all *changes* and return the directory with the backup.

    Raises ConfigError; then the crontabs written so far are restored.
    """
    for one in changes:
        if _current(one.name) != one.before.encode():
            raise _error(one.name, "has changed meanwhile: try again")
    try:
        folder = _back_up(changes, backups)
    except OSError as error:
        message = f"no backup can be written: {error.strerror or error}"
        raise _error(str(backups), message) from None
    finished = []
    try:
        for change in changes:
            _write(change.name, change.after.encode())
            finished.append(change)
    except ConfigError:
        for change in finished:
            _write(change.name, change.before.encode())
        raise
    return folder


def undo(backups: Path) -> list[str]:
    """Restore the crontabs of the newest backup, and return their names.

    Raises ConfigError if there is none, or if a crontab has changed since.
    """
    folders = sorted(
        one.parent
        for one in backups.glob(f"*/{_MANIFEST}")
        if not one.parent.name.endswith(".restored")
    )
    if not folders:
        raise _error(str(backups), "has no backup")
    folder = folders[-1]
    manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    entries = [
        (entry["name"], (folder / entry["backup"]).read_bytes(), entry["sha256"])
        for entry in manifest
        if entry.get("user") in {None, getpass.getuser()}
    ]
    for name, _, digest in entries:
        if sha256(_current(name)).hexdigest() != digest:
            message = f"has changed since: restore by hand what you need of {folder}"
            raise _error(name, message)
    for name, data, _ in entries:
        _write(name, data)
    folder.rename(folder.with_name(f"{folder.name}.restored"))
    return [name for name, _, _ in entries]


def _back_up(changes: Sequence[Change], backups: Path) -> Path:
    backups.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    folder = backups / f"{now:%Y%m%dT%H%M%S.%fZ}"
    folder.mkdir(mode=0o700)
    manifest = []
    for number, change in enumerate(changes):
        label = change.name.strip("/").replace("/", "-")
        file = folder / f"{number}-{label}"
        replace_file(file, change.before.encode())
        file.chmod(0o600)
        is_own = change.name == USER_CRONTAB
        manifest.append(
            {
                "name": change.name if is_own else str(Path(change.name).absolute()),
                "user": getpass.getuser() if is_own else None,
                "backup": file.name,
                "sha256": sha256(change.after.encode()).hexdigest(),
            }
        )
    replace_file(folder / _MANIFEST, json.dumps(manifest, indent=2).encode())
    return folder


def _current(name: str) -> bytes:
    """Return the content of a crontab now."""
    if name == USER_CRONTAB:
        result = _crontab("-l")
        return b"" if result.returncode else result.stdout
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise _error(name, f"cannot be read: {error.strerror or error}") from None


def _write(name: str, data: bytes) -> None:
    if name == USER_CRONTAB:
        result = _crontab("-", data)
        if result.returncode:
            raise _error(name, f"was refused: {_message(result)}")
        return
    try:
        replace_file(Path(name), data)
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        raise _error(name, message) from None


def _crontab(argument: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(  # noqa: S603 - the program of cron
            ["crontab", argument],  # noqa: S607 - wherever the system has it
            input=data,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        message = f"the program crontab cannot run: {error.strerror or error}"
        raise _error(USER_CRONTAB, message) from None


def _message(result: subprocess.CompletedProcess[bytes]) -> str:
    text = result.stderr.decode(errors="replace")
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _error(name: str, message: str) -> ConfigError:
    return ConfigError(name, [Problem(0, "", message)])
