"""Alerts that a job can have: when each opens, how severe it is and who is notified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from afterrun_exporter.alertmanager.recipients import Recipients
from afterrun_exporter.core import alert_settings as core
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.page.reasons import TITLES


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSetting:
    """An alert that can open."""

    condition: Condition
    title: str
    #: When it opens, in words.
    when: str
    severity: str
    #: Its receivers; [] for none.
    recipients: Sequence[str]


def alert_settings(
    job: Job, recipients: Recipients, receivers: Sequence[JobReceiver]
) -> list[AlertSetting]:
    """Return the alerts that *job* can have, which has these *receivers* of its own."""
    if not job.enabled:
        return []
    return [
        AlertSetting(
            condition=condition,
            title=TITLES[condition],
            when=when,
            severity=severity,
            recipients=recipients.of(job, condition, severity, receivers),
        )
        for condition, when, severity in core.alert_settings(job)
    ]
