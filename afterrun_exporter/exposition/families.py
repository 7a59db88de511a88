"""Each metric family of a job, as a pure function of the job and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import (
    deadline,
    next_slot,
    run_deadline,
    schedule_text,
)
from afterrun_exporter.core.model import Condition, Job, Outcome, Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.schedule import Cron
from afterrun_exporter.core.state import AlertKey, JobState
from afterrun_exporter.core.units import format_number

#: The text between the braces, and the value.
Sample = tuple[str, float]

#: Alerts read these: a new outcome comes last.
_CODES = {outcome: code for code, outcome in enumerate(Outcome)}

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label(name: str, value: str) -> str:
    """Return one label of the text format; *value* may hold anything."""
    return f'{name}="{value.translate(_ESCAPES)}"'


class Subject:
    """A job, its state, and its labels as text."""

    __slots__ = ("job", "own", "settings", "state")

    def __init__(self, job: Job, state: JobState, settings: Settings) -> None:
        self.job = job
        self.state = state
        self.settings = settings
        #: Labels of families that do not alert.
        self.own = label(names.JOB, job.name)

    def alerting(self, rule: Rule | None = None, severity: str = "") -> str:
        """Return the labels of families that alert."""
        severity = severity or self.job.severity
        if rule is not None and rule.severity is not None:
            severity = rule.severity
        parts = [self.own, label(names.SEVERITY, severity)]
        parts += [label(key, value) for key, value in self.job.labels]
        if rule is not None:
            parts.append(label(names.RULE, rule.name))
            parts.append(label(names.METRIC, rule.metric))
        return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: its name, its type, and the samples a job adds to it."""

    name: str
    type: str
    samples: Callable[[Subject], Iterable[Sample]]
    #: What a sample's name has after the family's: for summaries.
    suffix: str = ""

    def lines(self, subject: Subject) -> str:
        """Return the samples of *subject* as lines of the text format."""
        name = self.name + self.suffix
        return "".join(
            f"{name}{{{labels}}} {format_number(value)}\n"
            for labels, value in self.samples(subject)
        )


def _fact(read: Callable[[JobState], float]) -> Callable[[Subject], Iterator[Sample]]:
    def samples(subject: Subject) -> Iterator[Sample]:
        yield subject.own, read(subject.state)

    return samples


def info(subject: Subject) -> Iterator[Sample]:
    """Yield what the configuration says, with every declared label."""
    job = subject.job
    zone = job.schedule.zone if isinstance(job.schedule, Cron) else ""
    told = {
        "schedule": job.schedule.text if job.schedule else "",
        "timezone": zone,
        "project": job.project,
        names.SEVERITY: job.severity,
        **dict(job.labels),
    }
    yield ",".join((subject.own, *(label(k, v) for k, v in told.items()))), 1


def last_run_success(subject: Subject) -> Iterator[Sample]:
    """Yield whether the last run was ok, once there was one."""
    if (outcome := subject.state.last_outcome) is not None:
        yield subject.own, outcome is Outcome.OK


def last_outcome(subject: Subject) -> Iterator[Sample]:
    """Yield how the last run ended, as its place among the outcomes."""
    if (outcome := subject.state.last_outcome) is not None:
        yield subject.own, _CODES[outcome]


def metric_values(subject: Subject) -> Iterator[Sample]:
    """Yield the last value of each reported metric."""
    for metric, value in subject.state.metrics.items():
        yield f"{subject.own},{label(names.METRIC, metric)}", value


def rule_violated(subject: Subject) -> Iterator[Sample]:
    """Yield each rule, and whether its violation is to be seen."""
    for rule in subject.job.rules:
        key = AlertKey(Condition.VIOLATED, rule.name)
        yield subject.alerting(rule), alerts.shown(subject.state, key)


def rule_threshold(subject: Subject) -> Iterator[Sample]:
    """Yield each bound of each rule: the value that is compared with."""
    for rule in subject.job.rules:
        before = subject.state.previous.get(rule.metric)
        told = f"{subject.own},{label(names.RULE, rule.name)}"
        told = f"{told},{label(names.METRIC, rule.metric)}"
        for bound in rule.bounds:
            yield f"{told},{label(names.OP, bound.op)}", bound.threshold(before)


def job_deadline(subject: Subject) -> Iterator[Sample]:
    """Yield the moment from which the next run counts as missed."""
    healed = alerts.healing(subject.state, alerts.MISSED)
    if healed is not None and healed.deadline is not None:
        yield subject.alerting(), healed.deadline
    else:
        due = deadline(subject.job, subject.state, subject.settings)
        yield subject.alerting(), due


def open_run_deadline(subject: Subject) -> Iterator[Sample]:
    """Yield the moment from which the oldest open run is overrunning."""
    healed = alerts.healing(subject.state, alerts.OVERRUNNING)
    if healed is not None and healed.deadline is not None:
        yield subject.alerting(), healed.deadline
    else:
        due = run_deadline(subject.job, subject.state, subject.settings)
        yield subject.alerting(), due


def failing(subject: Subject) -> Iterator[Sample]:
    """Yield whether the job's failure is to be seen."""
    yield subject.alerting(), alerts.shown(subject.state, alerts.FAILING)


def success_ratio(subject: Subject) -> Iterator[Sample]:
    """Yield the share of ok runs in the window, where one is configured."""
    if subject.job.success_ratio is not None:
        known = subject.state.success_ratio
        yield subject.own, known.value if known else math.nan


def slow_threshold(subject: Subject) -> Iterator[Sample]:
    """Yield from which duration on the last run was slow, where configured."""
    if subject.job.slower_than is not None:
        limit = subject.state.slow_threshold
        yield subject.own, math.nan if limit is None else limit


def test_alert(subject: Subject) -> Iterator[Sample]:
    """Yield a test alert while there is one."""
    if alerts.shown(subject.state, alerts.TEST):
        severity = subject.state.test_severity or subject.job.severity
        yield subject.alerting(severity=severity), 1


def _condition(
    key: AlertKey, configured: Callable[[Job], object]
) -> Callable[[Subject], Iterator[Sample]]:
    """Return a family of whether *key* is to be seen, where it is configured."""

    def samples(subject: Subject) -> Iterator[Sample]:
        if configured(subject.job):
            yield subject.alerting(), alerts.shown(subject.state, key)

    return samples


def _requires(job: Job) -> bool:
    return any(one.requires_success for one in job.depends_on)


def stale(subject: Subject) -> Iterator[Sample]:
    """Yield whether a miss is to be seen."""
    yield subject.own, alerts.shown(subject.state, alerts.MISSED)


def next_run(subject: Subject) -> Iterator[Sample]:
    """Yield the next slot."""
    yield subject.own, next_slot(subject.job, subject.state)


def paused(subject: Subject) -> Iterator[Sample]:
    """Yield whether the configuration disables the job."""
    yield subject.own, not subject.job.enabled


def schedule_invalid(subject: Subject) -> Iterator[Sample]:
    """Yield whether a slot of the schedule will ever come."""
    never = schedule_text(subject.job) and math.isinf(
        next_slot(subject.job, subject.state)
    )
    yield subject.own, bool(never)


def last_duration(subject: Subject) -> Iterator[Sample]:
    """Yield the last known duration; NaN before the first."""
    duration = subject.state.last_duration
    yield subject.own, math.nan if duration is None else duration


#: In the order they are exposed.
FAMILIES = (
    Family(names.INFO, "gauge", info),
    Family(names.CREATED, "gauge", _fact(lambda s: s.created_at)),
    Family(names.LAST_PING, "gauge", _fact(lambda s: s.last_ping_at)),
    Family(names.LAST_START, "gauge", _fact(lambda s: s.last_start_at)),
    Family(names.LAST_RUN, "gauge", _fact(lambda s: s.last_finish_at)),
    Family(names.LAST_SUCCESS, "gauge", _fact(lambda s: s.last_success_at)),
    Family(names.LAST_FAILURE, "gauge", _fact(lambda s: s.last_failure_at)),
    Family(names.LAST_RUN_SUCCESS, "gauge", last_run_success),
    Family(names.LAST_OUTCOME, "gauge", last_outcome),
    Family(names.LAST_DURATION, "gauge", last_duration),
    Family(names.METRIC_VALUE, "gauge", metric_values),
    Family(names.RULE_VIOLATED, "gauge", rule_violated),
    Family(names.RULE_THRESHOLD, "gauge", rule_threshold),
    Family(names.NEXT_RUN, "gauge", next_run),
    Family(names.DEADLINE, "gauge", job_deadline),
    Family(names.STALE, "gauge", stale),
    Family(names.RUNNING, "gauge", _fact(lambda s: len(s.open_runs))),
    Family(names.RUN_DEADLINE, "gauge", open_run_deadline),
    Family(names.PAUSED, "gauge", paused),
    Family(
        names.CONSECUTIVE_FAILURES, "gauge", _fact(lambda s: s.consecutive_failures)
    ),
    Family(names.FAILING, "gauge", failing),
    Family(names.SUCCESS_RATIO, "gauge", success_ratio),
    Family(
        names.SUCCESS_RATIO_LOW,
        "gauge",
        _condition(alerts.SUCCESS_RATIO_LOW, lambda job: job.success_ratio),
    ),
    Family(names.SLOW, "gauge", _condition(alerts.SLOW, lambda job: job.slower_than)),
    Family(names.SLOW_THRESHOLD, "gauge", slow_threshold),
    Family(
        names.OVERLAPPING,
        "gauge",
        _condition(alerts.OVERLAPPING, lambda job: job.concurrency),
    ),
    Family(
        names.UPSTREAM_UNHEALTHY,
        "gauge",
        _condition(alerts.UPSTREAM_UNHEALTHY, _requires),
    ),
    Family(names.TEST_ALERT, "gauge", test_alert),
    Family(names.SCHEDULE_INVALID, "gauge", schedule_invalid),
    Family(names.RUNS, "counter", _fact(lambda s: s.runs_total)),
    Family(names.RUN_FAILURES, "counter", _fact(lambda s: s.failures_total)),
    Family(names.VIOLATING_RUNS, "counter", _fact(lambda s: s.violating_total)),
    Family(names.MISSED_RUNS, "counter", _fact(lambda s: s.missed_total)),
    Family(names.DUPLICATE_PINGS, "counter", _fact(lambda s: s.duplicates_total)),
    Family(names.DURATION, "summary", _fact(lambda s: s.duration_sum), "_sum"),
    Family(names.DURATION, "summary", _fact(lambda s: s.duration_count), "_count"),
)


def render(jobs: Iterable[tuple[Job, JobState]], settings: Settings) -> bytes:
    """Return the text of all families for *jobs*, made from nothing."""
    subjects = [Subject(job, state, settings) for job, state in jobs]
    text = ""
    for family in FAMILIES:
        text += header(family) + "".join(map(family.lines, subjects))
    return text.encode()


def header(family: Family) -> str:
    """Return the lines that open a family; "" for the rest of a summary."""
    if family.suffix == "_count":
        return ""
    return (
        f"# HELP {family.name} {names.HELP[family.name]}\n"
        f"# TYPE {family.name} {family.type}\n"
    )
