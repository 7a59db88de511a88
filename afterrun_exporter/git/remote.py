"""The repository to follow: its URL, ref and path, and the credentials for it."""

from __future__ import annotations

import re
import stat
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from afterrun_exporter.errors import GitError

#: The flags of `afterrun serve`, as messages name them.
URL: Final = "--config.git-url"
REF: Final = "--config.git-ref"
PATH: Final = "--config.git-path"
TOKEN: Final = "--config.git-token-file"  # noqa: S105 - the name of a flag

#: The user name that GitHub, GitLab and Gitea accept with any token.
USERNAME: Final = "x-access-token"
#: The maximum size of a token.
MAX_TOKEN: Final = 8192

_SCHEMES: Final = ("https", "http", "file")
# As `git check-ref-format`, and nothing that is a pattern or a refspec.
_REF: Final = re.compile(
    r"(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\x00-\x20\x7f~^:?*\[\\+.\-/][^\x00-\x20\x7f~^:?*\[\\]*"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A ref of a repository, and the path of the configuration in it."""

    url: str
    ref: str = "HEAD"
    #: A file or a directory; "" for the root of the repository.
    path: str = "afterrun.yml"
    token_file: Path | None = None
    username: str = USERNAME
    ca_file: Path | None = None

    @property
    def key(self) -> str:
        """A short name of the URL, ref and path."""
        text = f"{self.url}\0{self.ref}\0{self.path}"
        return sha256(text.encode()).hexdigest()[:16]

    @property
    def origin(self) -> str:
        """The scheme, host and port of the URL."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/"

    @property
    def sends_plain_token(self) -> bool:
        """True if the token is sent without encryption."""
        return self.token_file is not None and self.url.startswith("http://")

    def __str__(self) -> str:
        return f"{self.path or '/'} at {self.ref} of {self.url}"


def checked_url(url: str) -> str:
    """Return *url*; raise ValueError if it is unusable, without quoting credentials."""
    if url.startswith("/"):
        url = f"file://{url}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{URL} is not a URL") from None
    if parts.scheme not in _SCHEMES:
        if parts.scheme == "ssh" or "@" in url:
            raise ValueError(
                f"{URL} is an address for ssh, which is not supported: use https:// "
                f"and {TOKEN}"
            )
        raise ValueError(
            f"{URL} {url!r} does not begin with https://, http://, file:// or /"
        )
    if "@" in parts.netloc:
        raise ValueError(
            f"{URL} has a user name or password, which lists of processes show: "
            f"remove it and use {TOKEN}"
        )
    if parts.query or parts.fragment:
        raise ValueError(f"{URL} has a query or fragment: remove all from ? or # on")
    if _CONTROL.search(url) or " " in url:
        raise ValueError(f"{URL} has a space or control character: encode it as %20")
    is_file = parts.scheme == "file"
    if not is_file and not host:
        raise ValueError(f"{URL} {url!r} has no host name")
    if is_file and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError(f"{URL} {url!r} is not file:// and an absolute path")
    return url


def checked_ref(ref: str) -> str:
    """Return *ref*, a branch, a tag or a commit; raise ValueError if it cannot be one."""
    if not _REF.fullmatch(ref) or ref.endswith(("/", ".")) or ref == "@":
        raise ValueError(f"{REF} {ref!r} is not the name of a branch, tag or commit")
    return ref


def checked_path(path: str) -> str:
    """Return *path* within a repository, "" for its root.

    Raises ValueError if it is outside, or not a path.
    """
    if path.startswith("/"):
        raise ValueError(f"{PATH} {path!r} is absolute: it starts at the repository")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError(f"{PATH} {path!r} may leave the repository: remove '..'")
    if _CONTROL.search(path):
        raise ValueError(f"{PATH} {path!r} has a control character")
    if any(part.lower() == ".git" for part in parts):
        raise ValueError(f"{PATH} {path!r} has a part '.git', which git cannot store")
    return "/".join(parts)


def read_token(remote: Remote) -> str:
    """Return the token of *remote*, "" if there is none; raise GitError if it is unusable."""
    file = remote.token_file
    if file is None:
        return ""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise GitError(f"{TOKEN} {str(file)!r} is not a regular file")
        with file.open("rb") as reader:
            data = reader.read(MAX_TOKEN + 1)
    except OSError as error:
        message = f"{TOKEN} {str(file)!r} cannot be read: {error.strerror or error}"
        raise GitError(message) from None
    token = data.decode("latin-1").strip()
    if not token:
        raise GitError(f"{TOKEN} {str(file)!r} is empty")
    if len(data) > MAX_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise GitError(f"{TOKEN} {str(file)!r} has no token: write one line of ASCII")
    return token


def authorization(remote: Remote, token: str) -> str:
    """Return the header that authenticates with *token*."""
    pair = f"{remote.username}:{token}"
    return f"Authorization: Basic {b64encode(pair.encode()).decode()}"
