"""Loading of afterrun.yml to a Config, or to a list of all problems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os.path import normpath, realpath
from pathlib import Path as FilePath
from typing import Any, Final

from afterrun_exporter.config import document, lint, merging
from afterrun_exporter.config.building import Builder, Config
from afterrun_exporter.config.merging import Merged, merge
from afterrun_exporter.config.source import Source, in_files, read
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
    "exposition",
)

#: Levels of nesting that are hashed piece by piece: the sections, and their entries.
_NESTED: Final = 2

#: An empty file, such as after a failed redirection, would retire every job.
EMPTY: Final = "is empty; write 'jobs: {}' for a configuration without jobs"


def load(path: FilePath) -> Config:
    """Return the configuration at *path*, a file or a directory.

    Raises ConfigError with all problems, also if it cannot be read.
    """
    return parse_source(read(path))


def default() -> Config:
    """Return the configuration of a daemon without a file."""
    return replace(parse("{}"), hash="")


def parse(text: str, file: str = "afterrun.yml", *, on_disk: bool = True) -> Config:
    """Return the configuration in *text*; *file* is its name in problems.

    Unless the text is *on_disk*, files that it refers to are not accessed. Raises
    ConfigError with all problems.
    """
    return parse_source(Source.of(text, file), on_disk=on_disk)


def parse_source(source: Source, *, on_disk: bool = True) -> Config:
    """Return the configuration in *source*, as `parse` does."""
    documents, problems = _documents(source)
    merged = None
    if len(source.files) == 1:
        data = {} if documents[0] is None else documents[0]
    else:
        merged = merge(documents)
        data = merged.data
    builder = Builder()
    built = builder.build(data)
    where = realpath if on_disk else normpath
    findings = [
        *builder.findings,
        *_overwritten(builder.alertmanager, source.beside, where),
        *(_relative(builder.alertmanager) if source.is_in_repository else ()),
    ]
    is_whole = merged is None or merged.is_whole
    if built is None or findings or problems or not is_whole:
        wrong = _located(source, merged, findings)
        raise ConfigError(source.name, (*problems, *wrong))
    job_config = replace(built.job_config, digest=_hash(data))
    return replace(built, job_config=job_config, hash=_hash(_generating(data)))


def _documents(source: Source) -> tuple[list[object], list[Problem]]:
    """Return the data of each file, and the problems of YAML that leave it usable.

    Raises ConfigError if a file is not YAML or is empty.
    """
    documents: list[object] = []
    problems: list[Problem] = []
    is_unusable = False
    for file in source.files:
        try:
            parsed = document.read(file.text)
        except document.NotYAMLError as error:
            own, is_unusable = list(error.problems), True
        else:
            documents.append(parsed.data)
            own = list(parsed.problems)
            if parsed.data is None and not own:
                own, is_unusable = [Problem(1, "", EMPTY)], True
        problems += in_files(ConfigError(file.name, own))
    if is_unusable:
        raise ConfigError(source.name, problems)
    return documents, problems


def warnings(source: Source | str, config: Config, now: float) -> tuple[Problem, ...]:
    """Return warnings about the valid *config*, which was parsed from *source*."""
    return located(source, tuple(_oddities(config, now)))


def problem_at(source: Source | str, path: Path, message: str) -> Problem:
    """Return a problem with *message* at the line of *path* in *source*."""
    (problem,) = located(source, [Finding(path, message)])
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


def _relative(alertmanager: Alertmanager) -> Iterator[Finding]:
    """Yield a finding for each relative path that the daemon would use."""
    if not alertmanager.config_file:
        return
    for key in ("config_file", "base"):
        path = getattr(alertmanager, key)
        if path and not FilePath(path).is_absolute():
            message = (
                "is a relative path, but a configuration in a git repository has no "
                "directory: write an absolute one"
            )
            yield Finding(("alertmanager", key), message)


def _oddities(config: Config, now: float) -> Iterator[Finding]:
    yield from lint.of_labels(config.label_keys)
    for job in config.jobs.values():
        yield from lint.of_job(job, now)
    for position, route in enumerate(config.alertmanager.routes):
        match = route.match
        if match.by_configuration and not any(map(match.matches, config.jobs.values())):
            message = "matches no job of this file, so this route is never used"
            yield Finding(("alertmanager", "routes", position, "match"), message)


def located(source: Source | str, findings: Sequence[Finding]) -> tuple[Problem, ...]:
    """Return *findings* as problems with their lines in *source*."""
    if not findings:
        return ()
    if isinstance(source, str):
        source = Source.of(source, "")
    merged = merge(_documents(source)[0]) if len(source.files) > 1 else None
    return _located(source, merged, findings)


def _located(
    source: Source, merged: Merged | None, findings: Sequence[Finding]
) -> tuple[Problem, ...]:
    if merged is not None:
        return tuple(merging.problems(source.files, merged, findings))
    if not findings:
        return ()
    (file,) = source.files
    lines = document.read(file.text, {finding.path for finding in findings})
    return tuple(
        Problem(
            lines.line(finding.path), show(finding.path), finding.message, file.name
        )
        for finding in findings
    )


def _generating(data: Any) -> dict[str, Any]:
    return {key: data[key] for key in _GENERATED_FROM if data.get(key)}


def _hash(data: Any) -> str:
    digest = hashlib.sha256()
    for piece in _json(data, _NESTED):
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
