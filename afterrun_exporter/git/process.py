"""Running git: with a clean environment, limits, and no way to ask anything."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from afterrun_exporter.errors import GitError

#: The maximum size of a fetch, which is one file.
MAX_REPOSITORY: Final = 512 * 2**20
#: The maximum output of a command, unless it has its own.
MAX_OUTPUT: Final = 16 * 2**20
#: The end of the messages of a command that is kept.
_MAX_MESSAGES: Final = 64 * 2**10
_PIECE: Final = 2**16
#: The unit of `ulimit -f` in a POSIX shell.
_BLOCK: Final = 512

#: Variables that git needs of the daemon's environment.
_VARIABLES: Final = (
    *("PATH", "TMPDIR"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
#: Limits the size of files, which a program can only do for itself, and which systemd can
#: forbid. Without the signal, git reports the error.
_LIMITED: Final = 'trap \'\' XFSZ; ulimit -f "$1" 2>/dev/null; shift; exec "$@"'

#: The configuration of git; nothing of the machine or the user is read. Hooks, filters
#: and submodules are never used, because nothing is checked out.
CONFIG: Final = """\
[core]
    hooksPath = /dev/null
    symlinks = false
    fsmonitor = false
[safe]
    directory = *
[gc]
    auto = 0
[maintenance]
    auto = false
[fetch]
    unpackLimit = 1
    recurseSubmodules = false
    writeCommitGraph = false
[transfer]
    unpackLimit = 1
[http]
    lowSpeedLimit = 100
    lowSpeedTime = 30
[protocol]
    version = 2
"""

_REASON: Final = re.compile(r"^(?:fatal|error): (.*)$", re.MULTILINE)
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\x80-\U0010ffff]+")
_LONGEST: Final = 300


def environment(
    home: Path, settings: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of git, with its files in *home* and *settings* of its own.

    Variables in *secrets* are for settings that run a command.
    """
    environ = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    environ |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": "https:http:file",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environ[f"GIT_CONFIG_KEY_{number}"] = key
        environ[f"GIT_CONFIG_VALUE_{number}"] = value
    return environ | dict(secrets or {})


async def run(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    seconds: float,
    stdin: bytes = b"",
    most: int = MAX_OUTPUT,
) -> bytes:
    """Return the output of git with *arguments*, at most *most* bytes.

    Raises GitError if it fails, or takes longer than so many *seconds*. All processes
    that it has started end with it.
    """
    has_ended = False
    # Never canceled halfway, which would leave its processes.
    start = asyncio.create_task(_start(arguments, environ, has_input=bool(stdin)))
    try:
        process = await asyncio.shield(start)
        async with asyncio.timeout(seconds):
            _, output, messages = await asyncio.gather(
                _write(process, stdin),
                _read(process.stdout, most),
                _read_end(process.stderr),
            )
            status = await process.wait()
        has_ended = True
    except TimeoutError:
        raise GitError(f"git did not finish within {seconds:g} s") from None
    finally:
        if not has_ended:
            await _kill(start)
    if status:
        raise GitError(_reason(messages, status))
    return output


async def _start(
    arguments: Sequence[str], environ: Mapping[str, str], *, has_input: bool
) -> asyncio.subprocess.Process:
    blocks = str(MAX_REPOSITORY // _BLOCK)
    try:
        return await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", blocks, "git", *arguments),
            stdin=asyncio.subprocess.PIPE if has_input else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            cwd="/",
            # Its own process group.
            start_new_session=True,
        )
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror or error}") from None


async def _kill(start: asyncio.Task[asyncio.subprocess.Process]) -> None:
    """Kill the process that *start* returns, and its children, which may outlive it."""
    with suppress(GitError):
        process = await start
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _write(process: asyncio.subprocess.Process, data: bytes) -> None:
    stdin = process.stdin
    if stdin is None:
        return
    # A program that has ended says why. Of uvloop, a closed pipe is a RuntimeError.
    with suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
        stdin.write(data)
        await stdin.drain()
        stdin.close()


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    if stream is None:
        raise RuntimeError("stdout is not a pipe")
    data = bytearray()
    while piece := await stream.read(_PIECE):
        data += piece
        if len(data) > most:
            raise GitError(f"git wrote more than {most} bytes")
    return bytes(data)


async def _read_end(stream: asyncio.StreamReader | None) -> str:
    """Return the end of the messages in *stream*."""
    if stream is None:
        raise RuntimeError("stderr is not a pipe")
    data = b""
    while piece := await stream.read(_PIECE):
        data = (data + piece)[-_MAX_MESSAGES:]
    return data.decode("utf-8", "replace")


def _reason(messages: str, status: int) -> str:
    """Return the cause of a failure, from what git wrote."""
    if "File too large" in messages:
        return f"the repository is larger than {MAX_REPOSITORY // 2**20} MiB"
    reasons = _REASON.findall(messages)
    text = reasons[0] if reasons else messages.strip().rpartition("\n")[2]
    text = _UNPRINTABLE.sub(" ", text).strip()[:_LONGEST]
    return text or f"git ended with status {status}"
