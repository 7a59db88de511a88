"""Alerting rules about all jobs, or about one job."""

from __future__ import annotations

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.rulegen import annotations as says
from afterrun_exporter.rulegen.alerting import Data, alert
from afterrun_exporter.rulegen.promql import (
    TARGET,
    detail,
    detailed,
    firing,
    labelled,
    passed,
    selector,
)


def job_rules(among: str = "") -> list[Data]:
    """Return the rules about jobs, with their severity and declared labels.

    *among* selects the jobs. The rules have no `for`, because a failed scrape would
    restart it. Rules that inhibit others come first, as a group is evaluated and sent in
    order.
    """
    return [
        alert(
            names.JOB_UPSTREAM_UNHEALTHY,
            expr=firing(
                names.UPSTREAM_UNHEALTHY + among,
                # Without it, two series could get the same labels, which is an error.
                without=f"{TARGET}, {names.SEVERITY}",
            ),
            # Not sent: it only inhibits other alerts of the job.
            severity=names.NO_SEVERITY,
            description=says.UPSTREAM_UNHEALTHY,
        ),
        alert(
            names.JOB_OVERRUNNING,
            expr=passed(names.RUN_DEADLINE + among),
            description=says.OVERRUNNING,
        ),
        alert(
            names.JOB_MISSED,
            expr=passed(names.DEADLINE + among),
            description=says.MISSED,
        ),
        alert(
            names.JOB_FAILING,
            expr=_failing(among),
            carried=(names.CARRIED,),
            description=says.FAILING,
        ),
        alert(
            names.JOB_RULE_VIOLATED,
            expr=_rule_violated(among),
            carried=(names.CARRIED,),
            description=says.RULE_VIOLATED,
        ),
        alert(
            names.JOB_OVERLAPPING,
            expr=_overlapping(among),
            description=says.OVERLAPPING,
        ),
        alert(
            names.JOB_SLOW,
            expr=_slow(among),
            carried=(names.CARRIED,),
            description=says.SLOW,
        ),
        alert(
            names.JOB_SUCCESS_RATIO_LOW,
            expr=_success_ratio_low(among),
            description=says.SUCCESS_RATIO_LOW,
        ),
        alert(
            names.JOB_SUCCEEDED,
            expr=firing(names.SUCCEEDED + among, without=f"{TARGET}, {names.SEVERITY}"),
            # Only sent to receivers with on_success, by their own routes.
            severity=names.NO_SEVERITY,
            description=says.SUCCEEDED,
        ),
        alert(
            names.TEST,
            expr=firing(names.TEST_ALERT + among),
            description=says.TEST,
        ),
    ]


def rules_of(job: Job) -> list[Data]:
    """Return the rules about one job, equivalent to the generic ones.

    They contain the description of the job, its runbook, and each of its rules by name.
    """
    rules = []
    for rule in job_rules(selector((names.JOB, "=", job.name))):
        if rule["alert"] == names.JOB_RULE_VIOLATED:
            rules += [_of_job(job, _violated(job, one), one.name) for one in job.rules]
        elif _applies(rule["alert"], job):
            rules.append(_of_job(job, rule))
    return rules


def first_line(job: Job) -> str:
    """Return the first line of the description of *job*, for its alerts."""
    return job.description.strip().partition("\n")[0]


def _violated(job: Job, rule: Rule) -> Data:
    among = selector((names.JOB, "=", job.name), (names.RULE, "=", rule.name))
    (rule_data,) = (
        one for one in job_rules(among) if one["alert"] == names.JOB_RULE_VIOLATED
    )
    return rule_data


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
    labels = {**rule.get("labels", {}), names.JOB: _plain(job.name)}
    if threshold:
        labels[names.RULE] = _plain(threshold)
    annotations = dict(rule["annotations"])
    if about := first_line(job):
        annotations["description"] += f" ({_plain(about)})"
    if job.runbook_url:
        annotations["runbook_url"] = _plain(job.runbook_url)
    rest = {key: value for key, value in rule.items() if key != "annotations"}
    return {**rest, "labels": labels, "annotations": annotations}


def _plain(text: str) -> str:
    """Return *text* escaped for Prometheus' templates."""
    return text.replace("{{", '{{ "{{" }}')


def _failing(among: str) -> str:
    runs, outcome, success = (
        detail(Condition.FAILING, name, among)
        for name in (names.DETAIL_RUNS, names.DETAIL_OUTCOME, names.DETAIL_SUCCESS)
    )
    # One label, as Prometheus expands a template for each: the first digit tells the
    # outcome, and the ten after it the last success.
    label = labelled(f"1e10 * (1 + {outcome}) + floor({success})")
    return detailed(names.FAILING + among, runs, label)


def _rule_violated(among: str) -> str:
    by = (names.RULE,)
    value = detail(Condition.VIOLATED, names.DETAIL_VALUE, among, by)
    by_op = (names.RULE, names.OP)
    bound = detail(Condition.VIOLATED, names.DETAIL_BOUND, among, by_op)
    bounds = labelled(bound, names.DETAIL_BOUND, by_op)
    joined = f'"{names.CARRIED}", " ", "{names.OP}", "{names.DETAIL_BOUND}"'
    # Two exporters may disagree: a join takes one bound only.
    label = (
        f"topk by (job, {names.JOB}, {names.RULE}) (1, label_join({bounds}, {joined}))"
    )
    return detailed(names.RULE_VIOLATED + among, value, label, by)


def _overlapping(among: str) -> str:
    runs = detail(Condition.OVERLAPPING, names.DETAIL_RUNS, among)
    return detailed(names.OVERLAPPING + among, runs)


def _slow(among: str) -> str:
    took, limit = (
        detail(Condition.SLOW, name, among)
        for name in (names.DETAIL_VALUE, names.DETAIL_LIMIT)
    )
    return detailed(names.SLOW + among, took, labelled(limit))


def _success_ratio_low(among: str) -> str:
    ratio = detail(Condition.SUCCESS_RATIO_LOW, names.DETAIL_VALUE, among)
    return detailed(names.SUCCESS_RATIO_LOW + among, ratio)
