"""Loading of afterrun.yml to a Config, or to a list of all problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os.path import normpath, realpath
from pathlib import Path as FilePath
from typing import Any, Final

from afterrun_exporter.config import document, lint
from afterrun_exporter.config.building import Builder, Config
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.validation_messages import Finding, Path, show

#: Sections from which Prometheus rules, routes and dashboards are generated.
_GENERATED_FROM: Final = (
    "external_url",
    "labels",
    "defaults",
    "jobs",
    "policies",
    "alertmanager",
)

#: Levels of nesting that are hashed piece by piece: the sections, and their entries.
_NESTED: Final = 2

#: The maximum size of the file, enough for 300,000 jobs.
MAX_BYTES: Final = 128 * 2**20
#: An empty file, such as after a failed redirection, would retire every job.
EMPTY: Final = "is empty; write 'jobs: {}' for a configuration without jobs"

#: Bytes per read.
_PIECE: Final = 2**20


def load(path: FilePath) -> Config:
    """Return the configuration in the file at *path*.

    Raises ConfigError with all problems, also if the file cannot be read.
    """
    return parse(read_text(path), str(path))


def default() -> Config:
    """Return the configuration of a daemon without a file."""
    return replace(parse("{}"), hash="")


def read_text(path: FilePath) -> str:
    """Return the text of the file at *path*; raise ConfigError if it cannot be read."""
    try:
        data = bytearray()
        with path.open("rb") as file:
            # In pieces, because read(MAX_BYTES) would allocate that much memory.
            while len(data) <= MAX_BYTES and (more := file.read(_PIECE)):
                data += more
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError(str(path), [Problem(0, "", message)]) from None
    if len(data) > MAX_BYTES:
        message = f"larger than {MAX_BYTES // 2**20}MiB"
        raise ConfigError(str(path), [Problem(0, "", message)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise ConfigError(str(path), [Problem(line, "", message)]) from None


def parse(text: str, file: str = "afterrun.yml", *, on_disk: bool = True) -> Config:
    """Return the configuration in *text*; *file* is its name in problems.

    Unless the text is *on_disk*, files that it refers to are not accessed. Raises
    ConfigError with all problems.
    """
    try:
        parsed = document.read(text)
    except document.NotYAMLError as error:
        raise ConfigError(file, error.problems) from None
    if parsed.data is None and not parsed.problems:
        raise ConfigError(file, [Problem(1, "", EMPTY)])
    data = {} if parsed.data is None else parsed.data
    builder = Builder()
    built = builder.build(data)
    beside = FilePath(file).parent
    where = realpath if on_disk else normpath
    findings = [*builder.findings, *_overwritten(builder.alertmanager, beside, where)]
    if built is None or findings or parsed.problems:
        wrong = located(text, findings)
        raise ConfigError(file, (*parsed.problems, *wrong))
    return replace(built, hash=_hash(data))


def warnings(text: str, config: Config, now: float) -> tuple[Problem, ...]:
    """Return warnings about the valid *config*, which was parsed from *text*."""
    return located(text, tuple(_oddities(config, now)))


def problem_at(text: str, path: Path, message: str) -> Problem:
    """Return a problem with *message* at the line of *path* in *text*."""
    (problem,) = located(text, [Finding(path, message)])
    return problem


def _overwritten(
    alertmanager: Alertmanager, beside: FilePath, where: Callable[[FilePath], str]
) -> Iterator[Finding]:
    """Yield a finding if the daemon would overwrite a file that it reads."""
    base, ours = alertmanager.base, alertmanager.config_file
    if base and ours and where(beside / base) == where(beside / ours):
        message = (
            "is the same file as config_file, which would be overwritten: rename the base "
            "and set its new path"
        )
        yield Finding(("alertmanager", "base"), message)


def _oddities(config: Config, now: float) -> Iterator[Finding]:
    yield from lint.of_labels(config.label_keys)
    for job in config.jobs.values():
        yield from lint.of_job(job, now)
    for position, route in enumerate(config.alertmanager.routes):
        match = route.match
        if match.by_configuration and not any(map(match.matches, config.jobs.values())):
            message = "matches no job of this file, so this route is never used"
            yield Finding(("alertmanager", "routes", position, "match"), message)


def located(text: str, findings: Sequence[Finding]) -> tuple[Problem, ...]:
    """Return *findings* as problems with their lines in *text*."""
    if not findings:
        return ()
    lines = document.read(text, {finding.path for finding in findings})
    return tuple(
        Problem(lines.line(finding.path), show(finding.path), finding.message)
        for finding in findings
    )


def _hash(data: Any) -> str:
    sections = {key: data[key] for key in _GENERATED_FROM if data.get(key)}
    digest = hashlib.sha256()
    for piece in _json(sections, _NESTED):
        digest.update(piece.encode())
    return digest.hexdigest()[:12]


def _json(data: Any, levels: int) -> Iterator[str]:
    """Yield the JSON of *data*, with sorted keys, in pieces of that many *levels*.

    Encoding 100,000 jobs in one call would keep other threads from running.
    """
    if not levels or not isinstance(data, dict):
        yield json.dumps(data, sort_keys=True, ensure_ascii=False)
        return
    separator = "{"
    for key in sorted(data):
        yield f"{separator}{json.dumps(key, ensure_ascii=False)}: "
        yield from _json(data[key], levels - 1)
        separator = ", "
    yield "}" if data else "{}"
