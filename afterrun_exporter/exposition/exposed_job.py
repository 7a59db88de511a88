"""A job for the metric families: its labels as text, and its visible alerts."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import next_due
from afterrun_exporter.core.metric_names import ESCAPES
from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.state import AlertKey, JobState

#: The size of caches of labels, which many jobs share.
REMEMBERED: Final = 4096


def label(name: str, value: str) -> str:
    """Return a label of the text format; *value* is escaped."""
    return f'{name}="{value.translate(ESCAPES)}"'


@lru_cache(REMEMBERED)
def alerting_labels(severity: str, declared: tuple[tuple[str, str], ...]) -> str:
    """Return the labels after the name of the job in families for alerts."""
    labels = ((names.SEVERITY, severity), *declared)
    return "".join(f",{label(key, value)}" for key, value in labels)


@lru_cache(REMEMBERED)
def metric_label(metric: str) -> str:
    """Return the label of a metric, after the name of the job."""
    return f",{label(names.METRIC, metric)}"


@lru_cache(REMEMBERED)
def rule_labels(rule: str, metric: str) -> str:
    """Return the labels of a rule and its metric, after other labels."""
    return f",{label(names.RULE, rule)}{metric_label(metric)}"


@lru_cache(REMEMBERED)
def bound_labels(rule: str, metric: str, op: str) -> str:
    """Return the labels of a bound of a rule, after other labels."""
    return f"{rule_labels(rule, metric)},{label(names.OP, op)}"


_TIMED_OUT: Final = f",{label(names.TIMED_OUT, names.TRUE)}"


class ExposedJob:
    """A job, its state, and its labels as text."""

    __slots__ = (
        "alerting",
        "due",
        "has_no_alerts",
        "job",
        "own",
        "settings",
        "state",
        "zero",
    )

    def __init__(self, job: Job, state: JobState, settings: Settings) -> None:
        self.job = job
        self.state = state
        self.settings = settings
        #: Labels in families that are not for alerts.
        self.own = label(names.JOB, job.name)
        #: Labels in families for alerts.
        self.alerting = self.own + alerting_labels(job.severity, job.labels)
        #: The rest of a line with value 0 in families that are not for alerts.
        self.zero = f"{{{self.own}}} 0\n"
        #: The next slot, and its deadline.
        self.due = next_due(job, state, settings)
        #: True if no alert is visible, which is the usual case.
        self.has_no_alerts = not (state.alerts or state.healed)

    def alerting_on(self, condition: Condition) -> str:
        """Return the labels in families for alerts on *condition*."""
        own = dict(self.job.severities).get(condition) if self.job.severities else None
        return self.alerting if own is None else self.alerting_as(own)

    def alerting_as(self, severity: str) -> str:
        """Return the labels in families for alerts, with this severity."""
        return self.own + alerting_labels(severity, self.job.labels)

    @property
    def alerting_if_failing(self) -> str:
        """Labels of the alert of a failing job: one more if a run timed out."""
        labels = self.alerting_on(Condition.FAILING)
        return labels + (_TIMED_OUT if self.state.timed_out else "")

    def alerting_for(self, rule: Rule) -> str:
        """Return the labels in a family for alerts on rules."""
        severity = rule.severity
        labels = (
            self.alerting_on(Condition.VIOLATED)
            if severity is None
            else self.alerting_as(severity)
        )
        return labels + rule_labels(rule.name, rule.metric)

    def shows(self, key: AlertKey) -> bool:
        """Return True if the alert *key* is visible."""
        return not self.has_no_alerts and alerts.is_visible(self.state, key)

    def healing_deadline(self, key: AlertKey) -> float | None:
        """Return the deadline of a resolved alert that is still visible, or None."""
        if self.has_no_alerts:
            return None
        healed = alerts.recently_resolved(self.state, key)
        return healed.deadline if healed is not None else None
