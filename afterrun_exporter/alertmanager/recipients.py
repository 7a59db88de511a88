"""Receivers of an alert by the routes in afterrun.yml."""

from __future__ import annotations

from collections.abc import Sequence

from afterrun_exporter.conventions import ALERT_OF, NO_SEVERITY
from afterrun_exporter.core.model import ROUTED, Condition, Job
from afterrun_exporter.core.receiver_targets import displayed
from afterrun_exporter.core.routing import DISCARD, Alertmanager, JobReceiver
from afterrun_exporter.rulegen.route_tests import Alert, recipients


class Recipients:
    """The routes of the loaded configuration."""

    def __init__(self) -> None:
        self._alertmanager = Alertmanager()

    def configure(self, alertmanager: Alertmanager) -> None:
        """Use the routes of *alertmanager* from now on."""
        self._alertmanager = alertmanager

    @property
    def has_receivers(self) -> bool:
        """True if afterrun.yml has receivers."""
        return bool(self._alertmanager.receivers)

    def of(
        self,
        job: Job,
        condition: Condition,
        severity: str,
        receivers: Sequence[JobReceiver],
        *,
        timed_out: bool = False,
    ) -> list[str]:
        """Return the receivers of an alert for people; [] if it is sent to none.

        *receivers* are those of *job* alone.
        """
        level = severity if condition in ROUTED else NO_SEVERITY
        alert = Alert(ALERT_OF[condition], level, job, condition, timed_out)
        names = recipients(alert, self._alertmanager, receivers)
        own = {one.name: _own(one) for one in receivers}
        own |= {one.success_name: _own(one) for one in receivers}
        labels = (own.get(name, name) for name in names if name != DISCARD)
        return list(dict.fromkeys(labels))


def _own(receiver: JobReceiver) -> str:
    return f"{receiver.type.value} {displayed(receiver.type, receiver.target)}"
