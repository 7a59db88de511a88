"""The location of a database: a file, or the URL of a database in PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from afterrun_exporter.errors import StorageError

#: Schemes of URLs of databases in PostgreSQL, as in its own programs.
SCHEMES: Final = ("postgresql", "postgres")

EXAMPLE: Final = "postgresql://afterrun@db.example:5432/afterrun"

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: Host names and addresses with ports, separated by commas. A password that is not
#: percent-encoded is none of these.
_HOST: Final = r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]|%[0-9A-Fa-f]{2})*(:[0-9]{1,5})?"
_HOSTS: Final = re.compile(f"{_HOST}(,{_HOST})*")
_DATABASE: Final = re.compile(r"/([^/@:]*)")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """The URL of a database in PostgreSQL; its texts have no password."""

    #: It may have a password.
    url: str = field(repr=False)
    #: A file with the password, read for each connection, so that it can change.
    password_file: Path | None = None

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        userinfo, at, hosts = parts.netloc.rpartition("@")
        user = userinfo.partition(":")[0]
        return f"{SCHEMES[0]}://{user}{at}{hosts}{parts.path}"

    def __repr__(self) -> str:
        return f"DatabaseUrl({str(self)!r})"

    @property
    def has_password(self) -> bool:
        """True if the URL has a password."""
        parts = urlsplit(self.url)
        userinfo = parts.netloc.rpartition("@")[0]
        query = parse_qs(parts.query, keep_blank_values=True)
        return ":" in userinfo or "password" in query

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
        if not password:
            raise StorageError(f"the password file {str(file)!r} is empty")
        return password


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
        scheme = f": {match[0]!r} is another kind" if match else ""
        raise ValueError(f"is no URL like {EXAMPLE}{scheme}")
    if not text.isprintable() or " " in text:
        raise ValueError("has a space or a control character: percent-encode it")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"has an invalid host: write it like {EXAMPLE}") from None
    hosts = parts.netloc.rpartition("@")[2]
    database = _DATABASE.fullmatch(parts.path)
    if parts.fragment or not _HOSTS.fullmatch(hosts) or (parts.path and not database):
        raise ValueError(
            f"cannot be read: write it like {EXAMPLE}, and percent-encode special "
            "characters in a user name or password ('/' as %2F, '@' as %40, '#' as %23)"
        )
    query = parse_qs(parts.query, keep_blank_values=True)
    if not (database and database[1]) and not query.keys() & {"dbname", "database"}:
        raise ValueError(f"names no database: write it like {EXAMPLE}")
    url = DatabaseUrl(f"{SCHEMES[0]}{text[len(match[1]) :]}", password_file)
    if url.has_password and password_file is not None:
        raise ValueError(
            f"has a password, and {str(password_file)!r} is another one: use one of them"
        )
    return url
