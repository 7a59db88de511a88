"""Facts about a job's process and folder for the metadata of its run."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from afterrun_exporter.client.urls import public_url

_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

MAX_COMMAND: Final = 500

#: Variables of schedulers that identify a run, and their names in the metadata.
SCHEDULER_VARIABLES: Final = {
    "INVOCATION_ID": "systemd_invocation_id",
    "CRON_TZ": "cron_tz",
}


def metadata(environ: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return facts about this process: host, user, pid, commit of *folder*."""
    facts: dict[str, Any] = {
        "host": os.uname().nodename,
        "user": _user(),
        "pid": os.getpid(),
    }
    if (sha := git_sha(folder)) is not None:
        facts["git_sha"] = sha
    for variable, name in SCHEDULER_VARIABLES.items():
        if value := environ.get(variable):
            facts[name] = value[:100]
    return facts


def command_environ(environ: Mapping[str, str], *, secrets: bool) -> dict[str, str]:
    """Return the environment for a command, without our changes to it.

    Without *secrets* the token and the credentials in the daemon's URL are removed.
    """
    variables = dict(environ)
    if variables.get("LC_CTYPE", "").startswith("C.") and _coerced():
        del variables["LC_CTYPE"]
    if not secrets:
        variables.pop("AFTERRUN_TOKEN", None)
        if url := variables.get("AFTERRUN_URL"):
            variables["AFTERRUN_URL"] = public_url(url)
    return variables


def _coerced() -> bool:
    """Return True if the interpreter has set LC_CTYPE, as it does in the C locale."""
    try:
        variables = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return not any(one.startswith(b"LC_CTYPE=") for one in variables)


def command_line(command: Sequence[str]) -> str:
    """Return *command* quoted for a shell, cut to `MAX_COMMAND` characters."""
    text = shlex.join(command)
    return text if len(text) <= MAX_COMMAND else f"{text[:MAX_COMMAND]}…"


def git_sha(folder: Path) -> str | None:
    """Return the commit that is checked out in *folder*, without starting git."""
    try:
        git = next(_git_folders(folder.resolve()), None)
        return None if git is None else _head(git)
    except (OSError, ValueError):
        return None


def _git_folders(folder: Path) -> Iterator[Path]:
    for place in (folder, *folder.parents):
        git = place / ".git"
        if git.is_dir():
            yield git
        elif git.is_file():
            # In a worktree or a submodule, .git is a file with the path of the folder.
            path = git.read_text("utf-8").partition("gitdir:")[2].strip()
            yield place / path


def _head(git: Path) -> str | None:
    head = (git / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref:"):
        return head if _SHA.fullmatch(head) else None
    name = head.partition(":")[2].strip()
    common = git / "commondir"
    shared = git / common.read_text("utf-8").strip() if common.exists() else git
    for place in (git, shared):
        if (place / name).is_file():
            sha = (place / name).read_text("utf-8").strip()
            return sha if _SHA.fullmatch(sha) else None
    return _packed(shared / "packed-refs", name)


def _packed(file: Path, name: str) -> str | None:
    for line in file.read_text("utf-8").splitlines():
        sha, _, ref = line.partition(" ")
        if ref == name and _SHA.fullmatch(sha):
            return sha
    return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
