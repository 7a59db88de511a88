"""Rows of tables that have the same columns in every database."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from afterrun_exporter.core.history import Past
from afterrun_exporter.core.model import (
    NEUTRAL,
    Condition,
    Outcome,
    Run,
    is_to_be_retried,
)
from afterrun_exporter.core.notifications import AlertNotification, DeliveryState, Stage
from afterrun_exporter.core.pushed_metrics import Family, Group, Labels
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.storage.codec import (
    UnreadableRowError,
    decode_metrics,
    decode_violations,
    encode_metrics,
    encode_violations,
)
from afterrun_exporter.storage.store import AlertRecord

#: Notifications, and the deliveries of each.
Outboxed = tuple[list[AlertNotification], dict[str, dict[str, DeliveryState]]]

#: Columns of a notification, in order.
NOTICE: Final = (
    "labels",
    "job",
    "condition",
    "rule",
    "summary",
    "opened_at",
    "resolved_at",
    "shown_until",
)
#: Columns of a receiver, in order, apart from its id.
RECEIVER: Final = (
    "job",
    "type",
    "target",
    "on_failure",
    "on_timeout",
    "on_violation",
    "on_missed",
    "on_success",
    "created_at",
)


def values_of(run: Run) -> tuple[Any, ...]:
    """Return the values of a finished run, from the column `number` on."""
    return (
        run.number,
        run.run_id,
        run.attempt,
        run.max_attempts,
        run.outcome,
        run.started_at,
        run.finished_at,
        run.received_at,
        run.duration,
        run.exit_code,
        encode_metrics(run.metrics),
        encode_violations(run.violations),
        run.message,
        run.metadata,
        run.config_commit,
    )


class Row(Protocol):
    """A row of any driver."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of *column*."""


def run_of(row: Row) -> Run:
    """Return the run in a row of `runs`."""
    fields = {name: row[name] for name in Run.__struct_fields__}
    fields["outcome"] = Outcome(row["outcome"])
    fields["metrics"] = decode_metrics(row["metrics"])
    fields["violations"] = decode_violations(row["violations"])
    return Run(**fields)


def past_of(
    number: int,
    finished_at: float,
    duration: float | None,
    outcome: str,
    attempt: int,
    max_attempts: int | None,
) -> Iterator[Past]:
    """Yield the part of a run for windows, unless it has none."""
    retried = is_to_be_retried(attempt, max_attempts, outcome)
    if outcome not in NEUTRAL and not retried:
        seconds = float("nan") if duration is None else duration
        yield Past(number, finished_at, seconds, outcome == Outcome.OK)


def alert_of(row: Row) -> AlertRecord:
    """Return the alert in a row of `alerts`, together with the name of the job."""
    return AlertRecord(
        id=row["id"],
        job=row["name"],
        key=AlertKey(Condition(row["condition"]), row["rule"]),
        severity=row["severity"],
        summary=row["summary"],
        opened_at=row["opened_at"],
        resolved_at=row["resolved_at"],
        run=row["run"],
    )


def receiver_of(row: Row) -> JobReceiver:
    """Return the receiver in a row of `receivers`. Raises UnreadableRowError."""
    try:
        type_ = ReceiverType(row["type"])
    except ValueError as error:
        raise UnreadableRowError("receiver", row["job"], error) from error
    fields: dict[str, Any] = {
        name: bool(row[name]) if name.startswith("on_") else row[name]
        for name in ("id", *RECEIVER)
    }
    return JobReceiver(**{**fields, "type": type_})


def group_of(row: Row) -> Group:
    """Return the group in a row of `pushed`. Raises UnreadableRowError."""
    try:
        labels, families = json.loads(row["labels"]), json.loads(row["families"])
        return Group(
            labels=tuple(labels.items()),
            job=row["job"],
            families={name: Family(*family) for name, family in families.items()},
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRowError("pushed metrics", row["job"], error) from error


def encode_labels(labels: Labels) -> str:
    """Return grouping labels as a JSON object."""
    return json.dumps(dict(labels))


def encode_families(group: Group) -> str:
    """Return the families of *group* as a JSON object."""
    return json.dumps(
        {
            name: (family.type, family.help, family.series)
            for name, family in group.families.items()
        }
    )


def outbox_of(rows: Iterable[Collection[Any]]) -> Outboxed:
    """Return the notifications in rows of `NOTICE` and `told`, and their deliveries.

    Raises UnreadableRowError.
    """
    decoded = [_notice_of(row) for row in rows]
    notices = [notice for notice, _ in decoded]
    return notices, {notice.labels: states for notice, states in decoded}


def notice_row(notice: AlertNotification) -> tuple[Any, ...]:
    """Return the values of the columns `NOTICE`."""
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


def encode_deliveries(deliveries: Mapping[str, DeliveryState]) -> str:
    """Return the deliveries of a notification as a JSON object."""
    # Refused ones are not stored: the Alertmanager may be newer after a restart.
    return json.dumps(
        {
            alertmanager: [one.opened_at, one.stage, one.since]
            for alertmanager, one in deliveries.items()
            if one.stage is not Stage.REFUSED
        }
    )


def _notice_of(
    row: Collection[Any],
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
        return notice, _decode_deliveries(deliveries)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnreadableRowError("alert", job, error) from error


def _decode_deliveries(text: str) -> dict[str, DeliveryState]:
    return {
        alertmanager: DeliveryState(opened_at, Stage(stage), since, since)
        for alertmanager, (opened_at, stage, since) in json.loads(text).items()
    }
