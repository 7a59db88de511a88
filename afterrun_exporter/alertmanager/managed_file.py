"""The alertmanager.yml that the daemon keeps up to date, and having it loaded."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.errors import (
    AlertmanagerError,
    AlertmanagerRefusedError,
    GenerateError,
)
from afterrun_exporter.rulegen import render

#: Makes the files of what was added over the API, by where they go relative to the
#: directory of alertmanager.yml, itself included.
Compile = Callable[[Sequence[JobReceiver]], Mapping[Path, str]]
#: Has Alertmanager read its configuration again; raises AlertmanagerError.
Reload = Callable[[str], Awaitable[None]]

#: Return True if Alertmanager uses the file as it is, so that it need not read it.
IsLoaded = Callable[["ManagedFile"], Awaitable[bool]]

#: Where files stand that nobody else may read, and those that are ours among them.
SECRETS: Final = "secrets"
OURS: Final = "receiver-*"

#: Alertmanager reads a large configuration within this.
PATIENCE: Final = 10.0
#: Of what it says when it refuses one.
MOST_WORDS: Final = 2000

_RELOAD: Final = "/-/reload"
_METRIC: Final = re.compile(r"^alertmanager_config_(\w+) ([0-9.e+-]+)$", re.MULTILINE)


class ManagedFile:
    """An alertmanager.yml and what belongs to it, made anew on demand."""

    def __init__(self, path: Path, reload_url: str, compile: Compile) -> None:  # noqa: A002
        self.path = path
        #: What makes Alertmanager read it; "" for nothing.
        self.reload_url = reload_url
        self._compile = compile

    def write(self, receivers: Sequence[JobReceiver]) -> Written:
        """Write the files for *receivers*; what they were can be had back.

        Raises GenerateError, and then they are as they were: also when one of them
        was written by somebody else. Of secrets the name says whose they are.
        """
        files = self._compile(receivers)
        # What it refers to comes before it.
        order = sorted(files, key=lambda path: (path == Path(self.path.name), path))
        told = (path for path in order if path.parts[0] != SECRETS)
        render.refuse_foreign(self.path.parent / path for path in told)
        written = Written(self.path.parent, frozenset(order))
        for path in order:
            # A webhook has its URL in the file itself, and with that whoever reads it.
            private = path == Path(self.path.name) and any(
                one.type is ReceiverType.WEBHOOK for one in receivers
            )
            try:
                written.replace(path, files[path].encode(), private=private)
            except OSError as error:
                written.undo()
                target, reason = self.path.parent / path, error.strerror or error
                raise GenerateError(f"cannot write {str(target)!r}: {reason}") from None
        return written


class Written:
    """Files that have been replaced, with what they were before."""

    def __init__(self, directory: Path, files: frozenset[Path]) -> None:
        self._directory = directory
        self._files = files
        self._before: dict[Path, bytes | None] = {}

    def replace(self, path: Path, data: bytes, *, private: bool = False) -> None:
        """Replace *path* by *data*, and remember what it was.

        What is *private* is read by its owner, and the group where it was before.
        """
        target = self._directory / path
        secret = path.parts[0] == SECRETS
        target.parent.mkdir(
            mode=0o700 if secret else 0o755, parents=True, exist_ok=True
        )
        before, mode = None, 0o600 if secret or private else 0o644
        if target.exists():
            # Whoever may not read the old one may not read the new one.
            before, mode = target.read_bytes(), target.stat().st_mode & 0o777
            if private and mode & 0o007:
                mode &= 0o770
                target.chmod(mode)
        if before != data:
            render.replace(target, data, mode)
            self._before[path] = before

    @property
    def changes_configuration(self) -> bool:
        """True if Alertmanager must read what was written: it reads secrets anyway."""
        return any(path.parts[0] != SECRETS for path in self._before)

    def undo(self) -> None:
        """Put everything back, what refers to the rest first."""
        for path, before in reversed(self._before.items()):
            target = self._directory / path
            if before is None:
                target.unlink(missing_ok=True)
            else:
                mode = target.stat().st_mode & 0o777
                render.replace(target, before, mode)

    def tidy(self) -> list[tuple[Path, str]]:
        """Remove the secrets of receivers that are no more.

        Returns those that could not be removed, each with the reason: they are of
        no use to anybody, and what has been written is in use by now.
        """
        left = []
        for file in (self._directory / SECRETS).glob(OURS):
            if file.relative_to(self._directory) not in self._files:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    left.append((file, error.strerror or str(error)))
        return left


async def is_loaded(file: ManagedFile) -> bool:
    """Return True if Alertmanager is known to use *file* and its templates as they are.

    Its metrics have a hash of the configuration: ``/api/v2/status`` masks addresses
    and fills in defaults.
    """
    if not file.reload_url.endswith(_RELOAD):
        return False
    try:
        own_hash, changed_at = await asyncio.to_thread(_on_disk, file)
        metrics = await _metrics(file.reload_url.removesuffix(_RELOAD) + "/metrics")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return False
    return (
        metrics.get("hash") == own_hash
        and metrics.get("last_reload_successful") == 1
        and metrics.get("last_reload_success_timestamp_seconds", 0.0) >= changed_at
    )


def _on_disk(file: ManagedFile) -> tuple[float, float]:
    """Return the hash of *file*, and when its templates last changed."""
    digest = hashlib.md5(file.path.read_bytes(), usedforsecurity=False).digest()
    templates = (file.path.parent / "templates").glob("*.tmpl")
    changed_at = max((one.stat().st_mtime for one in templates), default=0.0)
    # Alertmanager shows 48 bits of it: more is no whole number in a float.
    return float(int.from_bytes(digest[:6], "little")), changed_at


async def _metrics(url: str) -> dict[str, float]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, allow_redirects=False, raise_for_status=True) as answer,
    ):
        text = await answer.text(errors="replace")
    return {key: float(value) for key, value in _METRIC.findall(text)}


async def reload_alertmanager(url: str) -> None:
    """Have the Alertmanager behind *url* read its configuration again.

    Raises AlertmanagerRefusedError, with its own words, when it goes on with the
    one it has, and AlertmanagerError when it does not answer.
    """
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, allow_redirects=False) as answer,
        ):
            words = (await answer.text(errors="replace"))[:MOST_WORDS].strip()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise AlertmanagerError(
            f"Alertmanager cannot be reached at {url!r}: {_reason(error)}"
        ) from None
    if not answer.ok or answer.status >= 300:
        raise AlertmanagerRefusedError(
            f"Alertmanager at {url!r} answered {answer.status} and goes on as before: "
            f"{words}"
        )


def _reason(error: Exception) -> str:
    """Return why nobody answered, without what aiohttp says around it."""
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    cause = getattr(error, "os_error", error)
    # The numbers of TLS errors are not those of the system.
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        if cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno)
        return cause.strerror or str(cause)
    return str(error) or type(error).__name__
