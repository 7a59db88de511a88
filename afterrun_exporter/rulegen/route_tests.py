"""Generation of tests for the routes of alertmanager.yml, for amtool.

Expectations come from the configuration, evaluated route by route for each alert, and not
from the tree that `routes` generates.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import ROUTED, Condition, Job
from afterrun_exporter.core.patterns import compiled
from afterrun_exporter.core.routing import DISCARD, Alertmanager, JobReceiver, Match
from afterrun_exporter.core.severities import severity_of
from afterrun_exporter.rulegen.render import HEADER

_HOW: Final = """\
# Receivers of alerts, for each kind of job that routes can tell apart and for each job
# with receivers of its own. A line has the arguments of amtool:
#   grep -v '^#' {file} | xargs -L1 amtool config routes test --config.file={config}
# prints the receivers of each line and exits with 123 if one differs.
"""

_PLAIN: Final = re.compile(r"[A-Za-z0-9._:/-]+")

#: Jobs of one kind that are tested: each test is a process of amtool.
OF_EACH_KIND: Final = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert with the facts that determine its receivers."""

    name: str
    severity: str
    #: None for alerts of the exporter itself.
    job: Job | None = None
    #: None for alerts that are not about a condition of a job.
    condition: Condition | None = None
    #: True if a run of a failing job timed out.
    timed_out: bool = False

    @property
    def job_name(self) -> str:
        return "" if self.job is None else self.job.name


def text(
    jobs: Mapping[str, Job],
    alertmanager: Alertmanager,
    receivers: Sequence[JobReceiver],
    config: str,
) -> str:
    """Return the tests of alertmanager.yml at *config*, one per line."""
    file = config.rpartition("/")[0] + "/routes.test"
    by_job: dict[str, list[JobReceiver]] = defaultdict(list)
    for receiver in sorted(receivers, key=lambda receiver: receiver.id):
        by_job[receiver.job].append(receiver)
    lines = (
        shlex.join(arguments(alert, alertmanager, by_job.get(alert.job_name, [])))
        for alert in _alerts(jobs.values(), alertmanager, by_job)
    )
    how = _HOW.format(file=file, config=config)
    return HEADER + how + "".join(f"{line}\n" for line in lines)


def arguments(
    alert: Alert, alertmanager: Alertmanager, receivers: Sequence[JobReceiver]
) -> list[str]:
    """Return the arguments of `amtool config routes test` for *alert*.

    *receivers* are those added over the API for its job.
    """
    names_ = ",".join(recipients(alert, alertmanager, receivers))
    labels = _labels(alert, alertmanager)
    return [
        f"--verify.receivers={names_}",
        *(f"{key}={_quoted(value)}" for key, value in labels.items()),
    ]


def recipients(
    alert: Alert, alertmanager: Alertmanager, receivers: Sequence[JobReceiver]
) -> list[str]:
    """Return the names of the receivers of *alert*, in order.

    *receivers* are those added over the API for its job.
    """
    if alert.condition is Condition.SUCCEEDED:
        own = [one.success_name for one in receivers if one.on_success]
        return [*own, *_routed(alert, alertmanager)]
    own = [
        one.name
        for one in receivers
        if alert.condition in one.conditions or (alert.timed_out and one.timeouts_alone)
    ]
    return [*own, *_routed(alert, alertmanager)]


def _routed(alert: Alert, alertmanager: Alertmanager) -> list[str]:
    if alert.name == names.WATCHDOG:
        return [alertmanager.watchdog]
    if alert.severity == names.NO_SEVERITY:
        return [DISCARD]
    receivers: list[str] = []
    for route in alertmanager.routes:
        if _matches(route.match, alert, alertmanager):
            receivers += route.receivers
            if not route.continues:
                break
    return receivers or [alertmanager.receiver]


def _matches(match: Match, alert: Alert, alertmanager: Alertmanager) -> bool:
    if match.severities and alert.severity not in match.severities:
        return False
    if match.conditions and alert.condition not in match.conditions:
        return False
    if match.labels:
        labels = _labels(alert, alertmanager)
        if any(labels.get(key) not in values for key, values in match.labels):
            return False
    if not (match.by_configuration or match.job):
        return True
    return alert.job is not None and match.matches(alert.job)


def _alerts(
    jobs: Iterable[Job], alertmanager: Alertmanager, jobs_with_receivers: Container[str]
) -> Iterator[Alert]:
    """Yield an alert for each case that may have different receivers."""
    yield Alert(names.WATCHDOG, names.NO_SEVERITY)
    yield Alert(names.EXPORTER_DOWN, "critical")
    some = _representatives(alertmanager)
    for job in _samples(jobs, alertmanager, jobs_with_receivers):
        for condition in ROUTED if job.name in jobs_with_receivers else some:
            name = names.ALERT_OF[condition]
            yield Alert(name, severity_of(job, condition), job, condition)
        if job.name in jobs_with_receivers:
            name, condition = names.JOB_FAILING, Condition.FAILING
            severity = severity_of(job, condition)
            yield Alert(name, severity, job, condition, timed_out=True)
            name, condition = names.JOB_SUCCEEDED, Condition.SUCCEEDED
            yield Alert(name, names.NO_SEVERITY, job, condition)
        others = {rule.severity for rule in job.rules} - {None, job.severity}
        for severity in sorted(filter(None, others)):
            name = names.JOB_RULE_VIOLATED
            yield Alert(name, severity, job, Condition.VIOLATED)
        for condition, severity in job.severities:
            yield Alert(names.ALERT_OF[condition], severity, job, condition)
        if job.depends_on:
            name = names.JOB_UPSTREAM_UNHEALTHY
            condition = Condition.UPSTREAM_UNHEALTHY
            yield Alert(name, names.NO_SEVERITY, job, condition)


def _samples(
    jobs: Iterable[Job], alertmanager: Alertmanager, jobs_with_receivers: Container[str]
) -> Iterator[Job]:
    """Yield the jobs in *jobs_with_receivers*, and the first of each kind that routes distinguish."""
    routes = alertmanager.routes
    patterns = [compiled(route.match.job) for route in routes if route.match.job]
    counts: Counter[Hashable] = Counter()
    for job in jobs:
        kind = (
            job.severity,
            frozenset(rule.severity for rule in job.rules),
            job.severities,
            bool(job.depends_on),
            job.labels,
            job.project,
            frozenset(job.tags),
            *(pattern.search(job.name) for pattern in patterns),
        )
        counts[kind] += 1
        if counts[kind] <= OF_EACH_KIND or job.name in jobs_with_receivers:
            yield job


def _representatives(alertmanager: Alertmanager) -> list[Condition]:
    """Return the conditions that routes match explicitly, and one other."""
    named = {condition for r in alertmanager.routes for condition in r.match.conditions}
    others = [condition for condition in ROUTED if condition not in named]
    return [*(one for one in ROUTED if one in named), *others[:1]]


def _labels(alert: Alert, alertmanager: Alertmanager) -> dict[str, str]:
    labels = {"alertname": alert.name, names.SEVERITY: alert.severity}
    if alert.job is not None:
        labels |= {names.JOB: alert.job.name}
        labels |= {key: value for key, value in alert.job.labels if value}
    if alert.timed_out:
        labels[names.TIMED_OUT] = names.TRUE
    return labels | dict(alertmanager.labels)


def _quoted(value: str) -> str:
    """Return *value* quoted for amtool."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
