"""Rules of a worker's alerts.yaml: to policies, and to rules of a queue-health job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.config.values import severity as checked_severity
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.units import format_duration, parse_duration
from afterrun_exporter.importers.model import ImportedPolicy
from afterrun_exporter.importers.queue_health import QueueRule, expressions, rank
from afterrun_exporter.importers.yaml_sections import Section, one_line

_KEYS: Final = ("name", "description", "enabled", "conditions", "severity", "channels")
#: The conditions of each section.
_CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "jobFailures": (
        "consecutiveFailures", "failureCount", "failureReason", "jobPattern",
    ),
    "queueHealth": ("dlqSize", "pendingJobs", "delayedJobs", "mode"),
    "performance": (
        "jobPattern", "successRate", "durationIncrease", "concurrencyUtilization",
        "timeWindow", "minRuns", "duration",
    ),
    "dependencies": ("hasDependencies", "failureReason", "jobPattern"),
}  # fmt: skip
SECTIONS: Final = tuple(_CONDITIONS)
_ALL: Final = ".*"
#: Names with a dot, as those of workers have; the queue-health job has none.
_DOTTED: Final = "[.]"
#: Runs are stored for this long by default.
_RETENTION: Final = parse_duration("30d")
_TIMEOUT: Final = (
    "AfterRun alerts while a run is past its max_runtime: set that of the jobs; a "
    "timeout that a job reports counts as a failure"
)
_BUSY: Final = (
    "how busy the worker is has no equivalent: check the effect on waiting jobs, as "
    "oldest_pending_seconds < 15m does in examples/queue-health.yml"
)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An enabled rule that had an effect, for its route."""

    section: Section
    name: str
    severity: str
    channels: tuple[str, ...] | None
    #: Conditions of ours, the names of jobs, and True if it is about the queue.
    conditions: tuple[str, ...]
    pattern: str
    is_queue: bool


@dataclass(slots=True)
class _Group:
    """The settings from all rules with one pattern."""

    section: Section
    after_failures: int | None = None
    alerts: dict[str, Any] = field(default_factory=dict)
    severities: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AlertRules:
    """Collects the rules of a file."""

    #: The names of the jobs that are imported with it; empty if unknown.
    jobs: Sequence[str] = ()
    rules: list[AlertRule] = field(default_factory=list)
    _groups: dict[str, _Group] = field(default_factory=dict)
    queue: list[QueueRule] = field(default_factory=list)

    def add(self, kind: str, section: Section) -> None:
        """Add the rule *section* of the section *kind* of the file."""
        name = one_line(section.text("name") or "") or kind
        description = one_line(section.text("description") or "")
        severity = self._severity(section)
        channels = section.texts("channels")
        enabled = section.boolean("enabled")
        conditions = section.section("conditions")
        section.close(_KEYS)
        if enabled is False:
            return
        pattern = self._pattern(conditions)
        effects: list[str] = []
        if pattern is not None:
            apply = getattr(self, f"_{kind.lower()}")
            effects += apply(conditions, pattern, name, severity, description)
        conditions.close(_CONDITIONS[kind])
        if effects:
            about_queue = kind == "queueHealth"
            own_channels = None if channels is None else tuple(channels)
            self.rules.append(
                AlertRule(
                    section, name, severity, own_channels, tuple(effects), pattern or "",
                    about_queue,
                )
            )  # fmt: skip

    def _severity(self, section: Section) -> str:
        text = section.text("severity") or ""
        try:
            return text and checked_severity(text)
        except ValueError as error:
            section.report("severity", str(error))
            return ""

    def _pattern(self, conditions: Section) -> str | None:
        """Return the pattern of job names, or None if it cannot be one of ours."""
        text = conditions.text("jobPattern")
        if text is None:
            return None if conditions.has("jobPattern") else _ALL
        try:
            search = compiled(text).search
        except ValueError as error:
            conditions.report("jobPattern", f"the rule is not imported: {error}")
            return None
        if not text.isprintable():
            reason = (
                "the rule is not imported: it has characters that cannot be printed"
            )
            conditions.report("jobPattern", reason)
            return None
        if self.jobs and not any(map(search, self.jobs)):
            reason = "matches none of the imported jobs; the policy is imported anyway"
            conditions.report("jobPattern", reason)
        return _ALL if text in {"", ".*", "^.*$", ".+", "^.+$", "^", "$"} else text

    def _group(
        self, conditions: Section, pattern: str, name: str, description: str
    ) -> _Group:
        group = self._groups.setdefault(pattern, _Group(conditions))
        line = f"{name}: {description}" if description else name
        if line not in group.notes:
            group.notes.append(line)
        return group

    def _jobfailures(
        self,
        conditions: Section,
        pattern: str,
        name: str,
        severity: str,
        description: str,
    ) -> Iterator[str]:
        count = conditions.count("consecutiveFailures")
        total = conditions.count("failureCount")
        if total is not None and total > 1:
            reason = "counts all failures; only failures in a row have an equivalent"
            conditions.report("failureCount", reason)
            total = None
        thresholds = [one for one in (count, total) if one is not None]
        if thresholds:
            group = self._group(conditions, pattern, name, description)
            self._failing(group, conditions, min(thresholds), severity, name)
            yield "failing"
        reason_text = conditions.text("failureReason")
        if reason_text is None:
            return
        if "timeout" in reason_text.lower():
            if severity:
                group = self._group(conditions, pattern, name, description)
                group.severities["overrunning"] = severity
            conditions.report("failureReason", _TIMEOUT)
            yield "overrunning"
        else:
            reason = "failures are not told apart by their message: use a rule on it"
            conditions.report("failureReason", reason)

    def _failing(
        self, group: _Group, section: Section, count: int, severity: str, name: str
    ) -> None:
        """Set the number of failures; the lowest one wins."""
        limit, other = group.after_failures, severity
        later = count
        if limit is None or count < limit:
            group.after_failures = count
            other = group.severities.get("failing", "")
            if severity:
                group.severities["failing"] = severity
            if limit is None:
                return
            later = limit
        if rank(other) < rank(group.severities.get("failing", "")):
            section.report_whole(
                f"{name}: a job has one alert for failures in a row, here after "
                f"{group.after_failures}; none with another severity after {later}"
            )

    def _performance(
        self,
        conditions: Section,
        pattern: str,
        name: str,
        severity: str,
        description: str,
    ) -> Iterator[str]:
        self._unrelated(conditions)
        share = conditions.number("successRate")
        factor = conditions.number("durationIncrease")
        settings = self._window(conditions)
        if settings is None:
            return
        if severity:
            settings["severity"] = severity
        if share is not None and not 0 < share <= 1:
            conditions.report("successRate", "is not more than 0 and at most 1")
        elif share is not None:
            setting = {"below": f"{share * 100:.6g}%", **settings}
            if self._condition(conditions, pattern, name, description, setting):
                yield "success_ratio_low"
        if factor is not None and not 1 < factor < math.inf:
            conditions.report("durationIncrease", "is not a factor above 1")
        elif factor is not None:
            number = int(factor) if factor == int(factor) else factor
            setting = {"factor": number, **settings}
            if self._condition(conditions, pattern, name, description, setting):
                yield "slow"

    def _unrelated(self, conditions: Section) -> None:
        """Report the conditions on the worker as a whole."""
        if conditions.has("concurrencyUtilization"):
            conditions.report("concurrencyUtilization", _BUSY)
        if conditions.has("duration"):
            conditions.report("duration", "an alert opens at once")

    def _window(self, conditions: Section) -> dict[str, object] | None:
        """Return the window and the number of runs, or None if they cannot be ours."""
        settings: dict[str, object] = {}
        over = conditions.seconds("timeWindow")
        if over is not None:
            settings["over"] = format_duration(over)
        runs = conditions.count("minRuns")
        if runs is not None:
            settings["min_runs"] = runs
        if over is not None and over > _RETENTION:
            reason = "is longer than runs are kept: raise retention.runs, and add it"
            conditions.report("timeWindow", reason)
            return None
        return settings

    def _condition(
        self,
        conditions: Section,
        pattern: str,
        name: str,
        description: str,
        setting: dict[str, object],
    ) -> bool:
        """Add a success ratio or a factor; return False if there is one already."""
        key = "success_ratio" if "below" in setting else "slower_than"
        source = "successRate" if "below" in setting else "durationIncrease"
        group = self._group(conditions, pattern, name, description)
        if key in group.alerts:
            reason = f"a job has one {key}, and an earlier rule sets it"
            conditions.report(source, reason)
            return False
        group.alerts[key] = setting
        if isinstance(runs := setting.get("min_runs"), int) and "over" in setting:
            group.notes.append(
                f"{name} needs {plural(runs, 'run')} of a job within "
                f"{setting['over']}: for daily jobs use over: 7d"
            )
        return True

    def _queuehealth(
        self,
        conditions: Section,
        _pattern: str,
        name: str,
        severity: str,
        _description: str,
    ) -> Iterator[str]:
        for expression in expressions(conditions):
            self.queue.append(QueueRule(conditions, expression, name, severity))
            yield "violated"

    def _dependencies(self, conditions: Section, *_rule: str) -> Iterator[str]:
        reason = (
            "which job requires which is not in the file: write depends_on for each; "
            "alerts are then held back while a required job is unhealthy"
        )
        conditions.report_whole(reason)
        for key in _CONDITIONS["dependencies"]:
            conditions.value(key)
        yield from ()

    def policies(self) -> list[ImportedPolicy]:
        """Return a policy for each pattern, that for all jobs first."""
        general = self._groups.get(_ALL)
        ordered = sorted(
            self._groups.items(),
            key=lambda item: (item[0] != _ALL, -(item[1].after_failures or 0)),
        )
        policies = [self._policy(pattern, one, general) for pattern, one in ordered]
        return [one for one in policies if one.settings["alerts"]]

    def _policy(
        self, pattern: str, group: _Group, general: _Group | None
    ) -> ImportedPolicy:
        alerts: dict[str, object] = {}
        severities = dict(group.severities)
        if general is not None and general is not group:
            self._stricter(group, general)
            self._weaker(group, general)
            # A later policy replaces the severities of an earlier one as a whole.
            if group.severities:
                severities = {**general.severities, **group.severities}
        if group.after_failures is not None:
            alerts["after_failures"] = group.after_failures
        alerts.update(group.alerts)
        if severities:
            alerts["severity"] = severities
        match = {"name": self._all() if pattern == _ALL else pattern}
        settings = {"match": match, "alerts": alerts}
        return ImportedPolicy(settings, group.section.source, tuple(group.notes))

    def _all(self) -> str:
        """Return the pattern for all jobs, if possible without the queue's own."""
        dotted = bool(self.jobs) and all("." in one for one in self.jobs)
        return _DOTTED if self.queue and dotted else _ALL

    def _stricter(self, group: _Group, general: _Group) -> None:
        """Keep the lower number of failures of a *general* rule for this group."""
        limit = general.after_failures
        if limit is None or group.after_failures is None:
            return
        if limit < group.after_failures:
            group.section.report_whole(
                f"a job has one alert for failures in a row: after {limit}, as for all "
                f"jobs, and not again after {group.after_failures}"
            )
            group.after_failures = limit
            group.severities.pop("failing", None)
            if "failing" in general.severities:
                group.severities["failing"] = general.severities["failing"]

    def _weaker(self, group: _Group, general: _Group) -> None:
        """Report conditions of a *general* rule that one of this group replaces."""
        for key, limit in (("success_ratio", "below"), ("slower_than", "factor")):
            if key in group.alerts and key in general.alerts:
                one, two = group.alerts[key][limit], general.alerts[key][limit]
                group.section.report_whole(
                    f"a job has one {key}: for jobs that match, {limit} is {one}, and no "
                    f"longer {two} as for all jobs"
                )
