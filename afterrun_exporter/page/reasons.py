"""Reasons for a broken job, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.model import (
    BLAMELESS,
    NEUTRAL,
    Condition,
    Job,
    Outcome,
    Run,
)
from afterrun_exporter.core.rules import DURATION, Rule, Violation
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.page.index import severity_of
from afterrun_exporter.page.numbers import readable
from afterrun_exporter.page.times import Moment, moment, zone_of
from afterrun_exporter.storage.store import AlertRecord

#: Short titles of conditions.
TITLES: Final = {
    Condition.MISSED: "did not run",
    Condition.FAILING: "failing",
    Condition.VIOLATED: "broke a rule",
    Condition.OVERRUNNING: "running too long",
    Condition.OVERLAPPING: "overlapping",
    Condition.SLOW: "slow",
    Condition.SUCCESS_RATIO_LOW: "failing too often",
    Condition.UPSTREAM_UNHEALTHY: "waiting for another job",
    Condition.TEST: "test alert",
    Condition.SUCCEEDED: "ended ok",
}

#: The order of severity, the worst first.
_ORDER: Final = {condition: place for place, condition in enumerate(TITLES)}

#: Characters and lines shown from the end of a message, where errors usually are.
LONGEST: Final = 600
LINES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An open condition."""

    condition: Condition
    title: str
    severity: str
    since: Moment | None
    #: What happened, in a sentence.
    words: str = ""
    #: For a violated rule: the value and the expected value.
    metric: str = ""
    value: str = ""
    expected: str = ""
    #: The message of the job.
    message: str = ""


def reasons(
    job: Job,
    state: JobState,
    now: float,
    runs: Sequence[Run],
    recorded: Iterable[AlertRecord] = (),
) -> list[Reason]:
    """Return the reasons why *job* is broken, the worst first; [] if it is not.

    *runs* are its last runs, newest first, and *recorded* its open alerts.
    """
    summaries = {record.key: record.summary for record in recorded}
    ordered = sorted(state.alerts, key=lambda alert: _ORDER[alert.key.condition])
    result: list[Reason] = []
    for alert in ordered:
        if alert.key.condition not in BLAMELESS:
            reason = _reason(job, state, now, runs, alert, summaries)
            if any(reason.message == other.message for other in result):
                # Show the message of a run only once.
                reason = replace(reason, message="")
            result.append(reason)
    return result


def _reason(
    job: Job,
    state: JobState,
    now: float,
    runs: Sequence[Run],
    alert: OpenAlert,
    summaries: Mapping[AlertKey, str],
) -> Reason:
    condition = alert.key.condition
    bare = Reason(
        condition=condition,
        title=TITLES[condition],
        severity=severity_of(job, alert.key.rule),
        since=moment(alert.opened_at, now, zone_of(job)),
    )
    judged = next(
        (run for run in runs if run.outcome not in NEUTRAL and not run.is_retried), None
    )
    if condition is Condition.VIOLATED:
        return _violation(bare, job, alert.key.rule, runs)
    if condition is Condition.FAILING:
        message = _end_of(judged.message) if judged else ""
        return replace(bare, words=_failure(job, state, judged), message=message)
    if condition is Condition.MISSED:
        return replace(bare, words=_miss(state, now))
    return replace(bare, words=_sentence(summaries.get(alert.key, "")))


def _violation(bare: Reason, job: Job, rule: str, runs: Sequence[Run]) -> Reason:
    for run in runs:
        for broken in run.violations:
            if broken.rule == rule:
                named = not rule.startswith(broken.metric)
                return replace(
                    bare,
                    metric=broken.metric,
                    value=value_of(broken),
                    expected=expected_of(job.rules, broken),
                    words=f"The rule is {rule}." if named else "",
                    message=_end_of(run.message),
                )
    return replace(bare, words=f"The last evaluated run broke {rule}.")


def value_of(violation: Violation) -> str:
    """Return the value of the metric in *violation* as text."""
    if violation.text is not None:
        return quoted(violation.text)
    if violation.value is None:
        return "not reported"
    if violation.metric == DURATION:
        return format_duration(round(violation.value, 3))
    return readable(violation.value)


def expected_of(rules: Iterable[Rule], violation: Violation) -> str:
    """Return the expected value in *violation* as text, durations with units."""
    rule = next((one for one in rules if one.name == violation.rule), None)
    if rule is None or violation.metric != DURATION:
        return violation.expected
    if any(bound.of_previous for bound in rule.bounds):
        return violation.expected
    return " and ".join(f"{b.op} {format_duration(b.value)}" for b in rule.bounds)


def _failure(job: Job, state: JobState, run: Run | None) -> str:
    if state.last_outcome is Outcome.OK:
        progress = f"{state.recovering} of the {job.recover_after} required ok runs"
        return f"It is recovering: {progress}."
    return " ".join(_about_failure(state, run))


def _about_failure(state: JobState, run: Run | None) -> Iterator[str]:
    sentence = f"The last run ended with {state.last_outcome}"
    if run is not None and run.exit_code is not None:
        sentence += f", exit code {run.exit_code}"
    if run is not None and run.duration is not None:
        sentence += f", after {format_duration(round(run.duration, 3))}"
    yield f"{sentence}."
    if state.consecutive_failures > 1:
        yield f"{state.consecutive_failures} runs in a row were not ok."


def _miss(state: JobState, now: float) -> str:
    if not state.last_finish_at:
        return "No run finished by then; it has never run."
    last = moment(state.last_finish_at, now)
    when = last.away if last else ""
    return f"No run finished by then. The last one ended {when}: {state.last_outcome}."


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _end_of(text: str) -> str:
    text = text.strip()
    end = "\n".join(text[-LONGEST:].splitlines()[-LINES:])
    return end if len(end) == len(text) else f"…{end}"
