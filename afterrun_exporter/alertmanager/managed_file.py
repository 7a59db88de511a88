"""The alertmanager.yml that the daemon manages, and reloads of Alertmanager."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from afterrun_exporter.alertmanager.client import FAILURES, failure
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.errors import (
    AlertmanagerError,
    AlertmanagerRefusedError,
    GenerateError,
)
from afterrun_exporter.rulegen import render

#: Returns the files for the receivers added over the API, alertmanager.yml included, by
#: their paths relative to its directory.
Compile = Callable[[Sequence[JobReceiver]], Mapping[Path, str]]
#: Makes Alertmanager reload its configuration; raises AlertmanagerError.
Reload = Callable[[str], Awaitable[None]]

#: Returns True if Alertmanager has loaded the current file, so that no reload is needed.
IsLoaded = Callable[["ManagedFile"], Awaitable[bool]]

#: The directory of private files, and the pattern of the managed ones.
SECRETS: Final = "secrets"
RECEIVER_FILES: Final = "receiver-*"

#: Timeout of a request in seconds; enough to load a large configuration.
TIMEOUT: Final = 10.0
#: The most characters of Alertmanager's error that are quoted.
LONGEST_QUOTE: Final = 2000

_RELOAD: Final = "/-/reload"
_METRIC: Final = re.compile(r"^alertmanager_config_(\w+) ([0-9.e+-]+)$", re.MULTILINE)


class ManagedFile:
    """An alertmanager.yml with its secrets and templates, rewritten on demand."""

    def __init__(self, path: Path, reload_url: str, compile: Compile) -> None:  # noqa: A002
        self.path = path
        #: The URL that makes Alertmanager reload; "" for none.
        self.reload_url = reload_url
        self._compile = compile

    def write(self, receivers: Sequence[JobReceiver]) -> Written:
        """Write the files for *receivers*; return an object that can undo it.

        Raises GenerateError, without changes, if a file cannot be written or was not
        generated. Secrets are recognized by name.
        """
        files = self._compile(receivers)
        # The main file comes last, after the files that it refers to.
        order = sorted(files, key=lambda path: (path == Path(self.path.name), path))
        generated = (path for path in order if path.parts[0] != SECRETS)
        render.refuse_foreign(self.path.parent / path for path in generated)
        written_files = Written(self.path.parent, frozenset(order))
        for path in order:
            # The file contains the URLs of webhooks, which are secrets.
            private = path == Path(self.path.name) and any(
                one.type is ReceiverType.WEBHOOK for one in receivers
            )
            try:
                written_files.replace(path, files[path].encode(), private=private)
            except OSError as error:
                written_files.undo()
                target, reason = self.path.parent / path, error.strerror or error
                raise GenerateError(f"cannot write {str(target)!r}: {reason}") from None
        return written_files


class Written:
    """Replaced files with their previous contents."""

    def __init__(self, directory: Path, files: frozenset[Path]) -> None:
        self._directory = directory
        self._files = files
        self._before: dict[Path, bytes | None] = {}

    def replace(self, path: Path, data: bytes, *, private: bool = False) -> None:
        """Replace *path* by *data*, and remember its previous contents.

        A *private* file is readable by its owner, and by its group if it was before.
        """
        target = self._directory / path
        secret = path.parts[0] == SECRETS
        target.parent.mkdir(
            mode=0o700 if secret else 0o755, parents=True, exist_ok=True
        )
        before, mode = None, 0o600 if secret or private else 0o644
        if target.exists():
            # The new file is not readable by more users than the old one.
            before, mode = target.read_bytes(), target.stat().st_mode & 0o777
            if private and mode & 0o007:
                mode &= 0o770
                target.chmod(mode)
        if before != data:
            render.replace(target, data, mode)
            self._before[path] = before

    @property
    def changes_configuration(self) -> bool:
        """True if Alertmanager must reload; it rereads secrets on its own."""
        return any(path.parts[0] != SECRETS for path in self._before)

    def undo(self) -> None:
        """Restore all files, the main file first."""
        for path, before in reversed(self._before.items()):
            target = self._directory / path
            if before is None:
                target.unlink(missing_ok=True)
            else:
                mode = target.stat().st_mode & 0o777
                render.replace(target, before, mode)

    def prune_secrets(self) -> list[tuple[Path, str]]:
        """Remove the secrets of deleted receivers.

        Returns the files that could not be removed, each with the reason. That is no
        error: nothing refers to them any more.
        """
        remaining = []
        for file in (self._directory / SECRETS).glob(RECEIVER_FILES):
            if file.relative_to(self._directory) not in self._files:
                try:
                    file.unlink(missing_ok=True)
                except OSError as error:
                    remaining.append((file, error.strerror or str(error)))
        return remaining


async def is_loaded(file: ManagedFile) -> bool:
    """Return True if Alertmanager uses the current *file* and its templates.

    Compares the hash of the configuration in Alertmanager's metrics, because
    ``/api/v2/status`` masks addresses and adds defaults.
    """
    if not file.reload_url.endswith(_RELOAD):
        return False
    try:
        own_hash, changed_at = await asyncio.to_thread(_on_disk, file)
        metrics = await _metrics(file.reload_url.removesuffix(_RELOAD) + "/metrics")
    except FAILURES:
        return False
    return (
        metrics.get("hash") == own_hash
        and metrics.get("last_reload_successful") == 1
        and metrics.get("last_reload_success_timestamp_seconds", 0.0) >= changed_at
    )


def _on_disk(file: ManagedFile) -> tuple[float, float]:
    """Return the hash of *file*, and the time of the last change of its templates."""
    digest = hashlib.md5(file.path.read_bytes(), usedforsecurity=False).digest()
    templates = (file.path.parent / "templates").glob("*.tmpl")
    changed_at = max((one.stat().st_mtime for one in templates), default=0.0)
    # Alertmanager exposes 48 bits, which fit in a float.
    return float(int.from_bytes(digest[:6], "little")), changed_at


async def _metrics(url: str) -> dict[str, float]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, allow_redirects=False, raise_for_status=True) as response,
    ):
        text = await response.text(errors="replace")
    return {key: float(value) for key, value in _METRIC.findall(text)}


async def reload_alertmanager(url: str) -> None:
    """Make the Alertmanager at *url* reload its configuration.

    Raises AlertmanagerRefusedError, with Alertmanager's message, if it refuses the
    configuration, and AlertmanagerError if it does not respond.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, allow_redirects=False) as response,
        ):
            text = (await response.text(errors="replace"))[:LONGEST_QUOTE].strip()
    except FAILURES as error:
        raise AlertmanagerError(
            f"Alertmanager cannot be reached at {url!r}: {failure(error, TIMEOUT)}"
        ) from None
    if not response.ok or response.status >= 300:
        raise AlertmanagerRefusedError(
            f"Alertmanager at {url!r} answered {response.status} and keeps its previous "
            f"configuration: {text}"
        )
