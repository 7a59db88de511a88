"""afterrun.yml to a Config of core Jobs, or to every problem it has at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import normpath, realpath
from pathlib import Path as FilePath
from typing import Any, Final

from afterrun_exporter.auth.tokens import Token
from afterrun_exporter.config import document, lint
from afterrun_exporter.config.building import Builder
from afterrun_exporter.config.error_messages import Path, show
from afterrun_exporter.config.problems import Finding
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.errors import ConfigError, Problem

#: What alerting rules, routes and dashboards are generated from.
_GENERATED_FROM: Final = ("labels", "defaults", "jobs", "policies", "alertmanager")

#: Room for 300,000 jobs; more is some other file.
MAX_BYTES: Final = 128 * 2**20
#: A redirection that failed leaves an empty file, which would retire every job.
EMPTY: Final = "is empty; write 'jobs: {}' if no job is to be configured"

#: Bytes that are read at once.
_PIECE: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the configuration file says, defaults filled in."""

    #: The jobs in the order of the file, and what all of them depend on.
    job_config: JobConfig
    #: Keys of the labels that alerts carry, in the order they were declared.
    label_keys: tuple[str, ...]
    #: Equal for files that say the same of jobs, labels and alerts, in whatever
    #: order and layout; "" where there is no file.
    hash: str
    alertmanager: Alertmanager = field(default_factory=Alertmanager)
    #: Who may do what; everybody may do everything where there are none.
    tokens: tuple[Token, ...] = ()

    @property
    def jobs(self) -> Mapping[str, Job]:
        return self.job_config.jobs

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs there are, those with a schedule, and rules."""
        jobs = self.jobs.values()
        return {
            "jobs": len(jobs),
            "scheduled": sum(job.schedule is not None for job in jobs),
            "rules": sum(len(job.rules) for job in jobs),
        }


def load(path: FilePath) -> Config:
    """Return what the file at *path* says.

    Raises ConfigError with everything that is wrong with it, which may be
    that it cannot be read.
    """
    return parse(read_text(path), str(path))


def default() -> Config:
    """Return the configuration of a daemon that has no file."""
    return replace(parse("{}"), hash="")


def read_text(path: FilePath) -> str:
    """Return the text of the file at *path*; raises ConfigError if there is none."""
    try:
        data = bytearray()
        with path.open("rb") as file:
            # All at once, the file would take MAX_BYTES however small it is.
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
    """Return what *text* says; *file* is what problems call it.

    Unless the text is *on_disk*, no file that it names is looked for. Raises
    ConfigError with everything that is wrong with it.
    """
    try:
        found = document.read(text)
    except document.NotYAMLError as error:
        raise ConfigError(file, error.problems) from None
    if found.data is None and not found.problems:
        raise ConfigError(file, [Problem(1, "", EMPTY)])
    data = {} if found.data is None else found.data
    builder = Builder()
    built = builder.build(data)
    beside = FilePath(file).parent
    where = realpath if on_disk else normpath
    findings = [*builder.findings, *_overwritten(builder.alertmanager, beside, where)]
    if built is None or findings or found.problems:
        wrong = located(text, findings)
        raise ConfigError(file, (*found.problems, *wrong))
    return Config(
        job_config=built.job_config,
        label_keys=built.label_keys,
        alertmanager=built.alertmanager,
        tokens=built.tokens,
        hash=_hash(data),
    )


def warnings(text: str, config: Config, now: float) -> tuple[Problem, ...]:
    """Return what is odd about *config*, read from *text*, without being wrong."""
    return located(text, tuple(_oddities(config, now)))


def problem_at(text: str, path: Path, message: str) -> Problem:
    """Return the problem that *message* is, where *text* says what is at *path*."""
    (problem,) = located(text, [Finding(path, message)])
    return problem


def _overwritten(
    alertmanager: Alertmanager, beside: FilePath, where: Callable[[FilePath], str]
) -> Iterator[Finding]:
    """Yield a finding when the daemon would write over what it is to read."""
    base, ours = alertmanager.base, alertmanager.config_file
    if base and ours and where(beside / base) == where(beside / ours):
        message = (
            "is config_file itself, which would be overwritten: move what you have, "
            "and name that"
        )
        yield Finding(("alertmanager", "base"), message)


def _oddities(config: Config, now: float) -> Iterator[Finding]:
    yield from lint.of_labels(config.label_keys)
    for job in config.jobs.values():
        yield from lint.of_job(job, now)
    for position, route in enumerate(config.alertmanager.routes):
        match = route.match
        if match.by_configuration and not any(map(match.takes, config.jobs.values())):
            message = "fits no job of this file, so nobody is told of anything by it"
            yield Finding(("alertmanager", "routes", position, "match"), message)


def located(text: str, found: Sequence[Finding]) -> tuple[Problem, ...]:
    """Return what was found with the lines of *text* that it stands on."""
    if not found:
        return ()
    lines = document.read(text, {finding.path for finding in found})
    return tuple(
        Problem(lines.line(finding.path), show(finding.path), finding.message)
        for finding in found
    )


def _hash(data: Any) -> str:
    told = {key: data[key] for key in _GENERATED_FROM if data.get(key)}
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
