"""The alerting rules about jobs: for all of them, or for one alone."""

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
    """Return the rules about jobs; severity and declared labels come along.

    *among* selects the jobs. None has a `for`: one scrape that fails would start
    it over. Those that inhibit others come first: a group is evaluated and sent in
    order.
    """
    return [
        alert(
            names.JOB_UPSTREAM_UNHEALTHY,
            expr=firing(
                names.UPSTREAM_UNHEALTHY + among,
                # Two of them would become one label set: nothing works then.
                without=f"{TARGET}, {names.SEVERITY}",
            ),
            # Nobody is told of it: it keeps the job's other alerts quiet.
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
            # Those who want to hear of it have routes of their own.
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
    """Return the rules about one job alone, as the generic ones would have it.

    They say what is known of the job: its description, its own runbook, and each
    of its rules by name.
    """
    found = []
    for rule in job_rules(selector((names.JOB, "=", job.name))):
        if rule["alert"] == names.JOB_RULE_VIOLATED:
            found += [_of_job(job, _violated(job, one), one.name) for one in job.rules]
        elif _applies(rule["alert"], job):
            found.append(_of_job(job, rule))
    return found


def first_line(job: Job) -> str:
    """Return what an alert of *job* alone tells of its description."""
    return job.description.strip().partition("\n")[0]


def _violated(job: Job, rule: Rule) -> Data:
    among = selector((names.JOB, "=", job.name), (names.RULE, "=", rule.name))
    (found,) = (
        one for one in job_rules(among) if one["alert"] == names.JOB_RULE_VIOLATED
    )
    return found


def _applies(alert: str, job: Job) -> bool:
    """Return whether the configuration lets this alert of *job* ever fire."""
    wanted: dict[str, object] = {
        names.JOB_MISSED: job.schedule,
        names.JOB_OVERLAPPING: job.concurrency,
        names.JOB_SLOW: job.slower_than,
        names.JOB_SUCCESS_RATIO_LOW: job.success_ratio,
        names.JOB_UPSTREAM_UNHEALTHY: job.depends_on,
    }
    return alert not in wanted or bool(wanted[alert])


def _of_job(job: Job, rule: Data, threshold: str = "") -> Data:
    # The series have these labels already. Here they tell the rules apart: Prometheus
    # takes two rules with one name and the same labels for a mistake.
    labels = {**rule.get("labels", {}), names.JOB: _plain(job.name)}
    if threshold:
        labels[names.RULE] = _plain(threshold)
    annotations = dict(rule["annotations"])
    if about := first_line(job):
        annotations["description"] += f" ({_plain(about)})"
    if job.runbook_url:
        annotations["runbook_url"] = _plain(job.runbook_url)
    told = {key: value for key, value in rule.items() if key != "annotations"}
    return {**told, "labels": labels, "annotations": annotations}


def _plain(text: str) -> str:
    """Return *text* such that Prometheus's templates leave it as it is."""
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
