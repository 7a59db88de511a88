"""Rules about all jobs, or about one job."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.rulegen import annotations as says
from afterrun_exporter.rulegen.alerting import Data, alert, escaped, record
from afterrun_exporter.rulegen.inhibitions import HELD_BACK, any_job_alert
from afterrun_exporter.rulegen.promql import (
    TARGET,
    Matcher,
    Open,
    alerting_detail,
    detail,
    detailed,
    due,
    firing,
    labelled,
    passed,
    selector,
)

#: Without the severity, two series could get the same labels, which is an error.
_WITHOUT_SEVERITY: Final = f"{TARGET}, {names.SEVERITY}"


def generic_rules(*among: Matcher) -> list[Data]:
    """Return the rules about all jobs that match *among*.

    What each condition applies to is recorded: the rules read few series of 100,000 jobs.
    """
    group = _Group(*among, recorded=True)
    return _fill(group, [group.among])


def rules_of(job: Job) -> list[Data]:
    """Return the alerting rules about one job, equivalent to the generic ones.

    They contain the description of the job, its runbook, and each of its rules by name.
    """
    of_job = (names.JOB, "=", job.name)
    group = _Group(of_job)
    violated = [selector(of_job, (names.RULE, "=", one.name)) for one in job.rules]
    thresholds = iter(job.rules)
    rules = []
    for rule in _fill(group, violated, waits=bool(job.depends_on)):
        threshold = ""
        if rule["alert"] == names.JOB_RULE_VIOLATED:
            threshold = next(thresholds).name
        if _applies(rule["alert"], job):
            rules.append(_of_job(job, rule, threshold))
    return rules


class _Group:
    """A group of rules about the jobs that match."""

    def __init__(self, *matchers: Matcher, recorded: bool = False) -> None:
        self.among = selector(*matchers)
        self._matchers = matchers
        self._recorded = recorded
        self._condition_records: list[Data] = []
        self._upstream_records: list[Data] = []
        self._held_back_records: list[Data] = []
        self._alerts: list[Data] = []
        self._unless_held_back = ""

    @property
    def rules(self) -> list[Data]:
        """The rules in order of evaluation.

        An evaluation of 100,000 jobs takes seconds, and each rule reads what was scraped
        by then. What holds back alerts is read before the conditions, and again after
        them: a job that fails, or recovers, together with the one it requires is held
        back although a scrape comes in between.
        """
        return [
            *self._upstream_records,
            *self._condition_records,
            *self._held_back_records,
            *self._alerts,
        ]

    def firing(
        self, gauge: str, condition: Condition, among: str | None = None
    ) -> Open:
        """Return expressions for the jobs whose *gauge* is 1."""
        series = firing(gauge + (self.among if among is None else among))
        return self._read(series, condition, self._condition_records)

    def due(self, instants: str, condition: Condition) -> Open:
        """Return expressions for the jobs whose *instants* have passed."""
        return self._read(
            due(instants + self.among), condition, self._condition_records
        )

    def hold_back(self) -> None:
        """Add what keeps alerts quiet of jobs that wait for another one.

        From here on, alerts of such a job are held back. If one fires already, it would
        resolve: it goes on, and an alert that is not sent inhibits it and all others.
        """
        upstream = firing(names.UPSTREAM_UNHEALTHY + self.among)
        read = self._read(
            upstream, Condition.UPSTREAM_UNHEALTHY, self._upstream_records
        )
        waiting_jobs = read.lasting(_WITHOUT_SEVERITY)
        alerts_of_job = f"on (job, {names.JOB}) ALERTS" + selector(
            *self._matchers,
            ("alertname", "=~", any_job_alert(HELD_BACK)),
            ("alertstate", "=", "firing"),
        )
        if self._recorded:
            before_or_now = _in_brackets(f"{read.now}\nor\n{upstream.now}")
            jobs = f"max without ({_WITHOUT_SEVERITY}{read.extra}) {before_or_now}"
            expr = f"{jobs}\nunless {alerts_of_job}"
            self._held_back_records.append(record(names.HELD_BACK, expr))
            held_back = names.HELD_BACK
        else:
            held_back = _in_brackets(f"{waiting_jobs}\nunless {alerts_of_job}")
        self._unless_held_back = f"\nunless on (job, {names.JOB}) {held_back}"
        self.alert(
            names.JOB_UPSTREAM_UNHEALTHY,
            f"{waiting_jobs}\nand {alerts_of_job}",
            says.UPSTREAM_UNHEALTHY,
            severity=names.NO_SEVERITY,
        )

    def _read(self, series: Open, condition: Condition, records: list[Data]) -> Open:
        if not self._recorded:
            return series
        labels = {names.CONDITION: condition.value}
        records.append(record(names.OPEN, series.recording(condition), **labels))
        return series.recorded(condition)

    def alert(
        self,
        name: str,
        expr: str,
        description: str,
        *,
        severity: str | None = None,
        carries: bool = False,
    ) -> None:
        """Add an alert; *carries* says that *expr* has a label for its text alone."""
        if name in HELD_BACK and self._unless_held_back:
            expr = f"{_in_brackets(expr)}{self._unless_held_back}"
        self._alerts.append(
            alert(
                name,
                expr=expr,
                severity=severity,
                carries=carries,
                description=description,
            )
        )


def _in_brackets(expr: str) -> str:
    return f"(\n{indent(expr, '  ')}\n)"


def _fill(group: _Group, violated: Iterable[str], *, waits: bool = True) -> list[Data]:
    """Add all rules to *group*, and return them.

    There is an alert of violated rules for each selector in *violated*. Without *waits*,
    the jobs require no others. The rules have no `for`, because a failed scrape would
    restart it. Rules that inhibit others come first, as a group is evaluated and sent in
    order.
    """
    if waits:
        group.hold_back()
    overrunning = group.due(names.RUN_DEADLINE, Condition.OVERRUNNING)
    group.alert(
        names.JOB_OVERRUNNING,
        _overrunning(group, passed(overrunning)),
        says.OVERRUNNING,
        carries=True,
    )
    missed = group.due(names.DEADLINE, Condition.MISSED)
    group.alert(names.JOB_MISSED, passed(missed), says.MISSED)
    group.alert(names.JOB_FAILING, _failing(group), says.FAILING, carries=True)
    for among in violated:
        group.alert(
            names.JOB_RULE_VIOLATED,
            _rule_violated(group, among),
            says.RULE_VIOLATED,
            carries=True,
        )
    group.alert(names.JOB_OVERLAPPING, _overlapping(group), says.OVERLAPPING)
    group.alert(names.JOB_SLOW, _slow(group), says.SLOW, carries=True)
    group.alert(
        names.JOB_SUCCESS_RATIO_LOW, _success_ratio_low(group), says.SUCCESS_RATIO_LOW
    )
    # Both have series only while they are 1. The first is only sent to receivers with
    # on_success, by their own routes.
    group.alert(
        names.JOB_SUCCEEDED,
        firing(names.SUCCEEDED + group.among).lasting(_WITHOUT_SEVERITY),
        says.SUCCEEDED,
        severity=names.NO_SEVERITY,
    )
    group.alert(names.TEST, firing(names.TEST_ALERT + group.among).lasting(), says.TEST)
    return group.rules


def first_line(job: Job) -> str:
    """Return the first line of the description of *job*, for its alerts."""
    return job.description.strip().partition("\n")[0]


def _applies(alert: str, job: Job) -> bool:
    """Return True if this alert of *job* can fire with its configuration."""
    configured: dict[str, object] = {
        names.JOB_MISSED: job.schedule,
        names.JOB_OVERLAPPING: job.concurrency,
        names.JOB_SLOW: job.slower_than,
        names.JOB_SUCCESS_RATIO_LOW: job.success_ratio,
        names.JOB_UPSTREAM_UNHEALTHY: job.depends_on,
    }
    return alert not in configured or bool(configured[alert])


def _of_job(job: Job, rule: Data, threshold: str = "") -> Data:
    # The series already have these labels. They are also set here because Prometheus
    # rejects two rules with the same name and labels.
    labels = {**rule.get("labels", {}), names.JOB: escaped(job.name)}
    if threshold:
        labels[names.RULE] = escaped(threshold)
    annotations = dict(rule["annotations"])
    if about := first_line(job):
        annotations["description"] += f" ({escaped(about)})"
    if job.runbook_url:
        annotations["runbook_url"] = escaped(job.runbook_url)
    rest = {key: value for key, value in rule.items() if key != "annotations"}
    return {**rest, "labels": labels, "annotations": annotations}


def _failing(group: _Group) -> str:
    runs = alerting_detail(Condition.FAILING, names.DETAIL_RUNS, group.among)
    outcome, code, success = (
        detail(Condition.FAILING, name, group.among)
        for name in (
            names.DETAIL_OUTCOME,
            names.DETAIL_EXIT_CODE,
            names.DETAIL_SUCCESS,
        )
    )
    # One label, as Prometheus expands a template for each: the first digit tells the
    # outcome, the four after it the exit code, and ten the last success.
    label = labelled(
        f"1e14 * (1 + {outcome}) + 1e10 * (1000 + {code}) + floor({success})"
    )
    alerting = group.firing(names.FAILING, Condition.FAILING)
    return detailed(alerting, runs, label)


def _rule_violated(group: _Group, among: str) -> str:
    by = (names.RULE,)
    value = alerting_detail(Condition.VIOLATED, names.DETAIL_VALUE, among)
    by_op = (names.RULE, names.OP, names.UNIT)
    # An older exporter, without units, is no reason for a text that is an error.
    has_unit = (names.UNIT, "!=", "")
    bound = detail(Condition.VIOLATED, names.DETAIL_BOUND, among, by_op, has_unit)
    # Two exporters may disagree: a join takes one bound only, the same in each evaluation.
    highest = f"topk by (job, {names.JOB}, {names.RULE}) (1, {bound})"
    bounds = labelled(highest, names.DETAIL_BOUND, by_op)
    parts = (names.CARRIED, " ", names.UNIT, names.OP, names.DETAIL_BOUND)
    joined = ", ".join(f'"{part}"' for part in parts)
    label = f"label_join({bounds}, {joined})"
    alerting = group.firing(names.RULE_VIOLATED, Condition.VIOLATED, among)
    return detailed(alerting, value, label, by)


def _overrunning(group: _Group, overrunning: str) -> str:
    silent = labelled(detail(Condition.OVERRUNNING, names.DETAIL_SILENT, group.among))
    return f"""{_in_brackets(overrunning)}
* on (job, {names.JOB}) group_left ({names.CARRIED})
{silent}
or ignoring ({names.CARRIED})
{overrunning}"""


def _overlapping(group: _Group) -> str:
    runs = alerting_detail(Condition.OVERLAPPING, names.DETAIL_RUNS, group.among)
    alerting = group.firing(names.OVERLAPPING, Condition.OVERLAPPING)
    return detailed(alerting, runs)


def _slow(group: _Group) -> str:
    took = alerting_detail(Condition.SLOW, names.DETAIL_VALUE, group.among)
    parts = (names.DETAIL_USUAL, names.DETAIL_LIMIT)
    usual, limit = (
        labelled(detail(Condition.SLOW, part, group.among), part) for part in parts
    )
    both = f"{usual} * on (job, {names.JOB}) group_left ({names.DETAIL_LIMIT}) {limit}"
    joined = ", ".join(f'"{part}"' for part in (names.CARRIED, " ", *parts))
    alerting = group.firing(names.SLOW, Condition.SLOW)
    return detailed(alerting, took, f"label_join({both}, {joined})")


def _success_ratio_low(group: _Group) -> str:
    ratio = alerting_detail(
        Condition.SUCCESS_RATIO_LOW, names.DETAIL_VALUE, group.among
    )
    alerting = group.firing(names.SUCCESS_RATIO_LOW, Condition.SUCCESS_RATIO_LOW)
    return detailed(alerting, ratio)
