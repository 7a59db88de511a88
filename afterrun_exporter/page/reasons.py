"""Reasons for a broken job, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from afterrun_exporter.core.deadlines import missed_slot
from afterrun_exporter.core.exit_codes import with_meaning
from afterrun_exporter.core.model import (
    BLAMELESS,
    NEUTRAL,
    Condition,
    Job,
    Outcome,
    Run,
)
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.schedule_words import in_words
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.core.status import BROKEN, Status
from afterrun_exporter.core.text_fields import without_codes
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.page.job_index import rank
from afterrun_exporter.page.times import Moment, moment, span, zone_of
from afterrun_exporter.page.violations import Broken, broken_by, summary_in_words
from afterrun_exporter.storage.store import MAX_METADATA, AlertRecord

#: Titles of conditions in order, the worst first: the words of `Status`.
TITLES: Final = {
    **{
        Condition(one): one.replace("_", " ")
        for one in (*BROKEN, Status.UPSTREAM_UNHEALTHY)
    },
    Condition.TEST: "test alert",
    Condition.SUCCEEDED: "succeeded",
}

#: The order of severity, the worst first.
ORDER: Final = {condition: place for place, condition in enumerate(TITLES)}

#: Characters and lines shown from the end of a message, where errors usually are.
LONGEST: Final = 600
LINES: Final = 8

#: Keys of metadata that name the host of a run.
HOSTS: Final = ("host", "hostname", "node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An open condition, or several rules that one run broke."""

    condition: Condition
    title: str
    severity: str
    since: Moment | None
    #: What happened, in a sentence.
    words: str = ""
    #: The rules that the run broke.
    broken: tuple[Broken, ...] = ()
    #: The message of the job.
    message: str = ""
    #: The number of the run; 0 if it is not about a run.
    run: int = 0
    #: The host of the last run, if that reported it.
    host: str = ""


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
    summaries = {record.key: summary_in_words(job, record, now) for record in recorded}
    ordered = sorted(state.alerts, key=lambda alert: ORDER[alert.key.condition])
    result: list[Reason] = []
    for alert in ordered:
        if alert.key.condition not in BLAMELESS:
            reason = _reason(job, state, now, runs, alert, summaries)
            if result and _is_same_run(result[-1], reason):
                result[-1] = _together(result[-1], reason)
                continue
            if any(reason.message == other.message for other in result):
                # Show the message of a run only once.
                reason = replace(reason, message="")
            result.append(reason)
    return result


def _is_same_run(one: Reason, other: Reason) -> bool:
    return bool(one.broken and other.broken) and (one.run, one.since) == (
        other.run,
        other.since,
    )


def _together(one: Reason, other: Reason) -> Reason:
    severity = min(one.severity, other.severity, key=rank)
    broken = (*one.broken, *other.broken)
    title = f"violated {plural(len(broken), 'rule')}"
    return replace(one, severity=severity, broken=broken, title=title)


def judged(runs: Iterable[Run]) -> Run | None:
    """Return the newest of *runs* that changed the status of its job."""
    return next(
        (run for run in runs if run.outcome not in NEUTRAL and not run.is_retried), None
    )


def host_of(run: Run | None) -> str:
    """Return the host that *run* reported; "" if it did not."""
    if run is None or not run.metadata or len(run.metadata) > MAX_METADATA:
        return ""
    metadata = json.loads(run.metadata)
    hosts = (metadata.get(key) for key in HOSTS)
    return next((host[:100] for host in hosts if isinstance(host, str) and host), "")


def _reason(
    job: Job,
    state: JobState,
    now: float,
    runs: Sequence[Run],
    alert: OpenAlert,
    summaries: Mapping[AlertKey, str],
) -> Reason:
    condition, last = alert.key.condition, judged(runs)
    bare = Reason(
        condition=condition,
        title=TITLES[condition],
        severity=severity_of(job, alert.key.condition, alert.key.rule),
        since=moment(alert.opened_at, now, zone_of(job)),
        host=host_of(last),
    )
    if condition is Condition.VIOLATED:
        return _violation(bare, job, alert.key.rule, runs)
    if condition is Condition.FAILING:
        message, number = (end_of(last.message), last.number) if last else ("", 0)
        words = _failure(job, state, last)
        return replace(bare, words=words, message=message, run=number)
    if condition is Condition.MISSED:
        return replace(bare, words=" ".join(_miss(job, state, now)))
    return replace(bare, words=_sentence(summaries.get(alert.key, "")))


def _violation(bare: Reason, job: Job, rule: str, runs: Sequence[Run]) -> Reason:
    for run in runs:
        for violation in run.violations:
            if violation.rule == rule:
                return replace(
                    bare,
                    broken=(broken_by(job.rules, violation),),
                    message=end_of(run.message),
                    run=run.number,
                    host=host_of(run),
                )
    return replace(bare, words=f"The last evaluated run broke {rule}.")


def _failure(job: Job, state: JobState, run: Run | None) -> str:
    if state.last_outcome is Outcome.OK:
        progress = (
            f"{state.recovering} of the {plural(job.recover_after, 'required ok run')}"
        )
        return f"It is recovering: {progress}."
    return " ".join(_about_failure(state, run))


def _about_failure(state: JobState, run: Run | None) -> Iterator[str]:
    sentence = f"The last run ended with {state.last_outcome}"
    if run is not None and run.exit_code is not None:
        sentence += f", exit code {with_meaning(run.exit_code)}"
    if run is not None and run.duration is not None:
        sentence += f", after {span(run.duration)}"
    yield f"{sentence}."
    if state.consecutive_failures > 1:
        yield f"{plural(state.consecutive_failures, 'run')} in a row were not ok."


def _miss(job: Job, state: JobState, now: float) -> Iterator[str]:
    due = moment(missed_slot(job, state), now, zone_of(job))
    if due is not None and job.schedule is not None:
        grace = f", grace {format_duration(job.grace)}" if job.grace else ""
        schedule = in_words(job.schedule)
        yield f"It was due {due.local or due.utc} ({schedule}{grace})."
    late = moment(state.missed_deadline or 0.0, now, zone_of(job))
    by = f"No run finished by {late.local or late.utc}" if late else "No run finished"
    last = moment(state.last_finish_at, now)
    if last is None:
        never = "no run has finished yet" if state.last_start_at else "it has never run"
        yield f"{by}; {never}."
        return
    yield f"{by}. The last one ended {last.away}: {state.last_outcome}."


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def end_of(text: str) -> str:
    """Return the last lines of a message."""
    text = without_codes(text).strip()
    end = "\n".join(text[-LONGEST:].splitlines()[-LINES:])
    return end if len(end) == len(text) else f"…{end}"
