"""The location of a database: a file, or the URL of a database in PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from afterrun_exporter.errors import StorageError

#: Schemes of URLs of databases in PostgreSQL, as in its own programs.
SCHEMES: Final = ("postgresql", "postgres")

EXAMPLE: Final = "postgresql://afterrun@db.example:5432/afterrun"

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

#: The end of user and hosts in a URL.
_END: Final = re.compile(r"[/?#]")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The URL of a database in PostgreSQL; its texts have no password."""

    #: It may have a password.
    url: str = field(repr=False)
    #: A file with the password, read for each connection, so that it can change.
    password_file: Path | None = None

    def __str__(self) -> str:
        # Only here, because it needs a package that is optional.
        from afterrun_exporter.storage.postgres.address import display_name  # noqa: PLC0415

        return display_name(self.url)

    @property
    def has_password(self) -> bool:
        """True if the URL has a password."""
        parts = split_url(self.url)
        userinfo = parts.netloc.rpartition("@")[0]
        return ":" in userinfo or "password" in parse_qs(parts.query, True)

    def password(self) -> str | None:
        """Return the content of the password file, None without one.

        Raises StorageError if the file cannot be read or is empty.
        """
        file = self.password_file
        if file is None:
            return None
        try:
            text = file.read_text("utf-8")
        except OSError as error:
            reason = error.strerror or "unknown error"
            raise StorageError(
                f"cannot read the password file {str(file)!r}: {reason}"
            ) from None
        except UnicodeDecodeError:
            raise StorageError(
                f"the password file {str(file)!r} is not UTF-8"
            ) from None
        password = text.removesuffix("\n").removesuffix("\r")
        if not password.strip():
            raise StorageError(f"the password file {str(file)!r} is empty")
        if "\n" in password:
            raise StorageError(
                f"the password file {str(file)!r} has several lines: write the password "
                "alone into it"
            )
        return password


def authority_of(url: str) -> str:
    """Return user and hosts in *url*, as far as a password is percent-encoded."""
    return _END.split(url.partition("://")[2], maxsplit=1)[0]


def split_url(url: str) -> SplitResult:
    """Return the parts of *url*, which may have several hosts.

    Recent releases of Python refuse an IPv6 address that is not the first of them.
    """
    hosts = authority_of(url)
    parts = urlsplit(url.replace(f"://{hosts}", "://", 1))
    return parts._replace(netloc=hosts.strip())


#: A file, or a database in PostgreSQL.
Location = Path | DatabaseUrl


def is_url(text: str) -> bool:
    """Return True if *text* is meant as a URL."""
    scheme = text.partition(":")[0].lower()
    return _SCHEME.match(text) is not None or (scheme in SCHEMES and ":" in text)


def parse_url(text: str, password_file: Path | None = None) -> DatabaseUrl:
    """Return the database at the URL *text*.

    Raises ValueError with a message that quotes nothing of a password.
    """
    match = _SCHEME.match(text)
    if match is None or match[1].lower() not in SCHEMES:
        scheme = (
            f", {match[0]!r} is another kind; for SQLite use the path of a file"
            if match
            else ""
        )
        raise ValueError(f"this is no URL like {EXAMPLE}{scheme}")
    try:
        from afterrun_exporter.storage.postgres.address import (  # noqa: PLC0415
            address_of,
        )

        address_of(text)
    except StorageError as error:
        raise ValueError(str(error)) from None
    url = DatabaseUrl(text, password_file)
    if url.has_password and password_file is not None:
        raise ValueError(
            f"the URL has a password, and {str(password_file)!r} is another one: use "
            "one of them"
        )
    return url
