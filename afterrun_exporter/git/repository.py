"""A bare repository that caches the followed ref of a remote one.

Files are read from the trees of commits. Nothing is checked out, so that symbolic links
and paths in a repository cannot lead out of it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from afterrun_exporter.config.source import Source
from afterrun_exporter.errors import GitError
from afterrun_exporter.git import process, tree
from afterrun_exporter.git.remote import Remote, authorization

#: Seconds for a command that needs no network.
LOCAL_SECONDS: Final = 60.0
#: Packs from which on unused objects are removed.
MAX_PACKS: Final = 20

_SHA: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: Files that a killed git leaves behind.
_LEFTOVERS: Final = (
    "*.lock",
    "refs/**/*.lock",
    "objects/pack/tmp_*",
    "objects/tmp_*",
    "objects/??/tmp_obj_*",
)
_REFUSED: Final = re.compile(
    r"could not read (Username|Password)|Authentication failed|\b40[13]\b"
)
#: Variables with the credentials, and the command that hands them to git, without an
#: argument that has them.
_USERNAME: Final = "AFTERRUN_GIT_USERNAME"
_TOKEN: Final = "AFTERRUN_GIT_TOKEN"  # noqa: S105 - the name of a variable
_HELPER: Final = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" '
    f'"${_USERNAME}" "${_TOKEN}"; }}; f'
)
_DAMAGED: Final = re.compile(r"not a git repository|bad config|bad numeric config")
_NO_REF: Final = re.compile(r"couldn't find remote ref|not our ref|no such ref")


class Repository:
    """The cached repository in *folder*, which is created and belongs to the daemon."""

    def __init__(self, folder: Path, remote: Remote, seconds: float) -> None:
        self.remote = remote
        #: The maximum duration of a fetch.
        self.seconds = seconds
        self._folder = folder.absolute()
        self._path = self._folder / "repository.git"
        #: The newest fetched commit, and the last one that could be used. They have
        #: separate names for each remote, so that another one is never taken for it.
        self._fetched = f"refs/afterrun/{remote.key}/fetched"
        self._good = f"refs/afterrun/{remote.key}/good"

    async def open(self) -> None:
        """Create the repository, unless it is there; raise GitError."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / "gitconfig").write_text(process.CONFIG)
        except OSError as error:
            message = f"{self._folder} cannot be written: {error.strerror or error}"
            raise GitError(message) from None
        if self._path.exists() and not await self._is_intact():
            shutil.rmtree(self._path, ignore_errors=True)
        if not self._path.exists():
            await self._git(
                *("init", "--quiet", "--bare", "--template=", "--initial-branch=main"),
                str(self._path),
                inside=False,
            )
        for ref in (self._fetched, self._good):
            if await self._commit(ref) is None:
                # A power cut may leave an empty file, which git does not replace.
                with suppress(OSError):
                    (self._path / ref).unlink()

    async def _is_intact(self) -> bool:
        """Return False if git takes the cache for no repository, as after a power cut."""
        try:
            await self._git("rev-parse", "--git-dir")
        except GitError as error:
            if _DAMAGED.search(str(error)):
                return False
            raise
        return True

    async def rebuild(self) -> None:
        """Create the repository anew, with nothing fetched; raise GitError."""
        shutil.rmtree(self._path, ignore_errors=True)
        await self.open()

    async def fetch(self, token: str) -> str:
        """Fetch the ref with *token*; return its commit.

        Raises GitError; then the commits of earlier fetches are still there.
        """
        self._remove_leftovers()
        remote = self.remote
        settings: dict[str, str] = {}
        secrets: dict[str, str] = {}
        if token:
            # A header of its own would be sent to other hosts, too, after a redirect.
            settings[f"credential.{remote.origin}.helper"] = _HELPER
            secrets = {_USERNAME: remote.username, _TOKEN: token}
        if remote.ca_file is not None:
            settings["http.sslCAInfo"] = str(remote.ca_file.absolute())
        try:
            await self._git(
                *("fetch", "--quiet", "--force", "--no-tags", "--depth=1"),
                *("--no-write-fetch-head", "--no-recurse-submodules", "--"),
                remote.url,
                f"+{remote.ref}:{self._fetched}",
                settings=settings,
                secrets=secrets,
                seconds=self.seconds,
            )
        except GitError as error:
            raise GitError(self._explained(str(error), token)) from None
        if (commit := await self._commit(self._fetched)) is None:
            raise GitError(f"{remote.ref} of {remote.url} is not a commit")
        with suppress(GitError):
            await self._tidy()
        return commit

    async def good(self) -> str | None:
        """Return the last commit that could be used, if there is one."""
        return await self._commit(self._good)

    async def keep(self, commit: str) -> None:
        """Remember *commit* as the last one that could be used."""
        await self._git("update-ref", self._good, commit)

    async def source(self, commit: str) -> Source:
        """Return the configuration in *commit*.

        Raises ConfigError if there is none, and GitError.
        """
        return await tree.source(self._read, commit, self.remote.path)

    async def _commit(self, ref: str) -> str | None:
        """Return the commit of *ref*, None if it has none."""
        with suppress(GitError):
            peeled = f"{ref}^{{commit}}"
            output = await self._git("rev-parse", "--verify", "--quiet", peeled)
            sha = output.decode("ascii", "replace").strip()
            return sha if _SHA.fullmatch(sha) else None
        return None

    async def _read(
        self, *arguments: str, stdin: bytes = b"", most: int = process.MAX_OUTPUT
    ) -> bytes:
        return await self._git(*arguments, stdin=stdin, most=most)

    async def _tidy(self) -> None:
        """Remove unused objects from time to time: each fetch adds a pack."""
        packs = list(self._path.glob("objects/pack/*.pack"))
        if len(packs) > MAX_PACKS:
            await self._git("gc", "--quiet", "--prune=now", seconds=self.seconds)

    def _remove_leftovers(self) -> None:
        """Remove what a killed git has left; no other one is running."""
        for pattern in _LEFTOVERS:
            for path in self._path.glob(pattern):
                with suppress(OSError):
                    path.unlink()

    async def _git(
        self,
        *arguments: str,
        inside: bool = True,
        settings: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        seconds: float = LOCAL_SECONDS,
        stdin: bytes = b"",
        most: int = process.MAX_OUTPUT,
    ) -> bytes:
        place = ("--git-dir", str(self._path)) if inside else ()
        environ = process.environment(self._folder, settings or {}, secrets)
        return await process.run(
            [*place, *arguments], environ, seconds=seconds, stdin=stdin, most=most
        )

    def _explained(self, reason: str, token: str) -> str:
        """Return the message for a failed fetch, without the *token*."""
        remote = self.remote
        if token:
            secrets = (token, authorization(remote, token).rpartition(" ")[2])
            for secret in secrets:
                reason = reason.replace(secret, "<secret>")
        if _NO_REF.search(reason):
            return f"{remote.url} has no branch, tag or commit {remote.ref!r}"
        message = f"{remote.url} cannot be fetched: {reason}"
        if not _REFUSED.search(reason):
            return message
        if remote.token_file is None:
            return f"{message}; it requires --config.git-token-file"
        return f"{message}; the token in {remote.token_file} was refused"
