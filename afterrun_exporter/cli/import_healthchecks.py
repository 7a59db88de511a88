"""`afterrun import healthchecks`: checks from files, or from the API of Healthchecks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from afterrun_exporter.cli.import_input import (
    MAX_BYTES,
    check_size,
    decode,
    files_argument,
    is_url,
    read_files,
)
from afterrun_exporter.cli.import_output import deliver, output_options
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.client.file_descriptors import read_limited
from afterrun_exporter.client.transport import NoResponseError, Response, Transport
from afterrun_exporter.client.urls import hidden, public_url
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers import healthchecks
from afterrun_exporter.importers.model import Imported, InputFile

#: The environment variable with the API key.
KEY_VARIABLE: Final = "HEALTHCHECKS_API_KEY"
_HEADER: Final = "X-Api-Key"
_MAX_KEY: Final = 4096
_SUFFIXES: Final = (".json",)
#: Seconds for each read from the network, and for the whole answer.
_PATIENCE: Final = 30.0
_LIMIT: Final = 120.0

#: A URL of the API, and a page of the web interface.
_API: Final = re.compile(r".*/api/v[1-9]/checks")
_PAGE: Final = re.compile(r"/(projects|checks|accounts)(/.*)?$")
#: Versions of the API, the newest first: older installations lack some.
_VERSIONS: Final = (3, 2, 1)


@click.command("healthchecks")
@files_argument
@click.option(
    "--api-key-file",
    type=PathType(dir_okay=False, path_type=None),
    metavar="PATH",
    help=f"File with the API key of the project. {KEY_VARIABLE} has the key itself.",
)
@output_options
def command(
    files: tuple[str, ...], api_key_file: str | None, into: Path | None, dry_run: bool
) -> None:
    """Convert checks of Healthchecks.

    Each FILE is a JSON answer of its API (GET /api/v3/checks/), and each URL an
    installation, such as https://healthchecks.io. A read-write API key keeps the ping
    URLs; the answer to a read-only key does not have them.
    """
    key = _api_key(api_key_file)

    def read() -> Imported:
        return healthchecks.read(_inputs(files, key))

    deliver(read, into, dry_run)


def _inputs(arguments: Sequence[str], key: str) -> list[InputFile]:
    if not any(map(is_url, arguments)):
        return read_files(arguments, _SUFFIXES)
    inputs: list[InputFile] = []
    for argument in arguments:
        if is_url(argument):
            inputs.append(_download(argument, key))
        else:
            inputs += read_files([argument], _SUFFIXES)
    return inputs


def _api_key(file: str | None) -> str:
    """Return the API key from *file* or the environment; "" without one."""
    place = f"the environment variable {KEY_VARIABLE}"
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if file is not None:
        place = f"--api-key-file {file!r}"
        try:
            key = read_limited(file, _MAX_KEY).decode("utf-8-sig").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise click.ClickException(f"cannot read {place}: {why}") from None
        if not key:
            raise click.ClickException(f"{place} is empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        # Not quoted, because it may be a key with more around it.
        raise click.ClickException(f"{place} has more than a key: write only the key")
    return key


def _download(url: str, key: str) -> InputFile:
    """Return the checks of the installation at *url*."""
    try:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        path = _PAGE.sub("", parts.path.rstrip("/"))
        if _API.fullmatch(parts.path.rstrip("/")):
            paths = [parts.path.rstrip("/") + "/"]
        else:
            paths = [f"{path}/api/v{version}/checks/" for version in _VERSIONS]
        query = f"?{parts.query}" if parts.query else ""
        transport = Transport(
            base, key, program="Healthchecks", option="the URL", key_header=_HEADER
        )
        for path in paths:
            name = public_url(base) + path
            response = transport.request(
                "GET", path + query, _PATIENCE, most=MAX_BYTES + 1, limit=_LIMIT
            )
            if response.status != HTTPStatus.NOT_FOUND:
                break
    except (NoResponseError, ValueError) as error:
        raise _error(public_url(url), f"cannot be read: {error}") from None
    if response.status != HTTPStatus.OK:
        raise _error(name, _refusal(response, key))
    check_size(response.body, name)
    return InputFile(name, decode(response.body, name))


def _refusal(response: Response, key: str) -> str:
    document = response.document
    reason = document.get("error") if isinstance(document, dict) else None
    if response.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"cannot be read: {response.problem}"
    why = (
        hidden(str(reason), f"key {key}")[:200] if reason else "authentication required"
    )
    return (
        f"cannot be read: {why}; put an API key of the project into --api-key-file or "
        f"{KEY_VARIABLE}"
    )


def _error(name: str, message: str) -> ConfigError:
    return ConfigError(name, [Problem(0, "", message)])
