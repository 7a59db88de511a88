"""Each metric family of a job, as a pure function of the job and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from afterrun_exporter import conventions as names
from afterrun_exporter.core import alerts
from afterrun_exporter.core.deadlines import deadline, run_deadline, schedule_text
from afterrun_exporter.core.model import Condition, Job, Outcome, Settings
from afterrun_exporter.core.schedule import Cron
from afterrun_exporter.core.state import AlertKey, JobState
from afterrun_exporter.core.units import format_number
from afterrun_exporter.exposition.subject import Subject, common_label, rule_labels

#: The text between the braces, and the value.
Sample = tuple[str, float]

#: Alerts read these: a new outcome comes last.
_CODES = {outcome: code for code, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: its name, its type, and the samples a job adds to it."""

    name: str
    type: str
    samples: Callable[[Subject], Sequence[Sample]]
    #: What a sample's name has after the family's: for summaries.
    suffix: str = ""

    def lines(self, subjects: Iterable[Subject]) -> list[bytes]:
        """Return the samples of each of *subjects* as lines of the text format."""
        name, samples, number = self.name + self.suffix, self.samples, format_number
        return [
            "".join(
                [f"{name}{{{told}}} {number(value)}\n" for told, value in samples(one)]
            ).encode()
            for one in subjects
        ]


@dataclass(frozen=True, slots=True)
class Fact:
    """A metric family with one value of every job."""

    name: str
    type: str
    value: Callable[[Subject], float]
    suffix: str = ""

    def lines(self, subjects: Iterable[Subject]) -> list[bytes]:
        """Return the sample of each of *subjects* as a line of the text format."""
        name, value, number = self.name + self.suffix, self.value, format_number
        return [
            f"{name}{{{one.own}}} {number(value(one))}\n".encode() for one in subjects
        ]


def info(subject: Subject) -> Sequence[Sample]:
    """Return what the configuration says, with every declared label."""
    job = subject.job
    zone = job.schedule.zone if isinstance(job.schedule, Cron) else ""
    told = {
        "schedule": job.schedule.text if job.schedule else "",
        "timezone": zone,
        "project": job.project,
        names.SEVERITY: job.severity,
        **dict(job.labels),
    }
    labels = [common_label(key, value) for key, value in told.items()]
    return ((",".join((subject.own, *labels)), 1),)


def last_run_success(subject: Subject) -> Sequence[Sample]:
    """Return whether the last run was ok, once there was one."""
    if (outcome := subject.state.last_outcome) is None:
        return ()
    return ((subject.own, outcome is Outcome.OK),)


def last_outcome(subject: Subject) -> Sequence[Sample]:
    """Return how the last run ended, as its place among the outcomes."""
    if (outcome := subject.state.last_outcome) is None:
        return ()
    return ((subject.own, _CODES[outcome]),)


def metric_values(subject: Subject) -> Sequence[Sample]:
    """Return the last value of each reported metric."""
    return [
        (f"{subject.own},{common_label(names.METRIC, metric)}", value)
        for metric, value in subject.state.metrics.items()
    ]


def rule_violated(subject: Subject) -> Sequence[Sample]:
    """Return each rule, and whether its violation is to be seen."""
    return [
        (
            subject.alerting_for(rule),
            subject.shows(AlertKey(Condition.VIOLATED, rule.name)),
        )
        for rule in subject.job.rules
    ]


def rule_threshold(subject: Subject) -> Sequence[Sample]:
    """Return each bound of each rule: the value that is compared with."""
    previous = subject.state.previous
    return [
        (
            f"{subject.own},{rule_labels(rule)},{common_label(names.OP, bound.op)}",
            bound.threshold(previous.get(rule.metric)),
        )
        for rule in subject.job.rules
        for bound in rule.bounds
    ]


def job_deadline(subject: Subject) -> Sequence[Sample]:
    """Return the moment from which the next run counts as missed."""
    due = subject.healing_deadline(alerts.MISSED)
    if due is None:
        due = deadline(subject.job, subject.state, subject.settings)
    return ((subject.alerting, due),)


def open_run_deadline(subject: Subject) -> Sequence[Sample]:
    """Return the moment from which the oldest open run is overrunning."""
    due = subject.healing_deadline(alerts.OVERRUNNING)
    if due is None:
        due = run_deadline(subject.job, subject.state, subject.settings)
    return ((subject.alerting, due),)


def failing(subject: Subject) -> Sequence[Sample]:
    """Return whether the job's failure is to be seen."""
    return ((subject.alerting, subject.shows(alerts.FAILING)),)


def success_ratio(subject: Subject) -> Sequence[Sample]:
    """Return the share of ok runs in the window, where one is configured."""
    if subject.job.success_ratio is None:
        return ()
    known = subject.state.success_ratio
    return ((subject.own, known.value if known else math.nan),)


def slow_threshold(subject: Subject) -> Sequence[Sample]:
    """Return from which duration on the last run was slow, where configured."""
    if subject.job.slower_than is None:
        return ()
    limit = subject.state.slow_threshold
    return ((subject.own, math.nan if limit is None else limit),)


def test_alert(subject: Subject) -> Sequence[Sample]:
    """Return a test alert while there is one."""
    if not subject.shows(alerts.TEST):
        return ()
    severity = subject.state.test_severity or subject.job.severity
    return ((subject.alerting_as(severity), 1),)


def _condition(
    key: AlertKey, configured: Callable[[Job], object]
) -> Callable[[Subject], Sequence[Sample]]:
    """Return a family of whether *key* is to be seen, where it is configured."""

    def samples(subject: Subject) -> Sequence[Sample]:
        if not configured(subject.job):
            return ()
        return ((subject.alerting, subject.shows(key)),)

    return samples


def _requires(job: Job) -> bool:
    return any(one.requires_success for one in job.depends_on)


def stale(subject: Subject) -> float:
    """Return whether a miss is to be seen."""
    return subject.shows(alerts.MISSED)


def next_run(subject: Subject) -> float:
    """Return the next slot."""
    return subject.slot


def paused(subject: Subject) -> float:
    """Return whether the configuration disables the job."""
    return not subject.job.enabled


def schedule_invalid(subject: Subject) -> float:
    """Return whether a slot of the schedule will ever come."""
    return math.isinf(subject.slot) and bool(schedule_text(subject.job))


def last_duration(subject: Subject) -> float:
    """Return the last known duration; NaN before the first."""
    duration = subject.state.last_duration
    return math.nan if duration is None else duration


#: In the order they are exposed.
FAMILIES: tuple[Family | Fact, ...] = (
    Family(names.INFO, "gauge", info),
    Fact(names.CREATED, "gauge", lambda s: s.state.created_at),
    Fact(names.LAST_PING, "gauge", lambda s: s.state.last_ping_at),
    Fact(names.LAST_START, "gauge", lambda s: s.state.last_start_at),
    Fact(names.LAST_RUN, "gauge", lambda s: s.state.last_finish_at),
    Fact(names.LAST_SUCCESS, "gauge", lambda s: s.state.last_success_at),
    Fact(names.LAST_FAILURE, "gauge", lambda s: s.state.last_failure_at),
    Family(names.LAST_RUN_SUCCESS, "gauge", last_run_success),
    Family(names.LAST_OUTCOME, "gauge", last_outcome),
    Fact(names.LAST_DURATION, "gauge", last_duration),
    Family(names.METRIC_VALUE, "gauge", metric_values),
    Family(names.RULE_VIOLATED, "gauge", rule_violated),
    Family(names.RULE_THRESHOLD, "gauge", rule_threshold),
    Fact(names.NEXT_RUN, "gauge", next_run),
    Family(names.DEADLINE, "gauge", job_deadline),
    Fact(names.STALE, "gauge", stale),
    Fact(names.RUNNING, "gauge", lambda s: len(s.state.open_runs)),
    Family(names.RUN_DEADLINE, "gauge", open_run_deadline),
    Fact(names.PAUSED, "gauge", paused),
    Fact(names.CONSECUTIVE_FAILURES, "gauge", lambda s: s.state.consecutive_failures),
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
    Fact(names.SCHEDULE_INVALID, "gauge", schedule_invalid),
    Fact(names.RUNS, "counter", lambda s: s.state.runs_total),
    Fact(names.RUN_FAILURES, "counter", lambda s: s.state.failures_total),
    Fact(names.VIOLATING_RUNS, "counter", lambda s: s.state.violating_total),
    Fact(names.MISSED_RUNS, "counter", lambda s: s.state.missed_total),
    Fact(names.DUPLICATE_PINGS, "counter", lambda s: s.state.duplicates_total),
    Fact(names.DURATION, "summary", lambda s: s.state.duration_sum, "_sum"),
    Fact(names.DURATION, "summary", lambda s: s.state.duration_count, "_count"),
)


def render(jobs: Iterable[tuple[Job, JobState]], settings: Settings) -> bytes:
    """Return the text of all families for *jobs*, made from nothing."""
    subjects = [Subject(job, state, settings) for job, state in jobs]
    return b"".join(
        piece
        for family in FAMILIES
        for piece in (header(family).encode(), *family.lines(subjects))
    )


def header(family: Family | Fact) -> str:
    """Return the lines that open a family; "" for the rest of a summary."""
    if family.suffix == "_count":
        return ""
    return (
        f"# HELP {family.name} {names.HELP[family.name]}\n"
        f"# TYPE {family.name} {family.type}\n"
    )
