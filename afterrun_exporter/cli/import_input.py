"""Reading the files, directories and URLs that `afterrun import` converts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from afterrun_exporter.client.transport import NoResponseError, Transport
from afterrun_exporter.client.urls import public_url
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.model import InputFile

Command = TypeVar("Command", bound=Callable[..., Any])

YAML_SUFFIXES: Final = (".yml", ".yaml", ".json")
#: The maximum size of a file, enough for 50,000 jobs.
MAX_BYTES: Final = 32 * 2**20
#: The maximum number of files in a directory.
MAX_FILES: Final = 10_000
#: The timeout of a request in seconds.
_PATIENCE: Final = 30.0


def files_argument(command: Command) -> Command:
    """Add the argument FILE, which becomes the parameter `files`."""
    return click.argument("files", nargs=-1, metavar="[FILE|-|URL]...")(command)


def read_files(
    arguments: Sequence[str],
    suffixes: Sequence[str],
    list_files: Callable[[Path], Iterable[Path]] | None = None,
    *,
    is_lenient: bool = False,
) -> list[InputFile]:
    """Return the texts of all *arguments*: files, directories, URLs, or - for stdin.

    Files in a directory are those that *list_files* returns, by default all that end with
    one of *suffixes*, also in subdirectories; if *is_lenient*, they may be no UTF-8.
    Raises ConfigError with each file that cannot be read, and UsageError without
    arguments.
    """
    if not arguments:
        raise click.UsageError("Missing argument 'FILE'; - reads standard input.")
    files: list[InputFile] = []
    errors: list[ConfigError] = []
    for argument in arguments:
        try:
            names = _expanded(
                argument, list_files or (lambda path: _below(path, suffixes))
            )
        except ConfigError as error:
            errors.append(error)
            continue
        strict = not is_lenient or names == [argument]
        for name in names:
            try:
                files.append(InputFile(_public_name(name), _text(name, strict=strict)))
            except ConfigError as error:
                errors.append(error)
    if errors:
        raise ImportInputError(errors)
    return files


class ImportInputError(ConfigError):
    """Input files cannot be read; it has the problems of all of them."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__(errors[0].file, errors[0].problems)
        self.args = ("\n".join(map(str, errors)),)


def decode(data: bytes, name: str) -> str:
    """Return *data* of the file *name* as text; raise ConfigError if it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise ConfigError(name, [Problem(line, "", message)]) from None
    if (position := text.find("\0")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise ConfigError(name, [Problem(line, "", "not text: it has a null byte")])
    return text


def _expanded(argument: str, list_files: Callable[[Path], Iterable[Path]]) -> list[str]:
    """Return *argument*, or the files in it if it is a directory."""
    if argument == "-" or is_url(argument) or not Path(argument).is_dir():
        return [argument]
    try:
        paths = sorted(str(path) for path in list_files(Path(argument)))
    except OSError as error:
        raise _unreadable(argument, error) from None
    if not paths:
        problem = Problem(0, "", "the directory has no files to import")
        raise ConfigError(argument, [problem])
    if len(paths) > MAX_FILES:
        problem = Problem(0, "", f"the directory has more than {MAX_FILES} files")
        raise ConfigError(argument, [problem])
    return paths


def _below(directory: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    for path in directory.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(directory).parts)
        if path.name.endswith(tuple(suffixes)) and not hidden and path.is_file():
            yield path


def _public_name(name: str) -> str:
    if name == "-":
        return "stdin"
    return public_url(name) if is_url(name) else name


def _text(name: str, *, strict: bool) -> str:
    if is_url(name):
        return decode(_downloaded(name), _public_name(name))
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, error) from None
    check_size(data, _public_name(name))
    if not strict:
        return data.decode("utf-8-sig", "surrogateescape")
    return decode(data, _public_name(name))


def _downloaded(url: str) -> bytes:
    try:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        base = f"{parts.scheme}://{parts.netloc}"
        transport = Transport(base, program="a file server", option="the URL")
        response = transport.request("GET", path or "/", _PATIENCE, most=MAX_BYTES + 1)
    except (NoResponseError, ValueError) as error:
        problem = Problem(0, "", f"cannot be read: {error}")
        raise ConfigError(public_url(url), [problem]) from None
    if response.status != 200:
        problem = Problem(0, "", f"cannot be read: {response.problem}")
        raise ConfigError(public_url(url), [problem])
    check_size(response.body, public_url(url))
    return response.body


def check_size(data: bytes, name: str) -> None:
    if len(data) > MAX_BYTES:
        problem = Problem(0, "", f"larger than {MAX_BYTES // 2**20}MiB: split it")
        raise ConfigError(name, [problem])


def _unreadable(name: str, error: OSError) -> ConfigError:
    message = f"cannot be read: {error.strerror or error}"
    return ConfigError(_public_name(name), [Problem(0, "", message)])


def is_url(argument: str) -> bool:
    return argument.startswith(("http://", "https://"))
