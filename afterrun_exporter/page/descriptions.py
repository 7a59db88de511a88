"""Descriptions of rules and expectations in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.rules import (
    CONTAINS,
    DURATION,
    LACKS,
    Bound,
    Rule,
    is_message,
)
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.schedule_words import in_words
from afterrun_exporter.core.units import format_duration, format_number
from afterrun_exporter.page.number_format import exactly

_OPS: Final = {
    ">": "more than",
    ">=": "at least",
    "<": "less than",
    "<=": "at most",
    "==": "exactly",
    "!=": "anything but",
}


_ASSERTIONS: Final = {
    "==": "be exactly",
    "!=": "be anything but",
    CONTAINS: "contain",
    LACKS: "not contain",
}


def rule_in_words(rule: Rule) -> str:
    """Return the description of *rule*."""
    what = "The duration" if rule.metric == DURATION else rule.metric
    if (assertion := rule.assertion) is not None:
        what = "The message" if is_message(rule) else what
        words = f"{_ASSERTIONS[assertion.op]} {quoted(assertion.text)}"
    else:
        words = "be " + " and ".join(_bound(rule, bound) for bound in rule.bounds)
    sentence = f"{what} must {words}."
    if is_message(rule):
        more = " A run without a message is fine." if rule.ignore_missing else ""
        return f"{sentence}{more}"
    how = "is fine" if rule.ignore_missing else "breaks the rule"
    return f"{sentence} A run that does not report it {how}."


def _bound(rule: Rule, bound: Bound) -> str:
    if bound.of_previous:
        factor = "" if bound.value == 1 else f"{format_number(bound.value)} times "
        return f"{_OPS[bound.op]} {factor}that of the last ok run"
    return f"{_OPS[bound.op]} {exactly(bound.value, rule.metric, bound.unit)}"


def _after_downtime(patience: float) -> str:
    if not patience:
        return "It is missed if it was due while AfterRun was down."
    after = format_duration(patience)
    return f"It is missed {after} after a downtime in which it was due."


def expectations(job: Job) -> Iterator[tuple[str, str]]:
    """Yield the other expectations of *job*, each as a word and a sentence."""
    yield "Schedule", schedule_in_words(job)
    if job.schedule is not None:
        late = format_duration(job.grace)
        yield "Grace", f"A run may finish {late} after its slot before it is missed."
    if job.max_runtime is not None:
        longest = format_duration(job.max_runtime)
        yield "Run time", f"A run may take {longest} from its start to its end."
    if job.max_attempts is not None and job.max_attempts > 1:
        yield "Attempts", f"A run fails with its {_nth(job.max_attempts)} attempt."
    if job.heartbeat is not None:
        silence = format_duration(job.heartbeat)
        yield "Heartbeat", f"A run that sends signs of life sends one every {silence}."
    yield from _of_alerts(job)


def _of_alerts(job: Job) -> Iterator[tuple[str, str]]:
    if job.after_downtime is not None:
        yield "Downtime", _after_downtime(job.after_downtime)
    if job.after_failures > 1:
        yield (
            "Failures",
            f"It alerts on the {_nth(job.after_failures)} bad run in a row.",
        )
    if job.recover_after > 1:
        yield (
            "Recovery",
            f"It recovers after {plural(job.recover_after, 'ok run')} in a row.",
        )
    if (ratio := job.success_ratio) is not None:
        share = format_number(round(ratio.below * 100, 6))
        within = format_duration(ratio.over)
        minimum = f"At least {share}% of the runs within {within} must be ok"
        yield "Success ratio", f"{minimum}, once there {_are(ratio.min_runs)}."
    if (slower := job.slower_than) is not None:
        usual = (
            f"the {slower.than} of the ok runs within {format_duration(slower.over)}"
        )
        most = f"A run may take {format_number(slower.factor)} times {usual}"
        yield "Slowness", f"{most}, once there {_are(slower.min_runs)}."
    if (limit := job.concurrency) is not None:
        each = f" for each {limit.by}" if limit.by else ""
        runs = plural(limit.max, "run")
        yield "Concurrency", f"{runs} may be open at once{each}."


def _are(number: int) -> str:
    return "is one" if number == 1 else f"are {number}"


def schedule_in_words(job: Job) -> str:
    """Return the description of the schedule of *job*."""
    if job.schedule is None:
        return "None: it may run at any time and is never missed."
    words = in_words(job.schedule)
    words = f"{words[0].upper()}{words[1:]}"
    if isinstance(job.schedule, Calendar):
        return f"{words} in {job.schedule.zone}: {job.schedule.text}."
    return f"{words} after its last run."


def _nth(number: int) -> str:
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
