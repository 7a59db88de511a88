"""Rows of the table `outbox`: alert notifications and their deliveries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.notifications import AlertNotification, DeliveryState, Stage
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.codec import UnreadableRowError
from afterrun_exporter.storage.outbox import Changes

#: Notifications, and the deliveries of each.
Outboxed = tuple[list[AlertNotification], dict[str, dict[str, DeliveryState]]]

_SAVE: Final = """
INSERT INTO outbox
    (labels, job, condition, rule, summary, opened_at, resolved_at, shown_until)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (labels) DO UPDATE
SET job = excluded.job, condition = excluded.condition, rule = excluded.rule,
    summary = excluded.summary, opened_at = excluded.opened_at,
    resolved_at = excluded.resolved_at, shown_until = excluded.shown_until
"""
_SELECT: Final = """
SELECT labels, job, condition, rule, summary, opened_at, resolved_at, shown_until, told
FROM outbox
"""


def save(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write *changes*, inside a transaction of the caller."""
    connection.executemany(_SAVE, [_row(notice) for notice in changes.notices])
    connection.executemany(
        "UPDATE outbox SET told = ? WHERE labels = ?",
        [(_encode(states), labels) for labels, states in changes.deliveries.items()],
    )
    connection.executemany(
        "DELETE FROM outbox WHERE labels = ? AND opened_at = ? AND resolved_at IS ?",
        [(one.labels, one.opened_at, one.resolved_at) for one in changes.removed],
    )


def load(connection: sqlite3.Connection) -> Outboxed:
    """Return the stored notifications, and the deliveries of each."""
    decoded = [_decoded(row) for row in connection.execute(_SELECT)]
    notices = [notice for notice, _ in decoded]
    return notices, {notice.labels: states for notice, states in decoded}


def _decoded(
    row: tuple[Any, ...],
) -> tuple[AlertNotification, dict[str, DeliveryState]]:
    labels, job, condition, rule, summary, *times, deliveries = row
    opened_at, resolved_at, shown_until = times
    try:
        notice = AlertNotification(
            labels=labels,
            job=job,
            key=AlertKey(Condition(condition), rule),
            summary=summary,
            opened_at=opened_at,
            resolved_at=resolved_at,
            shown_until=shown_until,
        )
        return notice, _decode(deliveries)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRowError("alert", job, error) from error


def _row(notice: AlertNotification) -> tuple[object, ...]:
    return (
        notice.labels,
        notice.job,
        notice.key.condition,
        notice.key.rule,
        notice.summary,
        notice.opened_at,
        notice.resolved_at,
        notice.shown_until,
    )


def _encode(deliveries: Mapping[str, DeliveryState]) -> str:
    # Refused ones are not stored: the Alertmanager may be newer after a restart.
    return json.dumps(
        {
            alertmanager: [one.opened_at, one.stage, one.since]
            for alertmanager, one in deliveries.items()
            if one.stage is not Stage.REFUSED
        }
    )


def _decode(text: str) -> dict[str, DeliveryState]:
    return {
        alertmanager: DeliveryState(opened_at, Stage(stage), since, since)
        for alertmanager, (opened_at, stage, since) in json.loads(text).items()
    }
