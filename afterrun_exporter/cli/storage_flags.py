"""The flags for the database, and the environment variables in place of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import structlog

from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.location import (
    DatabaseUrl,
    Location,
    is_url,
    parse_url,
)

F = TypeVar("F", bound=Callable[..., object])

PATH: Final = "--storage.path"
PASSWORD_FILE: Final = "--storage.password-file"  # noqa: S105 - the name of a flag
URL_VARIABLE: Final = "AFTERRUN_STORAGE_URL"
FILE_VARIABLE: Final = "AFTERRUN_STORAGE_PASSWORD_FILE"

DEFAULT: Final = Path("afterrun.db")

log = structlog.get_logger()


def storage_options(command: F) -> F:
    """Add the flags to *command*, which gets them as one `StorageFlags` named storage."""

    @wraps(command)
    def collected(
        storage_path: str | None, password_file: Path | None, **values: Any
    ) -> object:
        return command(storage=StorageFlags(storage_path, password_file), **values)

    decorated: Any = click.option(
        PASSWORD_FILE,
        "password_file",
        type=PathType(dir_okay=False),
        help="A file with the password for PostgreSQL, read at each connection; or "
        f"set {FILE_VARIABLE}.",
    )(collected)
    decorated = storage_path_option(
        "The SQLite database, created if it does not exist; or the URL of a database "
        f"in PostgreSQL, postgresql://..., which {URL_VARIABLE} may have instead."
    )(decorated)
    result: F = decorated
    return result


def storage_path_option(text: str) -> Callable[[F], F]:
    """Return the decorator that adds the flag for the database with the help *text*."""
    option: Callable[[F], F] = click.option(
        PATH,
        "storage_path",
        metavar="FILE|URL",
        help=f"{text}  [default: {DEFAULT}]",
    )
    return option


class StorageFlags:
    """The values of the flags; None for those that are not used."""

    def __init__(self, path: str | None, password_file: Path | None = None) -> None:
        self._path = path
        self._password_file = password_file

    def location(self) -> Location:
        """Return the location of the database.

        A flag has precedence over the environment. Raises ValueError with the flag or
        variable that is wrong, also if the password cannot be read.
        """
        flag, path, variable = PATH, self._path, os.environ.get(URL_VARIABLE, "")
        if path is None and variable:
            flag, path = URL_VARIABLE, variable
        if path is None:
            path = str(DEFAULT)
        if flag == URL_VARIABLE or is_url(path):
            return self._database(flag, path)
        if self._password_file is not None:
            raise ValueError(
                f"{PASSWORD_FILE} has no effect with a file: {PATH} is not the URL of "
                "a database in PostgreSQL"
            )
        return checked_path(path)

    def log_precedence(self) -> None:
        """Log that the environment has another database than the flag, which is used."""
        variable = os.environ.get(URL_VARIABLE, "")
        if variable and self._path not in {None, variable}:
            log.warning("storage_url_ignored", variable=URL_VARIABLE, used=PATH)

    def file(self, command: str, instead: str) -> Path:
        """Return the path of the database file for *command*.

        Raises ValueError for a database in PostgreSQL, with the program to use *instead*.
        """
        location = self.location()
        if isinstance(location, DatabaseUrl):
            raise ValueError(
                f"`afterrun {command}` copies a database file, but the database is "
                f"{location}: use {instead}"
            )
        return location

    def _database(self, flag: str, text: str) -> DatabaseUrl:
        variable = os.environ.get(FILE_VARIABLE, "")
        file = self._password_file or (Path(variable) if variable else None)
        try:
            url = parse_url(text, file)
        except ValueError as error:
            raise ValueError(f"{flag}: {error}") from None
        try:
            url.password()
        except StorageError as error:
            name = FILE_VARIABLE if self._password_file is None else PASSWORD_FILE
            raise ValueError(f"{name}: {error}") from None
        return url


def checked_path(text: str) -> Path:
    """Return the path of a database file; raise ValueError if it is not persistent."""
    path = Path(text)
    if path == Path():
        raise ValueError(f"{PATH} is empty: use the path of a file")
    if text.startswith("sqlite:"):
        raise ValueError(
            f"{PATH} {text!r} would be a file of that name: use the path alone, "
            f"{PATH}={text.removeprefix('sqlite:') or DEFAULT}"
        )
    if path == Path(":memory:"):
        raise ValueError(
            f"{PATH} {text!r} would not survive a restart: use the path of a file"
        )
    if path.is_dir():
        raise ValueError(f"{PATH} {text!r} is a directory: use the path of a file")
    return path
