"""afterrun.yml to a Config of core Jobs, or to every problem it has at once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from afterrun_exporter.config import document
from afterrun_exporter.config.problems import Finding, findings
from afterrun_exporter.config.spec import DefaultsSpec, FileSpec, JobSpec
from afterrun_exporter.config.values import Declared
from afterrun_exporter.config.words import Path, quote, show
from afterrun_exporter.core.catalogue import Catalogue
from afterrun_exporter.core.model import JOB_NAME, Job, Settings
from afterrun_exporter.core.schedule import Cron, Every, Schedule, parse_cron
from afterrun_exporter.errors import ConfigError, Problem

T = TypeVar("T")

#: Room for 300,000 jobs; more is some other file.
MAX_BYTES: Final = 128 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the configuration file says, defaults filled in."""

    #: The jobs in the order of the file, and what all of them depend on.
    catalogue: Catalogue
    #: Keys of the labels that alerts carry, in the order they were declared.
    label_keys: tuple[str, ...]
    #: Equal for equal texts of the file.
    hash: str

    @property
    def jobs(self) -> Mapping[str, Job]:
        return self.catalogue.jobs


def load(path: FilePath) -> Config:
    """Return what the file at *path* says.

    Raises ConfigError with everything that is wrong with it, which may be
    that it cannot be read.
    """
    return parse(read_text(path), str(path))


def default() -> Config:
    """Return the configuration of a daemon that has no file."""
    return parse("")


def read_text(path: FilePath) -> str:
    """Return the text of the file at *path*; raises ConfigError if there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
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


def parse(text: str, file: str = "afterrun.yml") -> Config:
    """Return what *text* says; *file* is what problems call it.

    Raises ConfigError with everything that is wrong with it.
    """
    try:
        found = document.read(text)
    except document.NotYAMLError as error:
        raise ConfigError(file, error.problems) from None
    builder = _Builder()
    config = builder.build({} if found.data is None else found.data, _hash(text))
    if config is None or found.problems:
        located = _located(text, builder.findings)
        raise ConfigError(file, (*found.problems, *located))
    return config


def warnings(text: str, config: Config, now: float) -> tuple[Problem, ...]:
    """Return what is odd about *config*, read from *text*, without being wrong."""
    never = (
        Finding(
            ("jobs", name, "schedule"),
            f"{job.schedule.expression!r} names no day that ever comes",
        )
        for name, job in config.jobs.items()
        if isinstance(job.schedule, Cron) and job.schedule.next_after(now) == math.inf
    )
    return _located(text, tuple(never))


def _located(text: str, found: Sequence[Finding]) -> tuple[Problem, ...]:
    """Return what was found with the lines of *text* that it stands on."""
    if not found:
        return ()
    lines = document.read(text, {finding.path for finding in found})
    return tuple(
        Problem(lines.line(finding.path), show(finding.path), finding.message)
        for finding in found
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _Builder:
    """Makes a Config of plain data, and collects what is in the way."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        # Thousands of jobs share an expression: parse it once, keep it once.
        self._schedules: dict[tuple[str, str], Schedule] = {}

    def build(self, data: object, digest: str) -> Config | None:
        """Return what *data* comes to, or None when there are findings."""
        try:
            spec = FileSpec.model_validate(data)
        except ValidationError as error:
            self.findings.extend(findings(FileSpec, data, error))
            spec = None
        declared = Declared(_declared_labels(data))
        jobs = dict(self._jobs(data, declared, spec.defaults if spec else None))
        if spec is not None and len(jobs) > spec.limits.jobs:
            message = (
                f"{spec.limits.jobs} is less than the {len(jobs)} jobs of this file"
            )
            self.findings.append(Finding(("limits", "jobs"), message))
        if spec is None or self.findings:
            return None
        catalogue = Catalogue(
            jobs=jobs,
            unknown=_registers(spec) if spec.unknown_jobs == "accept" else None,
            max_jobs=spec.limits.jobs,
            settings=Settings(
                dedup_window=spec.dedup_window,
                min_visible=spec.min_visible,
                metrics_per_job=spec.limits.metrics_per_job,
            ),
            settle=spec.settle,
            keep_for=spec.retention.runs,
            keep_runs=spec.retention.runs_per_job,
            body_bytes=spec.limits.body_bytes,
        )
        return Config(catalogue=catalogue, label_keys=spec.labels, hash=digest)

    def _jobs(
        self, data: object, declared: Declared, defaults: DefaultsSpec | None
    ) -> Iterator[tuple[str, Job]]:
        """Yield the jobs that nothing is wrong with."""
        section = _section(data, "jobs")
        for name, written in section.items():
            at = ("jobs", name)
            before = len(self.findings)
            self._check_name(name)
            self._check_together(_section(section, name), at)
            try:
                spec = JobSpec.model_validate(written, context=declared)
            except ValidationError as error:
                self.findings.extend(findings(JobSpec, written, error, at))
                continue
            if defaults is not None and len(self.findings) == before:
                yield name, self._job(name, spec, declared, defaults)

    def _check_name(self, name: str) -> None:
        if not JOB_NAME.fullmatch(name):
            message = (
                f"{quote(name)} is not a job name: it starts with a letter or "
                "digit and goes on with at most 127 letters, digits, . _ : or -"
            )
            self.findings.append(Finding(("jobs", name), message))

    def _check_together(self, job: Mapping[str, Any], at: Path) -> None:
        """Look for keys of one job that do not go together, whatever they say."""
        if "schedule" in job and "every" in job:
            message = "a job has either schedule or every: remove one"
            self.findings.append(Finding((*at, "every"), message))
        if "timezone" in job and "schedule" not in job:
            message = "means nothing without a schedule: remove it"
            self.findings.append(Finding((*at, "timezone"), message))

    def _job(
        self, name: str, spec: JobSpec, declared: Declared, defaults: DefaultsSpec
    ) -> Job:
        return Job(
            name=name,
            schedule=self._schedule(spec, defaults),
            grace=_or(spec.grace, defaults.grace),
            early=_or(spec.early, defaults.early),
            max_runtime=spec.max_runtime or defaults.max_runtime,
            rules=tuple(rule.rule() for rule in spec.rules),
            after_failures=spec.alerts.after_failures,
            enabled=spec.enabled,
            severity=_or(spec.severity, defaults.severity),
            labels=tuple((key, spec.labels.get(key, "")) for key in declared.labels),
            project=spec.project,
            tags=spec.tags,
            description=spec.description,
            runbook_url=spec.runbook_url or "",
        )

    def _schedule(self, spec: JobSpec, defaults: DefaultsSpec) -> Schedule | None:
        if spec.every is not None:
            return Every(spec.every)
        if spec.schedule is None:
            return None
        key = (spec.schedule, spec.timezone or defaults.timezone)
        if key not in self._schedules:
            self._schedules[key] = parse_cron(*key)
        return self._schedules[key]


def _registers(spec: FileSpec) -> Callable[[str], Job]:
    """Return what makes the job that the first ping of an unknown name registers."""
    plain = Job(
        name="",
        grace=spec.defaults.grace,
        early=spec.defaults.early,
        max_runtime=spec.defaults.max_runtime,
        severity=spec.defaults.severity,
        labels=tuple((key, "") for key in spec.labels),
        configured=False,
    )
    return lambda name: replace(plain, name=name)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _section(data: Any, key: str) -> dict[str, Any]:
    """Return the mapping under *key*, or an empty one where there is none."""
    section = data.get(key) if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}


def _declared_labels(data: object) -> tuple[str, ...]:
    """Return the label keys the file declares, even when more is wrong with it."""
    keys = data.get("labels") if isinstance(data, dict) else None
    return (
        tuple(key for key in keys if isinstance(key, str))
        if isinstance(keys, list)
        else ()
    )
