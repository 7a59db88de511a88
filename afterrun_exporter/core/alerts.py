"""Conditions that hold for a job, and the alerts to open and to resolve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import (
    history,
    hung_runs,
    loaded_runs,
    overlaps,
    recovery,
    upstream,
)
from afterrun_exporter.core.model import (
    BLAMELESS,
    Condition,
    Job,
    Outcome,
    Run,
    Settings,
)
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.rules import described
from afterrun_exporter.core.run_limits import first_overrunning
from afterrun_exporter.core.severities import NO_SEVERITY, severity_of
from afterrun_exporter.core.state import (
    AlertEvent,
    AlertKey,
    AlertOpened,
    AlertResolved,
    EndedAlert,
    JobState,
    OpenAlert,
    RecentlyResolved,
)
from afterrun_exporter.core.text_fields import last_words
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.core.units import format_duration, format_number

MISSED = AlertKey(Condition.MISSED)
FAILING = AlertKey(Condition.FAILING)
OVERRUNNING = AlertKey(Condition.OVERRUNNING)
OVERLAPPING = AlertKey(Condition.OVERLAPPING)
SLOW = AlertKey(Condition.SLOW)
SUCCESS_RATIO_LOW = AlertKey(Condition.SUCCESS_RATIO_LOW)
UPSTREAM_UNHEALTHY = AlertKey(Condition.UPSTREAM_UNHEALTHY)
TEST = AlertKey(Condition.TEST)
SUCCEEDED = AlertKey(Condition.SUCCEEDED)

#: Conditions that end when a run ends, not when that is reported.
ENDING_WITH_RUNS: Final = frozenset(
    {
        Condition.FAILING,
        Condition.VIOLATED,
        Condition.SLOW,
        Condition.SUCCESS_RATIO_LOW,
        Condition.OVERRUNNING,
        Condition.OVERLAPPING,
    }
)


@dataclass(frozen=True, slots=True)
class _Holding:
    since: float
    severity: str
    summary: str
    deadline: float | None = None
    metric: str = ""
    #: The start of its visibility by the deadline, if that is later.
    is_visible: float = 0.0


def update(
    job: Job, state: JobState, now: float, settings: Settings, run: Run | None = None
) -> tuple[JobState, tuple[AlertEvent, ...]]:
    """Return *state* with its alerts updated, and the changes.

    *run* is the run that was just recorded, if any. One condition is one alert: while
    it holds, no other is opened.
    """
    if is_steady(state):
        return state, ()
    holding = _holding(job, state, now, settings, run)
    open_keys = {alert.key for alert in state.alerts}
    remaining = tuple(
        _with_labels(alert, state, now)
        for alert in state.alerts
        if alert.key in holding
    )
    changed = holding.keys() ^ open_keys or remaining != state.alerts
    if not (changed or state.healed or (state.ended_alerts and run)):
        return state, ()

    new_alerts = tuple(
        _open(key, holding[key], state, now) for key in holding if key not in open_keys
    )
    news = (*new_alerts, *(alert for alert in remaining if alert not in state.alerts))
    events = tuple(
        AlertOpened(
            alert,
            holding[alert.key].severity,
            holding[alert.key].summary,
            run.number if run else 0,
            holding[alert.key].metric,
            job.labels,
        )
        for alert in news
    )
    end_times = {
        alert: _end_of(alert, now, run)
        for alert in state.alerts
        if alert.key not in holding
    }
    recent = (
        *state.healed,
        *(
            _heal(alert, settings)
            for alert, at in end_times.items()
            # An alert that ended before that is history, which needs no visibility.
            if at + settings.min_visible > now
            and not upstream.was_held_back(alert, state)
        ),
    )
    state = replace(
        state,
        alerts=(*remaining, *new_alerts),
        ended_alerts=_ended_alerts(state, end_times, run),
        healed=tuple(
            # At most from now on: the clock may have been set back.
            replace(one, until=min(one.until, now + settings.min_visible))
            for one in recent
            if one.until > now and one.key not in holding
        ),
    )
    resolved = (AlertResolved(alert.key, at) for alert, at in end_times.items())
    return state, (*resolved, *events)


def is_troubled(job: Job, state: JobState, now: float, settings: Settings) -> bool:
    """Return True if a condition holds that is a problem of *job* itself."""
    holding = _holding(job, state, now, settings, None)
    return any(key.condition not in BLAMELESS for key in holding)


def is_steady(state: JobState) -> bool:
    """Return True if *state* has no fact that an alert could depend on.

    This is nearly always so. False is always correct.
    """
    return not (
        state.alerts
        or state.healed
        or state.ended_alerts
        or state.consecutive_failures
        or state.failing
        or state.violated
        or state.open_runs
        or state.hung
        or state.slow
        or state.missed_deadline is not None
        or state.success_ratio is not None
        or state.test_until
        or state.success_until
        or upstream.held_back(state)
    )


def resolve_all(state: JobState, now: float) -> tuple[JobState, tuple[AlertEvent, ...]]:
    """Return *state* without any alert, and the resolved alerts."""
    events = tuple(AlertResolved(alert.key, now) for alert in state.alerts)
    return replace(state, alerts=(), healed=(), ended_alerts=()), events


def is_visible(state: JobState, key: AlertKey) -> bool:
    """Return True if *key* must be visible: it holds, or was resolved recently."""
    return (
        any(a.key == key for a in state.alerts)
        or recently_resolved(state, key) is not None
    )


def recently_resolved(state: JobState, key: AlertKey) -> RecentlyResolved | None:
    """Return the alert for *key* that is over but still visible, if any."""
    return next((healed for healed in state.healed if healed.key == key), None)


def _with_labels(alert: OpenAlert, state: JobState, now: float) -> OpenAlert:
    """Return *alert* with the labels it has from *now* on.

    It is marked as timed out as soon as a run timed out, until it is resolved.
    """
    if alert.timed_out or not (state.timed_out and alert.key == FAILING):
        return alert
    return replace(alert, timed_out=True, shown_at=now)


def _open(key: AlertKey, facts: _Holding, state: JobState, now: float) -> OpenAlert:
    # A condition from before or during a pause is an alert from the end of the pause.
    earliest = min(state.watched_since or 0.0, now)
    opened_at = max(facts.since, earliest)
    for one in state.ended_alerts:
        if one.alert.key == key and opened_at <= one.at <= now:
            return _with_labels(one.alert, state, now)
    return OpenAlert(
        key=key,
        opened_at=opened_at,
        # A passed deadline is visible to everyone at its moment.
        shown_at=now if facts.deadline is None else max(opened_at, facts.is_visible),
        deadline=facts.deadline,
        timed_out=key == FAILING and state.timed_out,
    )


def _end_of(alert: OpenAlert, now: float, run: Run | None) -> float:
    """Return the end of *alert*; *run* is the one that was just recorded, if any."""
    ends_with_run = run is not None and alert.key.condition in ENDING_WITH_RUNS
    return max(run.finished_at if run and ends_with_run else now, alert.opened_at)


def _ended_alerts(
    state: JobState, end_times: Mapping[OpenAlert, float], run: Run | None
) -> tuple[EndedAlert, ...]:
    """Return the alerts that ended with *run*, or with a run with the same end."""
    if run is None:
        return state.ended_alerts
    new = (EndedAlert(alert, at) for alert, at in end_times.items())
    return tuple(
        one
        for one in (*state.ended_alerts, *new)
        if one.at == run.finished_at and one.alert.key.condition in ENDING_WITH_RUNS
    )


def _heal(alert: OpenAlert, settings: Settings) -> RecentlyResolved:
    until = alert.shown_at + settings.min_visible
    return RecentlyResolved(key=alert.key, until=until, deadline=alert.deadline)


def _holding(
    job: Job, state: JobState, now: float, settings: Settings, run: Run | None
) -> Mapping[AlertKey, _Holding]:
    since = now if run is None else run.finished_at
    holding = dict(_test_alert(job, state, now))
    if job.enabled:
        holding |= _late(job, state, now, settings)
        holding |= _bad_runs(job, state, since, run)
        holding |= _unusual(job, state, now, since, settings)
        # A later time was recorded before the clock was set back.
        if now < state.success_until <= now + settings.min_visible:
            summary = _success(state)
            holding[SUCCEEDED] = _Holding(since, NO_SEVERITY, summary)
    if not state.loaded:
        return holding
    return loaded_runs.with_frozen(job, state, holding, _Holding(now, job.severity, ""))


def _test_alert(
    job: Job, state: JobState, now: float
) -> Iterator[tuple[AlertKey, _Holding]]:
    if state.test_until > now:
        severity = state.test_severity or job.severity
        # Without the end of the test, which may be postponed.
        yield TEST, _Holding(now, severity, "a test alert was requested")


def _late(
    job: Job, state: JobState, now: float, settings: Settings
) -> Iterator[tuple[AlertKey, _Holding]]:
    if (missed := state.missed_deadline) is not None:
        summary = f"no run finished by {format_time(missed)}"
        # A report that replaces an open run makes an earlier deadline count.
        since = max(missed, min(state.last_ping_at, now))
        severity = severity_of(job, Condition.MISSED)
        yield MISSED, _Holding(since, severity, summary, missed)
    overdue, limit = first_overrunning(job, state, settings)
    if overdue < now:
        summary = hung_runs.summary(job, state, limit)
        severity = severity_of(job, Condition.OVERRUNNING)
        yield (
            OVERRUNNING,
            _Holding(limit, severity, summary, limit, is_visible=overdue),
        )


def _bad_runs(
    job: Job, state: JobState, since: float, run: Run | None
) -> Iterator[tuple[AlertKey, _Holding]]:
    if recovery.is_failing(job, state):
        severity = severity_of(job, Condition.FAILING)
        yield FAILING, _Holding(since, severity, _failure(job, state, run))
    for rule in job.rules:
        if rule.name in state.violated:
            key = AlertKey(Condition.VIOLATED, rule.name)
            severity = severity_of(job, Condition.VIOLATED, rule.name)
            summary = described(rule, run.violations if run else ())
            yield key, _Holding(since, severity, summary, metric=rule.metric)


def _unusual(
    job: Job, state: JobState, now: float, since: float, settings: Settings
) -> Iterator[tuple[AlertKey, _Holding]]:
    if summary := overlaps.overlap(job, state, now, settings):
        began = max(run.started_at for run in state.open_runs)
        severity = severity_of(job, Condition.OVERLAPPING)
        yield OVERLAPPING, _Holding(began, severity, summary)
    if job.slower_than is not None and state.slow:
        severity = severity_of(job, Condition.SLOW)
        yield SLOW, _Holding(since, severity, _slowness(job, state))
    if summary := _low_ratio(job, state):
        severity = severity_of(job, Condition.SUCCESS_RATIO_LOW)
        yield SUCCESS_RATIO_LOW, _Holding(since, severity, summary)
    if upstream.held_back(state):
        yield UPSTREAM_UNHEALTHY, _Holding(now, NO_SEVERITY, upstream.summary(state))


def _failure(job: Job, state: JobState, run: Run | None) -> str:
    summary = f"the last run ended with {state.last_outcome}"
    if state.last_outcome is Outcome.OK:
        progress = (
            f"{state.recovering} of {plural(job.recover_after, 'ok run')} in a row"
        )
        return f"the job has failed and is recovering: {progress} so far"
    if state.consecutive_failures > 1:
        summary = f"{plural(state.consecutive_failures, 'run')} in a row were not ok; {summary}"
    if run is not None and run.outcome is not Outcome.OK:
        message = last_words(run.message)
        summary = f"{summary}: {message}" if message else summary
    return summary


def _success(state: JobState) -> str:
    if state.last_duration is None:
        return "the run ended ok"
    return f"the run ended ok after {format_duration(round(state.last_duration, 3))}"


def _slowness(job: Job, state: JobState) -> str:
    took, limit = state.last_duration, state.slow_threshold
    if job.slower_than is None or took is None or limit is None:
        return "the last run took unusually long"
    if took <= limit:
        # A later failed run may have reported its duration, too.
        return "the last ok run took unusually long"
    usual = limit / job.slower_than.factor
    duration, average, most = (
        format_duration(round(value, 3)) for value in (took, usual, limit)
    )
    return f"the last run took {duration}, usually {average} (limit {most})"


def _low_ratio(job: Job, state: JobState) -> str:
    limit, ratio = job.success_ratio, state.success_ratio
    is_open = any(alert.key == SUCCESS_RATIO_LOW for alert in state.alerts)
    if not (limit and ratio and history.is_ratio_low(limit, ratio, state, is_open)):
        return ""
    return (
        f"{ratio.ok} of {plural(ratio.runs, 'run')} within {format_duration(limit.over)} were "
        f"ok, less than {format_number(limit.below * 100)}%"
    )
