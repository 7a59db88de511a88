"""Conversion of YAML data to jobs and settings, or to a list of all errors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from afterrun_exporter.auth.tokens import Token
from afterrun_exporter.config.alerting import AlertmanagerSpec
from afterrun_exporter.config.alerting_values import References
from afterrun_exporter.config.auto_registered import auto_registered
from afterrun_exporter.config.conditions import SlowerThanSpec, SuccessRatioSpec
from afterrun_exporter.config.dependencies import (
    circles,
    unknown_dependencies,
    written_dependencies,
)
from afterrun_exporter.config.policies import PolicySpec, applied
from afterrun_exporter.config.schedules import flat
from afterrun_exporter.config.schema import DefaultsSpec, FileSpec, JobSpec
from afterrun_exporter.config.values import Declared
from afterrun_exporter.core.history import reach
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.kubernetes import Kubernetes
from afterrun_exporter.core.model import (
    JOB_NAME,
    Concurrency,
    Dependency,
    Job,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.routing import Alertmanager
from afterrun_exporter.core.schedule import (
    Every,
    Schedule,
    parse_cron,
    parse_oncalendar,
)
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.validation_messages import Finding, Path, findings, quote

T = TypeVar("T")

#: The keys of a schedule, of which a job has one; two of them refer to the clock.
_SCHEDULES: Final = ("schedule", "oncalendar", "every")
_BY_CLOCK: Final = frozenset({"schedule", "oncalendar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration, with defaults."""

    #: The jobs in the order of the file, and common settings.
    job_config: JobConfig
    #: Keys of labels of alerts, in the order of declaration.
    label_keys: tuple[str, ...]
    #: Equal for files with the same jobs, labels and alerts, regardless of order and
    #: layout; "" without a file.
    hash: str = ""
    alertmanager: Alertmanager = field(default_factory=Alertmanager)
    #: Settings of Kubernetes objects; None without that section.
    kubernetes: Kubernetes | None = None
    #: The URL under which people reach the daemon, without a trailing slash; "" if it
    #: is unknown.
    external_url: str = ""
    #: Tokens with their scopes; without any, every client may do everything.
    tokens: tuple[Token, ...] = ()

    @property
    def jobs(self) -> Mapping[str, Job]:
        return self.job_config.jobs

    @property
    def counts(self) -> dict[str, int]:
        """The number of jobs, of scheduled jobs, and of rules."""
        jobs = self.jobs.values()
        return {
            "jobs": len(jobs),
            "scheduled": sum(job.schedule is not None for job in jobs),
            "rules": sum(len(job.rules) for job in jobs),
        }


class Builder:
    """Builds jobs and settings from YAML data, and collects errors."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        #: Its settings, also if other sections have errors.
        self.alertmanager = Alertmanager()
        # Thousands of jobs may share an expression, which is parsed and stored once.
        self._schedules: dict[tuple[object, ...], Schedule] = {}
        # The dependencies of each job, also of jobs with other errors.
        self._depends_on: dict[str, list[str]] = {}

    def build(self, data: object) -> Config | None:
        """Return the jobs and settings in *data*, or None if there are findings."""
        declared = Declared(_declared_labels(data))
        try:
            spec = FileSpec.model_validate(data, context=declared)
        except ValidationError as error:
            self.findings.extend(findings(FileSpec, data, error))
            spec = None
        names = _section(data, "jobs").keys()
        policies = tuple(self._policies(data, declared, names))
        if spec is not None:
            self._check_policies(policies, spec.retention.runs)
        jobs = dict(self._jobs(data, declared, spec, policies))
        self.findings.extend(circles(self._depends_on))
        self.findings.extend(_shared_uuids(jobs))
        self.alertmanager = self._alertmanager(data, declared)
        if spec is not None and spec.kubernetes is not None:
            added = spec.kubernetes.alert_labels
            self.findings.extend(_labels_not_pushed(added, self.alertmanager))
        if spec is not None and len(jobs) > spec.limits.jobs:
            message = (
                f"{spec.limits.jobs} is less than the {len(jobs)} jobs of this file"
            )
            self.findings.append(Finding(("limits", "jobs"), message))
        if spec is None or self.findings:
            return None
        defaults = spec.defaults
        unknown = auto_registered(
            lambda spec: self._job("", spec, declared, defaults), policies, declared
        )
        job_config = JobConfig(
            jobs=jobs,
            unknown=unknown if spec.unknown_jobs == "accept" else None,
            projects=tuple(one.project(name) for name, one in spec.projects.items()),
            max_jobs=spec.limits.jobs,
            settings=Settings(
                dedup_window=spec.dedup_window,
                min_visible=spec.min_visible,
                metrics_per_job=spec.limits.metrics_per_job,
                runs_per_job=spec.retention.runs_per_job,
            ),
            settle=spec.settle,
            keep_for=spec.retention.runs,
            keep_runs=spec.retention.runs_per_job,
            keep_reports=max(spec.retention.reports, spec.retention.runs),
            body_bytes=spec.limits.body_bytes,
            pushed_bytes=spec.limits.pushed_bytes,
            disabled_families=frozenset(spec.exposition.disable),
        )
        return Config(
            job_config=job_config,
            label_keys=spec.labels,
            alertmanager=self.alertmanager,
            kubernetes=spec.kubernetes.kubernetes() if spec.kubernetes else None,
            tokens=tuple(one.token() for one in spec.auth.tokens) if spec.auth else (),
            external_url=spec.external_url or "",
        )

    def _alertmanager(self, data: object, declared: Declared) -> Alertmanager:
        section, at = _section(data, "alertmanager"), ("alertmanager",)
        references = References.of(section, declared)
        try:
            spec = AlertmanagerSpec.model_validate(section, context=references)
        except ValidationError as error:
            self.findings.extend(findings(AlertmanagerSpec, section, error, at))
            return Alertmanager()
        return spec.alertmanager()

    def _policies(
        self, data: object, declared: Declared, names: Collection[str]
    ) -> Iterator[PolicySpec]:
        """Yield the valid policies."""
        section = data.get("policies") if isinstance(data, dict) else None
        for position, entry in enumerate(section if isinstance(section, list) else ()):
            at = ("policies", position)
            layer = entry if isinstance(entry, dict) else {}
            self._check_one_schedule(layer, at)
            self.findings.extend(unknown_dependencies(layer, names, at))
            try:
                yield PolicySpec.model_validate(entry, context=declared)
            except ValidationError as error:
                self.findings.extend(findings(PolicySpec, entry, error, at))

    def _jobs(
        self,
        data: object,
        declared: Declared,
        file: FileSpec | None,
        policies: Sequence[PolicySpec],
    ) -> Iterator[tuple[str, Job]]:
        """Yield the valid jobs."""
        section = _section(data, "jobs")
        scheduling = [policy.model_fields_set for policy in policies]
        for name, entry in section.items():
            at = ("jobs", name)
            before = len(self.findings)
            self._check_name(name)
            layer = _section(section, name)
            self._check_one_schedule(layer, at)
            if not any(_BY_CLOCK & one for one in (layer.keys(), *scheduling)):
                self._check_no_calendar(layer, at)
            self.findings.extend(unknown_dependencies(layer, section, at))
            try:
                spec = JobSpec.model_validate(entry, context=declared)
            except ValidationError as error:
                self.findings.extend(findings(JobSpec, entry, error, at))
                self._depends_on[name] = [job for _, job in written_dependencies(layer)]
                continue
            spec = applied(name, spec, policies)
            self._depends_on[name] = [one.job for one in spec.depends_on]
            if file is not None and len(self.findings) == before:
                job = self._job(name, spec, declared, file.defaults)
                windows = ("jobs", name, "alerts")
                if "alerts" in layer:
                    self._check_window(reach(job), file.retention.runs, windows)
                yield name, job

    def _check_name(self, name: str) -> None:
        if not JOB_NAME.fullmatch(name):
            message = (
                f"{quote(name)} is not a job name: it starts with a letter or "
                "digit and goes on with at most 127 letters, digits, . _ : or -"
            )
            self.findings.append(Finding(("jobs", name), message))

    def _check_one_schedule(self, layer: Mapping[str, Any], at: Path) -> None:
        if len(layer.keys() & _SCHEDULES) > 1:
            keys = [key for key in _SCHEDULES if key in layer]
            number = "one" if len(keys) == 2 else "two"
            message = f"a job has either {' or '.join(keys)}: remove {number}"
            self.findings.append(Finding((*at, keys[-1]), message))

    def _check_no_calendar(self, job: Mapping[str, Any], at: Path) -> None:
        for key in ("timezone", "exclude"):
            if key not in job:
                continue
            message = "has no effect without a schedule: remove it"
            if key == "exclude" and "every" in job:
                message = (
                    "has no effect on every, which counts from the last run: remove it, "
                    "or use schedule or oncalendar"
                )
            self.findings.append(Finding((*at, key), message))

    def _check_policies(self, policies: Sequence[PolicySpec], retention: float) -> None:
        # A policy may match jobs that are not in the file.
        for position, policy in enumerate(policies):
            alerts = policy.alerts
            windows = (alerts.success_ratio, alerts.slower_than)
            over = max((window.over for window in windows if window), default=0.0)
            self._check_window(over, retention, ("policies", position, "alerts"))

    def _check_window(self, over: float, retention: float, at: Path) -> None:
        if over > retention:
            message = (
                f"a window of {format_duration(over)} is longer than the retention of runs: "
                f"shorten it or raise retention.runs from {format_duration(retention)}"
            )
            self.findings.append(Finding(at, message))

    def _job(
        self, name: str, spec: JobSpec, declared: Declared, defaults: DefaultsSpec
    ) -> Job:
        ratio, slower = spec.alerts.success_ratio, spec.alerts.slower_than
        limit = spec.concurrency
        return Job(
            name=name,
            schedule=self._schedule(spec, defaults),
            grace=_or(spec.grace, defaults.grace),
            early=_or(spec.early, defaults.early),
            max_runtime=spec.max_runtime or defaults.max_runtime,
            max_attempts=spec.max_attempts or defaults.max_attempts,
            heartbeat=spec.heartbeat or defaults.heartbeat,
            after_downtime=_patience(spec, defaults),
            rules=tuple(rule.rule() for rule in spec.rules),
            after_failures=spec.alerts.after_failures,
            recover_after=spec.alerts.recover_after,
            success_ratio=SuccessRatio(**_window(ratio)) if ratio else None,
            slower_than=SlowerThan(**_window(slower)) if slower else None,
            concurrency=Concurrency(**dict(limit)) if limit else None,
            depends_on=tuple(Dependency(**dict(one)) for one in spec.depends_on),
            dedicated=spec.alerting == "dedicated",
            exposes_pushes=spec.export_as == "original",
            push=spec.push.settings() if spec.push else None,
            enabled=spec.enabled,
            severity=_or(spec.severity, defaults.severity),
            severities=spec.alerts.severities(),
            labels=tuple((key, spec.labels.get(key, "")) for key in declared.labels),
            project=spec.project,
            tags=spec.tags,
            display_name=spec.display_name,
            description=spec.description,
            runbook_url=spec.runbook_url or "",
            ping_uuid=spec.ping_uuid or "",
        )

    def _schedule(self, spec: JobSpec, defaults: DefaultsSpec) -> Schedule | None:
        if spec.every is not None:
            return Every(spec.every)
        zone = spec.timezone or defaults.timezone
        exclude = defaults.exclude if spec.exclude is None else spec.exclude
        key = (spec.schedule, spec.oncalendar, zone, exclude)
        if (shared := self._schedules.get(key)) is not None:
            return shared
        if spec.schedule is not None:
            schedule = parse_cron(spec.schedule, zone, flat(exclude))
        elif spec.oncalendar is not None:
            schedule = parse_oncalendar(spec.oncalendar, zone, flat(exclude))
        else:
            return None
        self._schedules[key] = schedule
        return schedule


def _labels_not_pushed(
    labels: Mapping[str, str], alertmanager: Alertmanager
) -> Iterator[Finding]:
    """Yield a finding for each of *labels* that only the alerts of rules would have."""
    if not alertmanager.push_to:
        return
    pushed = dict(alertmanager.labels)
    for key, value in labels.items():
        if pushed.get(key) != value:
            message = (
                "alerts that the daemon posts itself (alertmanager.push_to) would lack "
                f"it, and be others: add {key}: {value} to alertmanager.labels"
            )
            yield Finding(("kubernetes", "alert_labels", key), message)


def _shared_uuids(jobs: Mapping[str, Job]) -> Iterator[Finding]:
    """Yield a finding for each job with the ping_uuid of another one."""
    first_with: dict[str, str] = {}
    for name, job in jobs.items():
        if job.ping_uuid and first_with.setdefault(job.ping_uuid, name) != name:
            message = f"is already that of {first_with[job.ping_uuid]}: use another one"
            yield Finding(("jobs", name, "ping_uuid"), message)


def _window(spec: SuccessRatioSpec | SlowerThanSpec) -> dict[str, Any]:
    return {key: value for key, value in spec if key != "severity"}


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _patience(*layers: JobSpec | DefaultsSpec) -> float | None:
    """Return the delay after a downtime until a run counts as missed; None: never.

    The first of *layers* that sets it wins.
    """
    for layer in layers:
        if layer.after_downtime is not None:
            return layer.after_downtime
        if layer.on_downtime is not None:
            return 0.0 if layer.on_downtime == "alert" else None
    return None


def _section(data: Any, key: str) -> dict[str, Any]:
    """Return the mapping under *key*, or an empty one."""
    section = data.get(key) if isinstance(data, dict) else None
    return section if isinstance(section, dict) else {}


def _declared_labels(data: object) -> tuple[str, ...]:
    """Return the label keys that the file declares, even if it has other errors."""
    keys = data.get("labels") if isinstance(data, dict) else None
    return (
        tuple(key for key in keys if isinstance(key, str))
        if isinstance(keys, list)
        else ()
    )
