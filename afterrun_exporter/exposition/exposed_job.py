"""A job as the families see it: its labels as text, and what is to be seen of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import next_due
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.state import AlertKey, JobState

#: Labels that many jobs have in common: severities, metrics, rules, schedules.
REMEMBERED: Final = 4096

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label(name: str, value: str) -> str:
    """Return one label of the text format; *value* may hold anything."""
    return f'{name}="{value.translate(_ESCAPES)}"'


@lru_cache(REMEMBERED)
def alerting_labels(severity: str, declared: tuple[tuple[str, str], ...]) -> str:
    """Return what follows the job's name in families that alert."""
    told = ((names.SEVERITY, severity), *declared)
    return "".join(f",{label(key, value)}" for key, value in told)


@lru_cache(REMEMBERED)
def metric_label(metric: str) -> str:
    """Return what follows the job's name where a metric is told."""
    return f",{label(names.METRIC, metric)}"


@lru_cache(REMEMBERED)
def rule_labels(rule: str, metric: str) -> str:
    """Return what names a rule and its metric, to follow other labels."""
    return f",{label(names.RULE, rule)}{metric_label(metric)}"


@lru_cache(REMEMBERED)
def bound_labels(rule: str, metric: str, op: str) -> str:
    """Return what names a bound of a rule, to follow other labels."""
    return f"{rule_labels(rule, metric)},{label(names.OP, op)}"


class ExposedJob:
    """A job, its state, and its labels as text."""

    __slots__ = ("alerting", "calm", "due", "job", "own", "settings", "state", "zero")

    def __init__(self, job: Job, state: JobState, settings: Settings) -> None:
        self.job = job
        self.state = state
        self.settings = settings
        #: Labels of families that do not alert.
        self.own = label(names.JOB, job.name)
        #: Labels of families that alert.
        self.alerting = self.own + alerting_labels(job.severity, job.labels)
        #: What follows a family's name where it does not alert, and is 0.
        self.zero = f"{{{self.own}}} 0\n"
        #: The next slot, and its deadline.
        self.due = next_due(job, state, settings)
        #: Whether no alert is to be seen, as nearly always.
        self.calm = not (state.alerts or state.healed)

    def alerting_as(self, severity: str) -> str:
        """Return the labels of families that alert, with this severity."""
        return self.own + alerting_labels(severity, self.job.labels)

    def alerting_for(self, rule: Rule) -> str:
        """Return the labels of a family that alerts for each rule."""
        severity = rule.severity
        told = self.alerting if severity is None else self.alerting_as(severity)
        return told + rule_labels(rule.name, rule.metric)

    def shows(self, key: AlertKey) -> bool:
        """Return whether *key* is to be seen."""
        return not self.calm and alerts.shown(self.state, key)

    def healing_deadline(self, key: AlertKey) -> float | None:
        """Return the deadline that an alert shows on for which is over."""
        if self.calm:
            return None
        healed = alerts.healing(self.state, key)
        return healed.deadline if healed is not None else None
