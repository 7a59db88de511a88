"""Conversion of jobs, runs, alerts and receivers to response models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Literal

from afterrun_exporter.api import response_models
from afterrun_exporter.conventions import ALERT_OF
from afterrun_exporter.core.alert_settings import alert_settings
from afterrun_exporter.core.deadlines import deadline, next_slot
from afterrun_exporter.core.last_day import LastDay
from afterrun_exporter.core.model import Job, Run, Settings
from afterrun_exporter.core.outcome_totals import runs_by_outcome
from afterrun_exporter.core.receiver_targets import displayed
from afterrun_exporter.core.recent_runs import RecentFigures
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.run_limits import overrunning_from
from afterrun_exporter.core.schedule import Calendar, Schedule
from afterrun_exporter.core.schedule_words import in_words
from afterrun_exporter.core.state import JobState, OpenAlert, OpenRun, UnobservedSlots
from afterrun_exporter.core.status import status
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.storage.store import AlertRecord, AlertStats, RunRecord


def job_of(job: Job, state: JobState, settings: Settings) -> response_models.Job:
    """Return *job* for a list."""
    schedule = job.schedule
    return response_models.Job(
        name=job.name,
        state=status(job, state),
        severity=job.severity,
        labels=dict(job.labels),
        project=job.project,
        tags=list(job.tags),
        schedule=schedule.text if schedule else None,
        timezone=schedule.zone if isinstance(schedule, Calendar) else None,
        last_run=_time_if_set(state.last_finish_at),
        last_outcome=state.last_outcome,
        last_success=_time_if_set(state.last_success_at),
        next_slot=_time_if_finite(next_slot(job, state, settings)),
        deadline=_time_if_finite(deadline(job, state, settings)),
        paused_at=_time_if_set(state.paused_at),
        paused_until=_time_or_none(state.paused_until),
        running=len(state.open_runs),
        retrying=len(state.retries),
        consecutive_failures=state.consecutive_failures,
        unobserved=_unobserved(state.unobserved),
        alerts=[_open_alert(alert) for alert in state.alerts],
    )


def whole_job_of(
    job: Job,
    state: JobState,
    settings: Settings,
    day: LastDay | None,
    *,
    enabled: bool,
) -> response_models.WholeJob:
    """Return *job* with all its details.

    *enabled* is the value in the configuration; `job.enabled` is False while paused.
    """
    schedule = job.schedule
    calendar = schedule if isinstance(schedule, Calendar) else None
    return response_models.WholeJob(
        **dict(job_of(job, state, settings)),
        schedule_syntax=_syntax(schedule),
        expressions=[*calendar.expressions] if calendar else [],
        exclude=[*calendar.exclude] if calendar else [],
        schedule_in_words=in_words(schedule),
        display_name=job.display_name,
        description=job.description,
        unusable="" if job.configured else state.unusable,
        runbook_url=job.runbook_url,
        enabled=enabled,
        grace=_plain(job.grace),
        max_runtime=_number(job.max_runtime),
        heartbeat=_number(job.heartbeat),
        after_downtime=_number(job.after_downtime),
        max_attempts=job.max_attempts,
        rules=[rule.name for rule in job.rules],
        alert_settings=[
            response_models.AlertSetting(
                kind=kind, alertname=ALERT_OF[kind], opens=opens, severity=severity
            )
            for kind, opens, severity in alert_settings(job)
        ],
        last_day=None if day is None else _last_day(day),
        depends_on=[dependency.job for dependency in job.depends_on],
        resumes_on_ping=state.resumes_on_ping,
        created=format_time(state.created_at),
        last_ping=_time_if_set(state.last_ping_at),
        last_duration=_number(state.last_duration),
        metrics=_numbers(state.metrics.items()),
        open_runs=[open_run_of(job, run, settings) for run in state.open_runs],
        runs=state.runs_total,
        failed_runs=state.failures_total,
        failed_attempts=state.attempts_total,
        violating_runs=state.violating_total,
        runs_by_outcome={
            outcome.value: count for outcome, count in runs_by_outcome(state).items()
        },
        missed_runs=state.missed_total,
        unobserved_slots=state.unobserved_total,
    )


def _syntax(schedule: Schedule | None) -> Literal["cron", "oncalendar", "every"] | None:
    if isinstance(schedule, Calendar):
        return schedule.syntax.value
    return None if schedule is None else "every"


def recorded_run_of(record: RunRecord) -> response_models.RecordedRun:
    """Return a finished run with the name of its job."""
    return response_models.RecordedRun(
        id=record.id, job=record.job, **dict(run_of(record.run))
    )


def _last_day(day: LastDay) -> response_models.LastDay:
    return response_models.LastDay(
        runs=day.runs,
        ok_ratio=round(day.ok / day.judged, 6) if day.judged else None,
        median=_number(day.median),
        longest=_number(day.longest),
    )


def recent_figures_of(
    figures: RecentFigures | None,
) -> response_models.RecentFigures | None:
    """Return the figures of all jobs; None if they are not counted yet."""
    if figures is None:
        return None
    return response_models.RecentFigures(
        runs=figures.runs,
        ok_ratio=figures.ok_ratio,
        p50=figures.p50,
        p95=figures.p95,
        p99=figures.p99,
        text=str(figures),
    )


def run_of(run: Run) -> response_models.Run:
    """Return a finished run."""
    return response_models.Run(
        number=run.number,
        run_id=run.run_id,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        retrying=run.is_retried,
        outcome=run.outcome,
        started_at=_time_or_none(run.started_at),
        finished_at=format_time(run.finished_at),
        received_at=format_time(run.received_at),
        duration=_number(run.duration),
        exit_code=run.exit_code,
        metrics=_numbers(run.metrics.items()),
        violations=violations_of(run.violations),
        message=run.message,
        metadata=json.loads(run.metadata) if run.metadata else {},
        config_commit=run.config_commit,
    )


def violations_of(violations: Iterable[Violation]) -> list[response_models.Violation]:
    """Return the rules that a run violated, or would have violated."""
    return [
        response_models.Violation(
            rule=broken.rule,
            metric=broken.metric,
            value=_number(broken.value),
            text=broken.text,
            actual=broken.actual,
            expected=broken.expected,
        )
        for broken in violations
    ]


def alert_of(alert: AlertRecord) -> response_models.Alert:
    """Return a recorded alert."""
    return response_models.Alert(
        id=alert.id,
        job=alert.job,
        kind=alert.key.condition,
        alertname=ALERT_OF[alert.key.condition],
        rule=alert.key.rule,
        severity=alert.severity,
        summary=alert.summary,
        state="open" if alert.resolved_at is None else "resolved",
        opened_at=format_time(alert.opened_at),
        resolved_at=_time_or_none(alert.resolved_at),
        run=alert.run or None,
    )


def stats_of(stats: AlertStats, since: float) -> response_models.Stats:
    """Return the statistics of alerts since *since*."""
    by_kind: dict[str, int] = {}
    by_severity: dict[str, int] = {}
    by_state = {"open": 0, "resolved": 0}
    for (condition, severity, is_open), count in sorted(stats.counts.items()):
        by_kind[condition.value] = by_kind.get(condition, 0) + count
        by_severity[severity] = by_severity.get(severity, 0) + count
        by_state["open" if is_open else "resolved"] += count
    return response_models.Stats(
        since=format_time(since),
        alerts=sum(by_state.values()),
        by_kind=by_kind,
        by_severity=by_severity,
        by_state=by_state,
        jobs=[
            response_models.JobCount(job=job, alerts=alerts)
            for job, alerts in stats.jobs
        ],
        seconds_to_resolve=response_models.Resolving(
            mean=stats.mean, median=stats.median
        ),
        open_now=stats.open_now,
    )


def receiver_of(receiver: JobReceiver) -> response_models.Receiver:
    """Return a receiver, without the secret parts of its target."""
    fields = asdict(receiver)
    fields["alert_type"] = kind = fields.pop("type")
    fields["target"] = displayed(kind, receiver.target)
    fields["created_at"] = format_time(receiver.created_at)
    return response_models.Receiver(**fields)


def open_run_of(job: Job, run: OpenRun, settings: Settings) -> response_models.OpenRun:
    """Return an open run."""
    due = overrunning_from(job, run, settings)
    return response_models.OpenRun(
        run_id=run.run_id,
        attempt=run.attempt,
        started_at=format_time(run.started_at),
        last_sign_of_life=_time_if_set(run.alive_at),
        deadline=_time_if_finite(due) if job.enabled else None,
        metrics=_numbers(run.metrics.items()),
        metadata=json.loads(run.metadata) if run.metadata else {},
    )


def _unobserved(
    unobserved: UnobservedSlots | None,
) -> response_models.Unobserved | None:
    if unobserved is None:
        return None
    return response_models.Unobserved(
        slots=unobserved.count,
        first=format_time(unobserved.first),
        last=format_time(unobserved.last),
        down_since=_time_if_set(unobserved.down_since),
        up_since=format_time(unobserved.up_since),
    )


def _open_alert(alert: OpenAlert) -> response_models.OpenAlert:
    return response_models.OpenAlert(
        kind=alert.key.condition,
        alertname=ALERT_OF[alert.key.condition],
        rule=alert.key.rule,
        opened_at=format_time(alert.opened_at),
    )


def _time_if_set(instant: float) -> str | None:
    return format_time(instant) if instant else None


def _time_or_none(instant: float | None) -> str | None:
    return None if instant is None else format_time(instant)


def _time_if_finite(instant: float) -> str | None:
    return format_time(instant) if math.isfinite(instant) else None


def _numbers(values: Iterable[tuple[str, float]]) -> dict[str, int | float | None]:
    return {name: _plain(value) for name, value in values}


def _number(value: float | None) -> int | float | None:
    return None if value is None else _plain(value)


def _plain(value: float) -> int | float:
    # 0.0 becomes 0.
    return int(value) if float(value).is_integer() else value
