"""Generation of promtool tests for the alerting rules about jobs.

For each kind of alert, and for each job with its own alerting rules: quiet, firing,
firing while the exporter restarts, resolved; exactly one alert each time. All cases are
in one test, because promtool evaluates every alerting rule in each test.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.rulegen.alerting import Data
from afterrun_exporter.rulegen.jobs import first_line, generic_rules, rules_of
from afterrun_exporter.rulegen.links import links, silence_link
from afterrun_exporter.rulegen.promql import quoted

#: By minute: ok, firing, the exporter is down, firing, ok.
_GAUGE: Final = "0x4 1x5 stale _x3 1x5 0x5"
_ANSWERS: Final = "1x10 stale _x3 1x10"
_QUIET: Final = ("4m", "21m")
_FIRING: Final = ("5m", "12m", "15m")

#: A deadline that passes after ten minutes, until a run moves it.
_DEADLINE: Final = "600x10 stale _x3 600x5 6000x5"
_DUE_QUIET: Final = ("10m", "21m")
_DUE_FIRING: Final = ("16m", "20m")
_DUE: Final = "1970-01-01 00:10:00 UTC"

# The descriptions without details of the job.
_SAYS: Final = {
    names.JOB_MISSED: f"{{job}}: no run finished by {_DUE}.",
    names.JOB_OVERRUNNING: f"{{job}}: still running, should have finished by {_DUE}.",
    names.JOB_FAILING: "{job}: the last run was not ok.",
    names.JOB_RULE_VIOLATED: "{job}: {metric} broke the rule {rule}.",
    names.JOB_OVERLAPPING: "{job}: more runs are open than allowed.",
    names.JOB_SLOW: "{job}: took unusually long.",
    names.JOB_SUCCESS_RATIO_LOW: "{job}: too few of its recent runs were ok.",
    names.JOB_UPSTREAM_UNHEALTHY: "A job that {job} requires is missed, overrunning, "
    "failing or violated, or was when {job} was last due. Its own alerts are suppressed: fix the "
    "other job first.",
    names.JOB_SUCCEEDED: "{job}: a run finished ok.",
    names.TEST: "This is a test alert. Nothing is wrong with {job}, and the alert "
    "ends by itself.",
}

_METRIC: Final = {
    names.JOB_MISSED: names.DEADLINE,
    names.JOB_OVERRUNNING: names.RUN_DEADLINE,
    names.JOB_FAILING: names.FAILING,
    names.JOB_RULE_VIOLATED: names.RULE_VIOLATED,
    names.JOB_OVERLAPPING: names.OVERLAPPING,
    names.JOB_SLOW: names.SLOW,
    names.JOB_SUCCESS_RATIO_LOW: names.SUCCESS_RATIO_LOW,
    names.JOB_UPSTREAM_UNHEALTHY: names.UPSTREAM_UNHEALTHY,
    names.JOB_SUCCEEDED: names.SUCCEEDED,
    names.TEST: names.TEST_ALERT,
}

#: An example rule of a job.
_ANY: Final = Rule(name="rows > 0", metric="rows", bounds=())


@dataclass(frozen=True, slots=True)
class _Case:
    """A job with one alert and its expected annotations."""

    alert: str
    #: Labels of the series.
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def is_due(self) -> bool:
        return self.alert in {names.JOB_MISSED, names.JOB_OVERRUNNING}

    @property
    def series(self) -> Iterator[Data]:
        yield self._series(self.alert, _DEADLINE if self.is_due else _GAUGE)
        if self.alert == names.JOB_UPSTREAM_UNHEALTHY:
            # An alert for it to inhibit.
            yield self._series(names.JOB_FAILING, _ANSWERS)

    def _series(self, alert: str, values: str) -> Data:
        labels = {**self.labels, "instance": "a:10707"}
        pairs = ",".join(f"{key}={quoted(value)}" for key, value in labels.items())
        return {"series": f"{_METRIC[alert]}{{{pairs}}}", "values": values}

    @property
    def expected(self) -> Data:
        labels = dict(self.labels)
        if self.alert in {names.JOB_UPSTREAM_UNHEALTHY, names.JOB_SUCCEEDED}:
            labels[names.SEVERITY] = names.NO_SEVERITY
        return {"exp_labels": labels, "exp_annotations": self.annotations}


def tests_file(
    jobs: Iterable[Job],
    label_keys: Sequence[str],
    rules_file: str,
    external_url: str,
    alertmanager_url: str,
) -> Data:
    """Return the test file for ``promtool test rules``; *rules_file* is relative to it."""
    dedicated = sorted((job for job in jobs if job.dedicated), key=lambda job: job.name)
    # The name of a job without its own alerting rules.
    name = _free("any-job-", {job.name for job in dedicated})
    plain = Job(name=name, labels=tuple((key, f"some {key}") for key in label_keys))
    urls = (external_url, alertmanager_url)
    # A label that the scrape might add. It proves that an alert is about the series of
    # its own job.
    mark = _free("series_", {*label_keys, *names.RESERVED_LABELS})
    cases = [*_cases(plain, generic_rules(), (_ANY,), mark, urls)]
    for job in dedicated:
        cases += _cases(job, rules_of(job), job.rules, mark, urls)
    # A job whose upstream is unhealthy has no other alert, so that has its own test.
    waiting = [case for case in cases if case.alert == names.JOB_UPSTREAM_UNHEALTHY]
    others = [case for case in cases if case.alert != names.JOB_UPSTREAM_UNHEALTHY]
    up = f'{names.BUILD_INFO}{{job="afterrun",instance="a:10707"}}'
    return {
        "rule_files": [rules_file],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": f"{what}: quiet, firing, exporter restarted, recovered",
                "interval": "1m",
                "input_series": [
                    {"series": up, "values": _ANSWERS},
                    *chain.from_iterable(case.series for case in some),
                ],
                "alert_rule_test": list(_checks(some)),
            }
            for what, some in (("alerts", others), ("upstream", waiting))
            if some
        ],
    }


def _free(name: str, reserved: Container[str]) -> str:
    return next(n for n in (f"{name}{n}" for n in count(1)) if n not in reserved)


def _checks(cases: Iterable[_Case]) -> Iterator[Data]:
    by_alert: dict[str, list[_Case]] = {}
    for case in cases:
        by_alert.setdefault(case.alert, []).append(case)
    for alert, alike in by_alert.items():
        is_due = alike[0].is_due
        quiet, firing = (_DUE_QUIET, _DUE_FIRING) if is_due else (_QUIET, _FIRING)
        expected = [case.expected for case in alike]
        for at in quiet:
            yield {"eval_time": at, "alertname": alert, "exp_alerts": []}
        for at in firing:
            yield {"eval_time": at, "alertname": alert, "exp_alerts": expected}


_CONDITIONS: Final = {alert: Condition(one) for one, alert in names.ALERT_OF.items()}


def _cases(
    job: Job,
    alerting: Iterable[Data],
    rules: Iterable[Rule],
    mark: str,
    urls: tuple[str, str],
) -> Iterator[_Case]:
    thresholds = iter(rules)
    for one in alerting:
        if (alert := one.get("alert")) is None:
            continue
        own, more, suffix = dict(job.severities), {}, ""
        severity = own.get(_CONDITIONS[alert], job.severity)
        if alert == names.JOB_RULE_VIOLATED:
            # One alerting rule for each rule, in the same order.
            threshold = next(thresholds)
            severity = threshold.severity or severity
            more = {names.RULE: threshold.name, names.METRIC: threshold.metric}
        sentence = _SAYS[alert].format(
            job=job.name, **{"rule": "", "metric": "", **more}
        )
        # The text after the sentence is constant.
        if job.dedicated and (about := first_line(job)):
            suffix = f" ({about})"
        labels = {"job": "afterrun", names.JOB: job.name, names.SEVERITY: severity}
        labels |= {key: value for key, value in job.labels if value}
        labels |= {**more, mark: f"{job.name} {more.get(names.RULE, '')}".rstrip()}
        yield _Case(
            alert,
            labels,
            {
                "summary": one["annotations"]["summary"],
                "description": sentence + suffix,
                **links(alert, urls[0], job.name),
                **silence_link(alert, urls[1], job.name, more.get(names.RULE, "")),
                **_runbook(job),
            },
        )


def _runbook(job: Job) -> dict[str, str]:
    return {"runbook_url": job.runbook_url} if job.dedicated and job.runbook_url else {}
