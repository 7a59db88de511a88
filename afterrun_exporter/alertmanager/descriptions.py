"""Descriptions of open alerts, in the words of the alerting rules.

They are those of `rulegen.annotations`, which Prometheus expands: an alert that both
post keeps its text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from afterrun_exporter.core import alert_values
from afterrun_exporter.core.model import Condition, Job, Settings
from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.run_limits import run_deadline
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.core.text_fields import reported_host
from afterrun_exporter.core.units import format_measured
from afterrun_exporter.rulegen.annotations import ENDED
from afterrun_exporter.rulegen.jobs import first_line

#: A rule whose name has its bound.
_NAMES_BOUND: Final = re.compile(r"[<>=]|between")


def current_annotations(
    job: Job, state: JobState, notice: AlertNotification, settings: Settings
) -> dict[str, str]:
    """Return annotations of *notice* as in the alerting rules, and those of the run.

    The text of an alert that is not open any more stays the one it was opened with.
    """
    result: dict[str, str] = {}
    if text := description(job, state, notice.key, settings):
        result = {"description": text, **run_annotations(state, notice.key)}
    about = first_line(job)
    if job.dedicated and about:
        text = text or f"{job.name}: {notice.summary}."
        result["description"] = f"{text} ({about})"
    elif about:
        result["job_description"] = about
    if job.dedicated and job.runbook_url:
        result["runbook_url"] = job.runbook_url
    return result


def description(job: Job, state: JobState, key: AlertKey, settings: Settings) -> str:
    """Return the text of the open alert *key*, or "" if it is not open."""
    alert = next((alert for alert in state.alerts if alert.key == key), None)
    if alert is None:
        return ""
    if key.condition is Condition.OVERRUNNING:
        return _overrunning(job, state, run_deadline(job, state, settings))
    return _SENTENCES[key.condition](job, state, alert)


def _time(instant: float) -> str:
    moment = datetime.fromtimestamp(math.floor(instant), UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _missed(job: Job, state: JobState, alert: OpenAlert) -> str:
    by = _time(state.missed_deadline or alert.deadline or alert.opened_at)
    return f"{job.name}: no run finished by {by}."


def _overrunning(job: Job, state: JobState, by: float) -> str:
    what = "still running, should have finished"
    if alert_values.is_silent(job, state):
        what = "still open, no sign of life"
    return f"{job.name}: {what} by {_time(by)}."


def _failing(job: Job, state: JobState, _: OpenAlert) -> str:
    if state.last_outcome is None:
        return f"{job.name}: the last run was not ok."
    series = ""
    if state.consecutive_failures > 1:
        runs = plural(state.consecutive_failures, "run")
        series = f"{runs} in a row were not ok, the last one "
    result = ENDED.get(state.last_outcome, "was not ok")
    code = alert_values.exit_code(state)
    exit_status = "" if code is None else f" with exit code {code}"
    last_ok = "no ok run so far"
    if state.last_success_at >= 1:
        last_ok = f"last ok run at {_time(state.last_success_at)}"
    return f"{job.name}: {series}{result}{exit_status}; {last_ok}."


def _violated(job: Job, state: JobState, alert: OpenAlert) -> str:
    name = alert.key.rule
    rule = next((rule for rule in job.rules if rule.name == name), None)
    if rule is None:
        return ""
    values = alert_values.broken(rule, state)
    if values is None:
        return f"{job.name}: {rule.metric} broke the rule {name}."
    actual = "was not reported"
    if not math.isnan(values.value):
        actual = f"was {format_measured(values.value, rule.unit)}"
    threshold = float(f"{values.threshold:.10g}")
    expected = f"{values.op} {format_measured(threshold, rule.unit)}"
    unnamed = "previous" in name or not _NAMES_BOUND.search(name)
    which = f" (rule {name})" if unnamed else ""
    return f"{job.name}: {rule.metric} {actual}, expected {expected}{which}."


def _slow(job: Job, state: JobState, _: OpenAlert) -> str:
    values = alert_values.slow(job, state)
    if values is None:
        return f"{job.name}: took unusually long."
    took, usual, limit = (format_measured(value, "s") for value in values)
    return f"{job.name}: took {took}, usually {usual} (limit {limit})."


def _success_ratio_low(job: Job, state: JobState, _: OpenAlert) -> str:
    ratio = alert_values.success_ratio(state)
    share = "too few"
    if ratio is not None and ratio < 1:
        share = f"only {format_measured(ratio, '%')}"
    return f"{job.name}: {share} of its recent runs were ok."


def _overlapping(job: Job, state: JobState, _: OpenAlert) -> str:
    running = alert_values.overlapping(state)
    if running is None:
        return f"{job.name}: more runs are open than allowed."
    return f"{job.name}: {plural(running, 'run')} are open at once."


def _upstream_unhealthy(job: Job, _: JobState, __: OpenAlert) -> str:
    return (
        f"A job that {job.name} requires is missed, overrunning, failing or violated, or "
        f"was when {job.name} was last due. Its own alerts are suppressed: fix the other "
        "job first."
    )


def _succeeded(job: Job, _: JobState, __: OpenAlert) -> str:
    return f"{job.name}: a run finished ok."


def _test(job: Job, _: JobState, __: OpenAlert) -> str:
    return (
        f"This is a test alert. Nothing is wrong with {job.name}, and the alert ends by "
        "itself."
    )


_SENTENCES: Final[Mapping[Condition, Callable[[Job, JobState, OpenAlert], str]]] = {
    Condition.MISSED: _missed,
    Condition.FAILING: _failing,
    Condition.VIOLATED: _violated,
    Condition.SLOW: _slow,
    Condition.SUCCESS_RATIO_LOW: _success_ratio_low,
    Condition.OVERLAPPING: _overlapping,
    Condition.UPSTREAM_UNHEALTHY: _upstream_unhealthy,
    Condition.SUCCEEDED: _succeeded,
    Condition.TEST: _test,
}


def run_annotations(state: JobState, key: AlertKey) -> dict[str, str]:
    """Return annotations about the run that the open alert *key* is about.

    Series have no such values, so alerts of Prometheus lack them.
    """
    if key.condition is Condition.OVERRUNNING:
        run = min(state.open_runs, key=lambda run: run.started_at, default=None)
        if run is None:
            return {}
        return _present(run_id=run.run_id, host=reported_host(run.metadata))
    bad = state.bad_run
    if bad is None or key.condition not in _ABOUT_RUNS:
        return {}
    return _present(
        outcome=bad.outcome.value,
        exit_code=None if bad.exit_code is None else str(bad.exit_code),
        run_id=bad.run_id,
        host=bad.host,
        message=bad.message,
    )


#: Conditions of the last judged run.
_ABOUT_RUNS: Final = {Condition.FAILING, Condition.VIOLATED, Condition.SLOW}


def _present(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
