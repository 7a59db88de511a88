"""Severities of alerts by condition."""

from __future__ import annotations

from typing import Final

from afterrun_exporter.core.model import Condition, Job

#: The severity of an alert that is not sent to any receiver.
NO_SEVERITY: Final = "none"
_UNSENT: Final = frozenset({Condition.UPSTREAM_UNHEALTHY, Condition.SUCCEEDED})


def severity_of(job: Job, condition: Condition, rule: str = "") -> str:
    """Return the severity of an alert of *job* on *condition*; *rule* if it is about one."""
    if condition in _UNSENT:
        return NO_SEVERITY
    if rule:
        for one in job.rules:
            if one.name == rule and one.severity:
                return one.severity
    if job.severities:
        return dict(job.severities).get(condition, job.severity)
    return job.severity


def severities(job: Job) -> frozenset[str]:
    """Return the severities that alerts of *job* can have."""
    of_rules = {rule.severity for rule in job.rules if rule.severity}
    return frozenset({job.severity, *of_rules, *dict(job.severities).values()})
