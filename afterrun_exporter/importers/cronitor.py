"""Monitors of Cronitor as jobs: its YAML, and JSON of its monitor API.

https://cronitor.io/docs/monitor-api documents the attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.core.cronitor import assertion_rule, schedule_settings
from afterrun_exporter.core.units import format_duration, parse_duration
from afterrun_exporter.importers.cronitor_files import Monitor, read_file
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.shared_settings import SharedSettings
from afterrun_exporter.importers.usable_settings import usable
from afterrun_exporter.validation_messages import quote

#: Attributes with the state of a monitor, and those that follow from others.
_STATE: Final = frozenset(
    {
        *("attributes", "code", "created", "initialized", "latest_event", "running"),
        *("latest_events", "latest_invocations", "latest_issue", "next_expected_at"),
        *(
            "passing",
            "public_badge_url",
            "status",
            "type",
            "key",
            "has_duration_history",
        ),
    }
)
_READ: Final = frozenset(
    {
        *("name", "note", "description", "schedule", "schedules", "timezone"),
        *("grace_seconds", "schedule_tolerance", "failure_tolerance", "assertions"),
        *("group", "tags", "platform", "paused", "disabled", "environments", "rules"),
    }
)
#: Attributes that many monitors share, and the way to have their effect.
_SHARED: Final[Mapping[str, str]] = {
    "notify": "add receivers and routes to the section alertmanager",
    "notifications": "add receivers and routes to the section alertmanager",
    "realert_interval": "set repeat_interval in the section alertmanager",
    "consecutive_alert_threshold": (
        "Alertmanager repeats the notification of an alert until it resolves, or until "
        "a silence"
    ),
    "statuspages": "AfterRun has one status page, with all jobs",
}
#: Types whose monitors are jobs.
_TYPES: Final = frozenset({"job", "heartbeat"})
#: Types whose monitors send requests themselves, by names of several versions.
_REQUESTS: Final = frozenset({"check", "site", "synthetic", "healthcheck"})
_NO_REQUESTS: Final = (
    "AfterRun sends no requests to websites; use Prometheus's blackbox_exporter"
)
#: The default of `grace_seconds` of a job; that of other types is 0.
_JOB_GRACE: Final = 60
#: The environment of reports that name none.
_DEFAULT_ENVIRONMENT: Final = "production"
_MOST: Final = 10**9

#: Rules of the API before assertions: they are not kept, or stay below a duration.
_OLD_PERIODS: Final = frozenset(
    {
        *("run_ping_not_received", "complete_ping_not_received", "not_run_in"),
        *("not_completed_in", "has_not_run_in", "has_not_completed_in"),
    }
)
_OLD_DURATIONS: Final[Mapping[str, str]] = {
    "ran_longer_than": "<=",
    "ran_less_than": ">=",
}


_URL: Final = re.compile(r"(\w+://)\S*")


@dataclass(slots=True)
class _Job:
    """The job that a monitor becomes."""

    monitor: Monitor
    settings: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)

    @property
    def source(self) -> Source:
        return self.monitor.source

    def value(self, key: str) -> Any:
        return self.monitor.attributes.get(key)

    def refuse(self, key: str, reason: str, value: object = None) -> None:
        text_value = quote(self.value(key)) if value is None else quote(value)
        text = f"{self.monitor.key}: {key}: {text_value}"
        self.unmapped.append(Unmapped(self.source, text, reason))

    def text(self, key: str) -> str:
        value = self.value(key)
        if value is None or isinstance(value, str):
            return value or ""
        self.refuse(key, "expected text")
        return ""

    def count(self, key: str) -> int:
        """Return a whole number; 0 if it is not set or unusable."""
        value = self.value(key)
        if value is None:
            return 0
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or not 0 <= value < _MOST
        ):
            self.refuse(key, "expected a whole number, 0 or more")
            return 0
        return value

    def items(self, key: str) -> list[Any]:
        """Return the items of a list, or a value alone as its only item."""
        value = self.value(key)
        if value is None or value == "":
            return []
        return list(value) if isinstance(value, list) else [value]


def read(files: Sequence[InputFile]) -> Imported:
    """Return the monitors in *files*, which are YAML or JSON.

    Raises ConfigError for a file without monitors.
    """
    monitors: list[Monitor] = []
    unmapped: list[Unmapped] = []
    for file in files:
        more, unreadable = read_file(file)
        monitors += more
        unmapped += unreadable
    shared = SharedSettings()
    jobs: list[_Job] = []
    for monitor in monitors:
        if monitor.type in _TYPES:
            jobs.append(_Job(monitor))
            continue
        title = f"{monitor.key}: type: {quote(monitor.type)}"
        reason = _NO_REQUESTS if monitor.type in _REQUESTS else "unknown type"
        unmapped.append(Unmapped(monitor.source, title, reason))
    names = unique_names([job_name(job.monitor.key) for job in jobs])
    imported: list[ImportedJob] = []
    for job, name in zip(jobs, names, strict=True):
        _read(job, name, shared)
        settings, invalid = usable(job.settings, job.source, job.monitor.key)
        unmapped += [*job.unmapped, *invalid]
        imported.append(ImportedJob(name, settings, job.source, tuple(job.comments)))
    return Imported(tuple(imported), unmapped=(*unmapped, *shared.unmapped()))


def _read(job: _Job, name: str, shared: SharedSettings) -> None:
    """Add the settings, the comments and the reports of *job*."""
    settings = job.settings
    _read_name(job, name)
    if note := job.text("note") or job.text("description"):
        settings["description"] = note.strip()
    _read_schedule(job)
    _read_grace(job)
    if failures := job.count("failure_tolerance"):
        settings["alerts"] = {"after_failures": failures + 1}
    _read_rules(job)
    if group := job.text("group"):
        settings["project"] = group
    if tags := list(dict.fromkeys(map(str, job.items("tags")))):
        settings["tags"] = tags
    if job.value("paused") is True or job.value("disabled") is True:
        settings["enabled"] = False
    if platform := job.text("platform"):
        job.comments.append(f"platform: {platform}")
    _read_others(job, shared)


def _read_name(job: _Job, name: str) -> None:
    title, key = job.text("name"), job.monitor.key
    if name != key:
        # Clients report to the key, by which the job is found.
        job.settings["display_name"] = key
        if title not in {"", key}:
            job.comments.append(f"name: {title}")
    elif title not in {"", name}:
        job.settings["display_name"] = title


def _read_others(job: _Job, shared: SharedSettings) -> None:
    attributes = job.monitor.attributes
    environments = job.items("environments")
    if environments not in ([], [_DEFAULT_ENVIRONMENT]):
        names = ", ".join(map(str, environments))
        job.refuse("environments", "reports of all environments are of one job", names)
    for key in sorted(attributes.keys() - _READ - _STATE):
        value = attributes[key]
        if value is None or value is False or value in ("", [], {}):
            continue
        if key not in _SHARED:
            job.refuse(key, "AfterRun has no equivalent")
            continue
        for leaf in _leaves(value):
            text = f"{key}: {quote(leaf)}"
            shared.add(job.source, job.monitor.key, text, _SHARED[key])


def _leaves(value: object) -> Iterator[object]:
    """Yield the texts and numbers in *value*, with the keys to them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            for leaf in _leaves(inner):
                yield leaf if key == "alerts" else f"{key}: {leaf}"
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and value is not False and value != "":
        # The URL of a webhook has a secret.
        yield (
            _URL.sub(r"\1***", value) if isinstance(value, str) else str(value).lower()
        )


def _read_schedule(job: _Job) -> None:
    values = [*job.items("schedules"), *job.items("schedule")]
    texts = list(dict.fromkeys(" ".join(str(value).split()) for value in values))
    schedules = [schedule_settings(text) for text in texts if text]
    crons = [one["schedule"] for one in schedules if "schedule" in one]
    if not schedules:
        return
    if len(crons) == len(schedules):
        job.settings["schedule"] = crons if len(crons) > 1 else crons[0]
        if timezone := job.text("timezone"):
            job.settings["timezone"] = timezone
        else:
            job.comments.append("timezone: that of the account in Cronitor, if not UTC")
    elif len(schedules) == 1:
        job.settings.update(schedules[0])
    else:
        job.refuse(
            "schedules",
            "a job has one interval, or one or more cron expressions, not both",
            ", ".join(texts),
        )


def _read_grace(job: _Job) -> None:
    is_set = job.value("grace_seconds") is not None
    grace = job.count("grace_seconds")
    if tolerated := job.count("schedule_tolerance"):
        if every := job.settings.get("every"):
            default = _JOB_GRACE if job.monitor.type == "job" else 0
            grace = (grace if is_set else default) + tolerated * round(
                parse_duration(every)
            )
            job.comments.append(f"schedule_tolerance: {tolerated}, as a longer grace")
            is_set = True
        else:
            job.refuse(
                "schedule_tolerance",
                "missed runs are not counted: set grace to the time that a run may be late",
            )
    if is_set:
        job.settings["grace"] = format_duration(max(grace, 1))


def _read_rules(job: _Job) -> None:
    rules: list[dict[str, Any]] = []
    for assertion in job.items("assertions"):
        rule, reason = assertion_rule(assertion)
        if rule is None:
            job.refuse("assertions", reason, assertion)
        elif rule not in rules:
            rules.append(rule)
    for old in job.items("rules"):
        rule = _old_rule(job, old)
        if rule is not None and rule not in rules:
            rules.append(rule)
    if rules:
        job.settings["rules"] = rules


def _old_rule(job: _Job, old: object) -> dict[str, Any] | None:
    """Return the rule for *old*, one of ``rules``; a schedule is set instead."""
    fields = old if isinstance(old, Mapping) else {}
    kind, value = str(fields.get("rule_type", "")), fields.get("value")
    span = f"{value} {fields.get('time_unit') or 'seconds'}"
    if kind == "not_on_schedule" and "schedule" not in job.settings:
        job.settings["schedule"] = schedule_settings(str(value)).get("schedule", value)
        if timezone := job.text("timezone"):
            job.settings["timezone"] = timezone
        return None
    if kind in _OLD_PERIODS:
        every = schedule_settings(f"every {span}").get("every")
        if every and job.settings.keys().isdisjoint({"schedule", "every"}):
            job.settings["every"] = every
            return None
    if op := _OLD_DURATIONS.get(kind):
        rule, _ = assertion_rule(f"metric.duration {op} {span}")
        if rule is not None:
            return rule
    job.refuse("rules", "AfterRun has no equivalent", f"{kind} {span}".strip())
    return None
