"""The flags of `afterrun serve` for a configuration in a git repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from afterrun_exporter.cli.flags import DURATION, check_all, grouped
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.git.remote import (
    USERNAME,
    Remote,
    checked_path,
    checked_ref,
    checked_url,
)

F = TypeVar("F", bound=Callable[..., object])

#: Defaults in seconds.
INTERVAL: Final = 60.0
TIMEOUT: Final = 120.0
#: The default directory of fetched commits if there is no database file.
CACHE: Final = Path("afterrun-git")

_PREFIX: Final = "config.git-"
_FILE: Final = PathType(dir_okay=False)


@dataclass(frozen=True, slots=True)
class FollowedRepository:
    """A repository to fetch a configuration from."""

    remote: Remote
    #: Seconds between two fetches.
    interval: float
    #: The maximum duration of a fetch in seconds.
    timeout: float
    #: The directory of fetched commits; None for the default.
    cache: Path | None = None


@dataclass(frozen=True, slots=True)
class GitFlags:
    """The values of the flags; None for those that are not used."""

    url: str | None = None
    ref: str | None = None
    path: str | None = None
    interval: float | None = None
    timeout: float | None = None
    token_file: Path | None = None
    username: str | None = None
    ca_file: Path | None = None
    cache: Path | None = None

    def repository(self, config_file: Path | None) -> FollowedRepository | None:
        """Return the repository to follow, None if there is none.

        Raises ValueError with all flags that are wrong.
        """
        if self.url is None:
            self._check_unused()
            return None
        ref = "HEAD" if self.ref is None else self.ref
        path = "afterrun.yml" if self.path is None else self.path
        check_all(
            partial(self._check_origin, config_file),
            partial(checked_url, self.url),
            partial(checked_ref, ref),
            partial(checked_path, path),
            self._check_token_file,
            self._check_username,
            self._check_ca_file,
        )
        remote = Remote(
            url=checked_url(self.url),
            ref=checked_ref(ref),
            path=checked_path(path),
            token_file=self.token_file,
            username=USERNAME if self.username is None else self.username,
            ca_file=self.ca_file,
        )
        return FollowedRepository(
            remote, self.interval or INTERVAL, self.timeout or TIMEOUT, self.cache
        )

    def _check_unused(self) -> None:
        used = [name for name in self.__slots__ if getattr(self, name) is not None]
        if used:
            raise ValueError(
                "\n".join(
                    f"--{_PREFIX}{name.replace('_', '-')} has no effect without "
                    f"--{_PREFIX}url: add it"
                    for name in used
                )
            )

    def _check_origin(self, config_file: Path | None) -> None:
        if config_file is not None:
            raise ValueError(
                f"--config.file and --{_PREFIX}url are two configurations: use one of "
                f"them; --{_PREFIX}path is the path in the repository"
            )
        if shutil.which("git") is None:
            raise ValueError(
                f"--{_PREFIX}url needs the program git, which is not in PATH: install it"
            )

    def _check_token_file(self) -> None:
        is_local = (self.url or "").startswith(("/", "file:"))
        if self.token_file is not None and is_local:
            raise ValueError(f"--{_PREFIX}token-file has no effect with a local path")

    def _check_username(self) -> None:
        name = self.username
        if name is not None and (not name or not name.isprintable() or ":" in name):
            raise ValueError(f"--{_PREFIX}username {name!r} is no user name")

    def _check_ca_file(self) -> None:
        if self.ca_file is not None and not self.ca_file.is_file():
            raise ValueError(f"--{_PREFIX}ca-file {str(self.ca_file)!r} is not a file")


_OPTIONS: Final[tuple[tuple[str, Any, str], ...]] = (
    (
        "url",
        str,
        "Follow the configuration in this repository: https://, http:// or a path.",
    ),
    ("ref", str, "The branch, tag or commit to follow.  [default: HEAD]"),
    (
        "path",
        str,
        "The file or directory in the repository.  [default: afterrun.yml]",
    ),
    ("interval", DURATION, "How often to fetch.  [default: 1m]"),
    ("timeout", DURATION, "The maximum duration of a fetch.  [default: 2m]"),
    ("token-file", _FILE, "A file with the token for the repository."),
    ("username", str, f"The user name to send with the token.  [default: {USERNAME}]"),
    ("ca-file", _FILE, "The certificates of the authorities to trust, in PEM."),
    (
        "cache",
        PathType(file_okay=False),
        (
            "The directory for fetched commits.  [default: beside the database file, or "
            f"{CACHE} with PostgreSQL]"
        ),
    ),
)


def git_options(command: F) -> F:
    """Add the flags to *command*, which gets them as one `GitFlags` named git_flags."""
    return grouped(
        command,
        GitFlags,
        "git_",
        [
            click.option(
                f"--{_PREFIX}{name}",
                f"git_{name.replace('-', '_')}",
                type=type_,
                help=text,
            )
            for name, type_, text in _OPTIONS
        ],
    )
