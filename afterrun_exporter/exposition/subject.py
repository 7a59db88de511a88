"""A job as the families see it: its labels as text, and what is to be seen of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.state import AlertKey, JobState

#: Labels that many jobs have in common: severities, metrics, rules, schedules.
_REMEMBERED: Final = 4096

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label(name: str, value: str) -> str:
    """Return one label of the text format; *value* may hold anything."""
    return f'{name}="{value.translate(_ESCAPES)}"'


#: The same for values that will be asked for again.
common_label = lru_cache(_REMEMBERED)(label)


class Subject:
    """A job, its state, and its labels as text."""

    __slots__ = ("_alerting", "_slot", "job", "own", "settings", "state")

    def __init__(self, job: Job, state: JobState, settings: Settings) -> None:
        self.job = job
        self.state = state
        self.settings = settings
        #: Labels of families that do not alert.
        self.own = label(names.JOB, job.name)
        self._alerting = ""
        self._slot: float | None = None

    @property
    def alerting(self) -> str:
        """The labels of families that alert."""
        if not self._alerting:
            self._alerting = self.alerting_as(self.job.severity)
        return self._alerting

    def alerting_as(self, severity: str) -> str:
        """Return the labels of families that alert, with this severity."""
        parts = [self.own, common_label(names.SEVERITY, severity)]
        parts += [common_label(key, value) for key, value in self.job.labels]
        return ",".join(parts)

    def alerting_for(self, rule: Rule) -> str:
        """Return the labels of a family that alerts for each rule."""
        plain = rule.severity is None
        told = self.alerting if plain else self.alerting_as(rule.severity or "")
        return f"{told},{rule_labels(rule)}"

    @property
    def slot(self) -> float:
        """The next slot."""
        if self._slot is None:
            self._slot = next_slot(self.job, self.state)
        return self._slot

    def shows(self, key: AlertKey) -> bool:
        """Return whether *key* is to be seen."""
        state = self.state
        # Nearly always there is nothing to look at.
        return bool(state.alerts or state.healed) and alerts.shown(state, key)

    def healing_deadline(self, key: AlertKey) -> float | None:
        """Return the deadline that an alert shows on for which is over."""
        if not self.state.healed:
            return None
        healed = alerts.healing(self.state, key)
        return healed.deadline if healed is not None else None


def rule_labels(rule: Rule) -> str:
    """Return the labels that name *rule* and its metric."""
    told = common_label(names.RULE, rule.name)
    return f"{told},{common_label(names.METRIC, rule.metric)}"
