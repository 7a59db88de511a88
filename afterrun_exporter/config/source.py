"""Reading of a configuration: one file, or the files of a directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from afterrun_exporter.errors import ConfigError, Problem

#: The maximum size of all files together, enough for 300,000 jobs.
MAX_BYTES: Final = 128 * 2**20
TOO_LARGE: Final = f"larger than {MAX_BYTES // 2**20}MiB"
#: Endings of the files of a directory that are read.
ENDINGS: Final = (".yml", ".yaml")
#: An empty directory, such as a volume that is not mounted, would retire every job.
NO_FILES: Final = (
    "has no *.yml files; write one with 'jobs: {}' for a configuration without jobs"
)

#: Bytes per read.
_PIECE: Final = 2**20
#: How often a directory is read that changes meanwhile.
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a configuration."""

    #: Its name in problems.
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a configuration, in one file or several."""

    #: The path of the file or of the directory.
    name: str
    #: In the order of their names.
    files: tuple[SourceFile, ...]
    #: The directory that relative paths in it start from.
    beside: Path
    #: True if it is in a git repository, without a directory.
    is_in_repository: bool = False

    @classmethod
    def of(cls, text: str, name: str) -> Source:
        """Return the source of one file with the *text*."""
        return cls(name, (SourceFile(name, text),), Path(name).parent)

    @property
    def digest(self) -> bytes:
        """The digest of its texts."""
        digest = sha256()
        for file in self.files:
            digest.update(f"{len(file.text)}\0".encode())
            digest.update(file.text.encode())
        return digest.digest()


def is_read(name: str) -> bool:
    """Return True if a file with this *name* in a directory is part of its configuration.

    Hidden files are not: editors write them, and so does the kubelet in a ConfigMap.
    """
    return name.endswith(ENDINGS) and not name.startswith(".")


def read(path: Path) -> Source:
    """Return the configuration at *path*, a file or a directory.

    Raises ConfigError if it cannot be read.
    """
    if path.is_dir():
        return _read_directory(path)
    return Source.of(read_text(path), str(path))


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """Return the text of the file at *path*; raise ConfigError if it cannot be read.

    *most* is the maximum number of bytes.
    """
    try:
        data = bytearray()
        with path.open("rb") as file:
            # In pieces, because read(MAX_BYTES) would allocate that much memory.
            while len(data) <= most and (more := file.read(_PIECE)):
                data += more
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError(str(path), [Problem(0, "", message)]) from None
    if len(data) > most:
        raise ConfigError(str(path), [Problem(0, "", TOO_LARGE)])
    return decoded(data, str(path))


def decoded(data: bytes | bytearray, name: str) -> str:
    """Return the text of *data* from the file *name*; raise ConfigError if it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise ConfigError(name, [Problem(line, "", message)]) from None


def in_files(error: ConfigError) -> Iterator[Problem]:
    """Yield the problems of *error*, each with its file."""
    for one in error.problems:
        yield Problem(one.line, one.path, one.message, one.file or error.file)


def _read_directory(path: Path) -> Source:
    """Return the configuration of the directory at *path*.

    If its files change meanwhile, they are read again, so that the result is none of
    two halves.
    """
    for _ in range(_ATTEMPTS):
        before = _listing(path)
        try:
            files = tuple(_files(path, [name for name, *_ in before]))
        except ConfigError:
            if _listing(path) == before:
                raise
            continue
        if _listing(path) == before:
            return Source(str(path), files, path)
    message = "its files change while they are read: try again"
    raise ConfigError(str(path), [Problem(0, "", message)])


def _listing(path: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return the names of the files in *path*, and their versions."""
    try:
        names = sorted(filter(is_read, os.listdir(path)))  # noqa: PTH208 - the names
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError(str(path), [Problem(0, "", message)]) from None
    if not names:
        raise ConfigError(str(path), [Problem(0, "", NO_FILES)])
    return [
        (name, os.path.realpath(path / name), _version(path / name)) for name in names
    ]


def _version(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _files(path: Path, names: list[str]) -> Iterator[SourceFile]:
    """Yield the files with *names*; raise ConfigError with all that cannot be read."""
    problems: list[Problem] = []
    remaining = MAX_BYTES
    for name in names:
        file = path / name
        try:
            _check_regular(file)
            text = read_text(file, remaining)
        except ConfigError as error:
            problems += in_files(error)
            continue
        remaining -= len(text)
        yield SourceFile(str(file), text)
    if problems:
        raise ConfigError(str(path), problems)


def _check_regular(file: Path) -> None:
    """Raise ConfigError if *file* is a pipe, which would be waited for, or a directory."""
    try:
        is_regular = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError(str(file), [Problem(0, "", message)]) from None
    if not is_regular:
        message = "is not a regular file: rename it, so that it does not end in .yml"
        raise ConfigError(str(file), [Problem(0, "", message)])
