"""Alerts that a job can have: when each opens, and how severe it is."""

from __future__ import annotations

from collections.abc import Iterator

from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.core.units import format_duration, format_number


def alert_settings(job: Job) -> Iterator[tuple[Condition, str, str]]:
    """Yield each alert that *job* can have: its condition, when it opens, its severity."""
    for condition, when, severity in _alerts(job):
        yield condition, when, severity or severity_of(job, condition)


def _alerts(job: Job) -> Iterator[tuple[Condition, str, str]]:
    if job.schedule is not None:
        grace = format_duration(job.grace)
        when = f"no run has finished {grace} after its slot"
        yield Condition.MISSED, when, ""
    runs = "a run ends"
    if job.after_failures > 1:
        runs = f"{plural(job.after_failures, 'run')} in a row end"
    when = f"{runs} with fail, partial, timeout or invalid"
    if job.recover_after > 1:
        when += f"; it resolves after {plural(job.recover_after, 'ok run')} in a row"
    yield Condition.FAILING, when, ""
    yield from _of_rules(job)
    if job.max_runtime is not None:
        when = f"a run takes longer than {format_duration(job.max_runtime)}"
        yield Condition.OVERRUNNING, when, ""
    elif job.heartbeat is not None:
        when = f"a run sends no sign of life for {format_duration(job.heartbeat)}"
        yield Condition.OVERRUNNING, when, ""
    if (slower := job.slower_than) is not None:
        factor, over = format_number(slower.factor), format_duration(slower.over)
        when = f"a run takes longer than {factor} times the {slower.than} of the last {over}"
        yield Condition.SLOW, when, ""
    if (limit := job.concurrency) is not None:
        each = f" for one {limit.by}" if limit.by else ""
        when = f"more than {plural(limit.max, 'run is', 'runs are')} open{each}"
        yield Condition.OVERLAPPING, when, ""
    if (ratio := job.success_ratio) is not None:
        share = format_number(round(ratio.below * 100, 6))
        over = format_duration(ratio.over)
        when = f"less than {share}% of the runs of the last {over} are ok"
        yield Condition.SUCCESS_RATIO_LOW, when, ""


def _of_rules(job: Job) -> Iterator[tuple[Condition, str, str]]:
    for severity in dict.fromkeys(
        severity_of(job, Condition.VIOLATED, rule.name) for rule in job.rules
    ):
        names = [
            rule.name
            for rule in job.rules
            if (severity_of(job, Condition.VIOLATED, rule.name)) == severity
        ]
        rules = "the rule" if len(names) == 1 else "one of the rules"
        yield Condition.VIOLATED, f"a run breaks {rules} {', '.join(names)}", severity
