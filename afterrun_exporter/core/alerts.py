"""Which conditions hold, and which alerts that opens and resolves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.core import (
    history,
    hung_runs,
    loading,
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
from afterrun_exporter.core.run_limits import first_overrunning
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
from afterrun_exporter.core.texts import last_words
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

#: Conditions that are over when a run has ended, and not when that is reported.
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

#: The severity of an alert that nobody is told of.
NO_SEVERITY: Final = "none"


class Status(StrEnum):
    """A job in one word; the first that applies."""

    PAUSED = "paused"
    MISSED = "missed"
    FAILING = "failing"
    VIOLATED = "violated"
    #: A run has failed and is tried again: nothing is known yet.
    RETRYING = "retrying"
    NEW = "new"
    OK = "ok"


#: States in which something is wrong, and an alert open.
BROKEN: Final = frozenset({Status.MISSED, Status.FAILING, Status.VIOLATED})


def status(job: Job, state: JobState) -> Status:
    """Return how *job* is doing."""
    if not job.enabled:
        return Status.PAUSED
    holding = {alert.key.condition for alert in state.alerts} if state.alerts else ()
    for condition in (Condition.MISSED, Condition.FAILING, Condition.VIOLATED):
        if condition in holding:
            return Status(condition.value)
    if (state.loaded or state.hung) and recovery.has_failed(job, state):
        return Status.FAILING
    if state.loaded and state.violated:
        return Status.VIOLATED
    if state.retries:
        return Status.RETRYING
    return Status.NEW if state.last_outcome is None else Status.OK


@dataclass(frozen=True, slots=True)
class _Holding:
    since: float
    severity: str
    summary: str
    deadline: float | None = None
    metric: str = ""
    #: From when on it can be seen by its deadline, where that is later.
    shown: float = 0.0


def update(
    job: Job, state: JobState, now: float, settings: Settings, run: Run | None = None
) -> tuple[JobState, tuple[AlertEvent, ...]]:
    """Return *state* with the alerts that its facts call for, and the changes.

    *run* is the run that was just judged, if one was. One condition is one
    alert: while it holds, nothing more is opened.
    """
    if is_calm(state):
        return state, ()
    holding = _holding(job, state, now, settings, run)
    open_keys = {alert.key for alert in state.alerts}
    kept = tuple(
        _relabelled(alert, state, now) for alert in state.alerts if alert.key in holding
    )
    changed = holding.keys() ^ open_keys or kept != state.alerts
    if not (changed or state.healed or (state.ended and run)):
        return state, ()

    new = (
        _open(key, holding[key], state, now) for key in holding if key not in open_keys
    )
    opened = tuple(new)
    news = (*opened, *(alert for alert in kept if alert not in state.alerts))
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
    over = {
        alert: _over_at(alert, now, run)
        for alert in state.alerts
        if alert.key not in holding
    }
    healed = (
        *state.healed,
        *(
            _heal(alert, settings)
            for alert, at in over.items()
            # What was over by then is history: nobody needs to see it now.
            if at + settings.min_visible > now
        ),
    )
    state = replace(
        state,
        alerts=(*kept, *opened),
        ended=_ended(state, over, run),
        healed=tuple(
            # No longer than from now: the clock may have been set back.
            replace(one, until=min(one.until, now + settings.min_visible))
            for one in healed
            if one.until > now and one.key not in holding
        ),
    )
    resolved = (AlertResolved(alert.key, at) for alert, at in over.items())
    return state, (*resolved, *events)


def is_troubled(job: Job, state: JobState, now: float, settings: Settings) -> bool:
    """Return True if anything is wrong with *job* that an alert is about."""
    holding = _holding(job, state, now, settings, None)
    return any(key.condition not in BLAMELESS for key in holding)


def is_calm(state: JobState) -> bool:
    """Return whether no fact of *state* is one that an alert is about.

    Nearly always that is so. False is always right.
    """
    return not (
        state.alerts
        or state.healed
        or state.ended
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
    """Return *state* without any alert, and what that resolves."""
    events = tuple(AlertResolved(alert.key, now) for alert in state.alerts)
    return replace(state, alerts=(), healed=(), ended=()), events


def shown(state: JobState, key: AlertKey) -> bool:
    """Return whether *key* is to be seen: it holds, or opened only just now."""
    return any(a.key == key for a in state.alerts) or healing(state, key) is not None


def healing(state: JobState, key: AlertKey) -> RecentlyResolved | None:
    """Return the alert that is over but still shown for *key*, if any."""
    return next((healed for healed in state.healed if healed.key == key), None)


def _relabelled(alert: OpenAlert, state: JobState, now: float) -> OpenAlert:
    """Return *alert* with the labels that it has from *now* on.

    It says that a run timed out as soon as one has, and as long as it is open.
    """
    if alert.timed_out or not (state.timed_out and alert.key == FAILING):
        return alert
    return replace(alert, timed_out=True, shown_at=now)


def _open(key: AlertKey, facts: _Holding, state: JobState, now: float) -> OpenAlert:
    # What was so before a pause, or happened during it, is an alert from its end on.
    earliest = min(state.watched_since or 0.0, now)
    opened_at = max(facts.since, earliest)
    for one in state.ended:
        if one.alert.key == key and opened_at <= one.at <= now:
            return _relabelled(one.alert, state, now)
    return OpenAlert(
        key=key,
        opened_at=opened_at,
        # A passed deadline could be seen by everyone when it passed.
        shown_at=now if facts.deadline is None else max(opened_at, facts.shown),
        deadline=facts.deadline,
        timed_out=key == FAILING and state.timed_out,
    )


def _over_at(alert: OpenAlert, now: float, run: Run | None) -> float:
    """Return when *alert* was over; *run* is the one that was just judged, if any."""
    ends_with_run = run is not None and alert.key.condition in ENDING_WITH_RUNS
    return max(run.finished_at if run and ends_with_run else now, alert.opened_at)


def _ended(
    state: JobState, over: Mapping[OpenAlert, float], run: Run | None
) -> tuple[EndedAlert, ...]:
    """Return the alerts that ended with *run*, or with a run that ended at its time."""
    if run is None:
        return state.ended
    ended = (EndedAlert(alert, at) for alert, at in over.items())
    return tuple(
        one
        for one in (*state.ended, *ended)
        if one.at == run.finished_at and one.alert.key.condition in ENDING_WITH_RUNS
    )


def _heal(alert: OpenAlert, settings: Settings) -> RecentlyResolved:
    until = alert.shown_at + settings.min_visible
    return RecentlyResolved(key=alert.key, until=until, deadline=alert.deadline)


def _holding(
    job: Job, state: JobState, now: float, settings: Settings, run: Run | None
) -> Mapping[AlertKey, _Holding]:
    since = now if run is None else run.finished_at
    holding = dict(_asked_for(job, state, now))
    if job.enabled:
        holding |= _late(job, state, now, settings)
        holding |= _gone_wrong(job, state, since, run)
        holding |= _unusual(job, state, now, since, settings)
        # One far ahead of us was noted before the clock was set back.
        if now < state.success_until <= now + settings.min_visible:
            words = _success(state)
            holding[SUCCEEDED] = _Holding(since, NO_SEVERITY, words)
    if not state.loaded:
        return holding
    return loading.with_frozen(job, state, holding, _Holding(now, job.severity, ""))


def _asked_for(
    job: Job, state: JobState, now: float
) -> Iterator[tuple[AlertKey, _Holding]]:
    if state.test_until > now:
        severity = state.test_severity or job.severity
        # Not until when: that may be put off.
        yield TEST, _Holding(now, severity, "somebody asked for a test alert")


def _late(
    job: Job, state: JobState, now: float, settings: Settings
) -> Iterator[tuple[AlertKey, _Holding]]:
    if (missed := state.missed_deadline) is not None:
        summary = f"no run finished by {format_time(missed)}"
        # A report that takes back a run under way makes an earlier deadline count.
        since = max(missed, min(state.last_ping_at, now))
        yield MISSED, _Holding(since, job.severity, summary, missed)
    overdue, limit = first_overrunning(job, state, settings)
    if overdue < now:
        summary = hung_runs.summary(job, state, limit)
        yield OVERRUNNING, _Holding(limit, job.severity, summary, limit, shown=overdue)


def _gone_wrong(
    job: Job, state: JobState, since: float, run: Run | None
) -> Iterator[tuple[AlertKey, _Holding]]:
    if recovery.is_failing(job, state):
        yield FAILING, _Holding(since, job.severity, _failure(job, state, run))
    for rule in job.rules:
        if rule.name in state.violated:
            key = AlertKey(Condition.VIOLATED, rule.name)
            severity = rule.severity or job.severity
            summary = _violation(rule.name, run)
            yield key, _Holding(since, severity, summary, metric=rule.metric)


def _unusual(
    job: Job, state: JobState, now: float, since: float, settings: Settings
) -> Iterator[tuple[AlertKey, _Holding]]:
    if words := overlaps.overlap(job, state, now, settings):
        began = max(run.started_at for run in state.open_runs)
        yield OVERLAPPING, _Holding(began, job.severity, words)
    if job.slower_than is not None and state.slow:
        yield SLOW, _Holding(since, job.severity, _slowness(job, state))
    if words := _low_ratio(job, state):
        yield SUCCESS_RATIO_LOW, _Holding(since, job.severity, words)
    if upstream.held_back(state):
        yield UPSTREAM_UNHEALTHY, _Holding(now, NO_SEVERITY, upstream.summary(state))


def _failure(job: Job, state: JobState, run: Run | None) -> str:
    words = f"the last run ended with {state.last_outcome}"
    if state.last_outcome is Outcome.OK:
        needed = f"{state.recovering} of {job.recover_after} ok runs in a row"
        return f"the job has failed and is recovering: {needed} so far"
    if state.consecutive_failures > 1:
        words = f"{state.consecutive_failures} runs in a row were not ok; {words}"
    if run is not None and run.outcome is not Outcome.OK:
        said = last_words(run.message)
        words = f"{words}: {said}" if said else words
    return words


def _success(state: JobState) -> str:
    if state.last_duration is None:
        return "the run ended ok"
    return f"the run ended ok after {format_duration(round(state.last_duration, 3))}"


def _violation(rule: str, run: Run | None) -> str:
    for violation in run.violations if run else ():
        if violation.rule == rule:
            return str(violation)
    return f"the last judged run broke {rule!r}"


def _slowness(job: Job, state: JobState) -> str:
    took, limit = state.last_duration, state.slow_threshold
    if job.slower_than is None or took is None or limit is None:
        return "the last run took unusually long"
    if took <= limit:
        # A later run that failed said how long it took, too.
        return "the last run that ended well took unusually long"
    usual = limit / job.slower_than.factor
    return (
        f"the last run took {format_duration(round(took, 3))}, more than "
        f"{format_number(job.slower_than.factor)} times the {job.slower_than.than} "
        f"of {format_duration(round(usual, 3))}"
    )


def _low_ratio(job: Job, state: JobState) -> str:
    wanted, found = job.success_ratio, state.success_ratio
    if wanted is None or found is None:
        return ""
    goes_on = any(alert.key == SUCCESS_RATIO_LOW for alert in state.alerts)
    if not history.is_ratio_low(wanted, state, goes_on=goes_on):
        return ""
    return (
        f"{found.ok} of {found.runs} runs within {format_duration(wanted.over)} were "
        f"ok, less than {format_number(wanted.below * 100)}%"
    )
