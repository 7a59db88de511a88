"""The effect of the alert events of one transaction on the stored alerts.

All parts of a statement see the rows as they were before it. So the events of a job are
reduced to one change of each stored alert, and the alerts to insert as they are at the
end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.state import (
    AlertEvent,
    AlertKey,
    AlertMoved,
    AlertOpened,
    JobState,
)


@dataclass(slots=True)
class AlertChange:
    """A change of a stored alert, or an alert to insert if there is none to change."""

    key: AlertKey
    #: When it was opened; None to change only the one that is open. A resolved alert
    #: that was opened then is opened again.
    at: float | None
    #: True if it may also be the one that is open: it is the first of its key.
    is_first: bool
    #: Its opening at the end; None to keep it.
    opened_at: float | None
    resolved_at: float | None = None
    severity: str = ""
    summary: str = ""
    run: int = 0

    def row(self, job_id: int) -> tuple[Any, ...]:
        """Return the values for the statement, in the order of `COLUMNS`."""
        return (
            job_id,
            self.key.condition,
            self.key.rule,
            self.at,
            self.is_first,
            self.opened_at,
            self.resolved_at,
            self.severity,
            self.summary,
            self.run,
        )


#: Columns and types of `AlertChange.row`.
COLUMNS = {
    "job_id": "int8",
    "condition": "text",
    "rule": "text",
    "at": "float8",
    "is_first": "bool",
    "opened_at": "float8",
    "resolved_at": "float8",
    "severity": "text",
    "summary": "text",
    "run": "int8",
}


class AlertChanges:
    """Collects the changes of one job, whose alerts were those of *before*."""

    def __init__(self, before: JobState | None) -> None:
        alerts = before.alerts if before is not None else ()
        self._open_before = {alert.key: alert.opened_at for alert in alerts}
        self._changes: list[AlertChange] = []
        #: Those of each key, the present one last.
        self._by_key: dict[AlertKey, list[AlertChange]] = {}

    def add(self, events: Iterable[AlertEvent]) -> None:
        """Add *events*, which follow those before."""
        for event in events:
            if event.key.condition is Condition.SUCCEEDED:
                # The run is its record.
                continue
            if isinstance(event, AlertOpened):
                self._open(event)
            elif (change := self._current(event.key)) is None:
                continue
            elif isinstance(event, AlertMoved):
                change.opened_at = event.opened_at
            else:
                change.resolved_at = event.at
                # It was opened before the clock was set back.
                if change.opened_at is not None:
                    change.opened_at = min(change.opened_at, event.at)

    def __iter__(self) -> Iterator[AlertChange]:
        for change in self._changes:
            values = change.at, change.opened_at, change.resolved_at
            if values != (None, None, None):
                yield change

    def _open(self, event: AlertOpened) -> None:
        key, at = event.key, event.alert.opened_at
        changes = self._by_key.setdefault(key, [])
        if not changes and key in self._open_before:
            self._append(AlertChange(key, None, is_first=True, opened_at=None))
        if changes and changes[-1].resolved_at is None:
            return
        for change in changes:
            if self._opened_at(change) == at:
                # It may have been earlier than stored, as it was resolved before that.
                change.opened_at, change.resolved_at = at, None
                changes.remove(change)
                changes.append(change)
                return
        self._append(
            AlertChange(
                key,
                at,
                is_first=not changes,
                opened_at=at,
                severity=event.severity,
                summary=event.summary,
                run=event.run,
            )
        )

    def _current(self, key: AlertKey) -> AlertChange | None:
        """Return the change of the open alert with *key*; None if it is resolved."""
        changes = self._by_key.setdefault(key, [])
        if not changes:
            self._append(AlertChange(key, None, is_first=True, opened_at=None))
        return changes[-1] if changes[-1].resolved_at is None else None

    def _opened_at(self, change: AlertChange) -> float | None:
        if change.opened_at is not None or change.at is not None:
            return change.opened_at
        before = self._open_before.get(change.key)
        if before is None or change.resolved_at is None:
            return before
        return min(before, change.resolved_at)

    def _append(self, change: AlertChange) -> None:
        self._changes.append(change)
        self._by_key[change.key].append(change)
