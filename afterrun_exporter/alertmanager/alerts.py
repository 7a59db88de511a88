"""Alerts in Alertmanager's format, with the labels of Prometheus's alerting rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.notifications import AlertNotification, Stage
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.core.state import AlertKey, AlertOpened, JobState, OpenAlert
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.rulegen.links import links, silence_link

Pairs = Iterable[tuple[str, str]]


def opened_notification(
    job: str, event: AlertOpened, added: Pairs
) -> AlertNotification:
    """Return the notification of an opened alert; *added* are Prometheus's labels."""
    return AlertNotification(
        labels=_labels(
            job, event.alert, event.severity, event.labels, event.metric, added
        ),
        job=job,
        key=event.alert.key,
        summary=event.summary,
        opened_at=event.alert.opened_at,
    )


def holding(job: Job, state: JobState, added: Pairs) -> list[AlertNotification]:
    """Return the notifications of all open alerts of *job*, without summaries."""
    rules = {rule.name: rule for rule in job.rules}
    notifications = []
    for alert in state.alerts:
        rule = rules.get(alert.key.rule)
        severity = _severity(job, state, alert.key)
        metric = rule.metric if rule else ""
        labels = _labels(job.name, alert, severity, job.labels, metric, added)
        notifications.append(
            AlertNotification(
                labels=labels, job=job.name, key=alert.key, opened_at=alert.opened_at
            )
        )
    return notifications


def message(
    notice: AlertNotification,
    stage: Stage,
    now: float,
    expires_at: float,
    url: str,
    annotations: Mapping[str, str],
    silences: str = "",
) -> dict[str, Any]:
    """Return the alert as posted to Alertmanager, firing or resolved.

    *url* is that of the daemon, *silences* that of Alertmanager for people, or "". *annotations* replace those that are the same for
    all alerts of this kind.
    """
    labels = json.loads(notice.labels)
    alert = labels["alertname"]
    over = notice.resolved_at is not None and stage is Stage.RESOLVED
    since = format_time(notice.opened_at)
    alert_fields: dict[str, Any] = {
        "labels": labels,
        "annotations": {
            "summary": names.SUMMARIES[alert],
            "description": f"{notice.job}: {notice.summary or f'since {since}'}.",
            **links(alert, url, notice.job),
            **silence_link(alert, silences, notice.job, labels.get(names.RULE, "")),
            **annotations,
        },
        # Limited to now: the clock may have been set back since.
        "startsAt": _time(min(notice.opened_at, now)),
        "endsAt": _time(min(notice.resolved_at or now, now) if over else expires_at),
    }
    page = alert_fields["annotations"].get("page_url")
    return {**alert_fields, "generatorURL": page} if page else alert_fields


def _labels(
    job: str,
    alert: OpenAlert,
    severity: str,
    declared: Pairs,
    metric: str,
    added: Pairs,
) -> str:
    """Return a label set; a label with an empty value does not exist."""
    key = alert.key
    pairs: Mapping[str, str] = {
        # External labels do not replace labels of the series.
        **dict(added),
        **{name: value for name, value in declared if value},
        **({names.RULE: key.rule, names.METRIC: metric} if key.rule else {}),
        **({names.TIMED_OUT: names.TRUE} if alert.timed_out else {}),
        "alertname": names.ALERT_OF[key.condition.value],
        names.JOB: job,
        names.SEVERITY: severity,
    }
    labels = {name: value for name, value in pairs.items() if value}
    return json.dumps(labels, sort_keys=True)


def _severity(job: Job, state: JobState, key: AlertKey) -> str:
    if key.condition is Condition.TEST:
        return state.test_severity or job.severity
    return severity_of(job, key.condition, key.rule)


def _time(instant: float) -> str:
    moment = datetime.fromtimestamp(instant, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
