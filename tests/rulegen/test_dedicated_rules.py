"""Alerting rules of a job's own: right for one job, out of the way of all others."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.alertmanager.alerts import holding
from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import SCRAPE_LABELS
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.rulegen import prometheus, render, rule_tests

from .conftest import Run

pytestmark = pytest.mark.thorough

Data = dict[str, Any]

#: All that PromQL, RE2, Go's templates or YAML could take for something else.
RICH = r"""
labels: [team, tier]
jobs:
  a.b:c-1:
    description: |
      It's 100% {{ odd }} "quoted" $labels.x {{- . -}} \n {{{x}}}: no
      This line is not told.
    schedule: "0 2 * * *"
    max_runtime: 1h
    severity: critical
    labels: {team: 'a "b" \ {{c}} é', tier: "yes"}
    runbook_url: https://wiki.example/{{x}}?a=b#c
    alerting: dedicated
    concurrency: {max: 2, by: tenant_id}
    depends_on: [generic]
    alerts:
      success_ratio: {below: 80%, over: 7d}
      slower_than: {factor: 2, over: 7d}
    rules:
      - rows > 0
      - a:b.c-d between 1 and 2KiB
      - duration < 5m
      - rows >= 0.5 * previous
      - {expr: rows != 5, severity: info}
      - {expr: rows > 1, name: 'say "hi" \ {{ $x }} {y} ü ☃ 𝄞', severity: page}
      - {expr: rows > 2, name: "1:30"}
      - {expr: rows > 3, name: "~"}
      - {expr: rows > 4, name: " ${1} %s%q "}
      - {expr: rows > 5, name: "{{"}
      - {expr: rows > 6, name: "{{{"}
      - {expr: rows > 7, name: "}}"}
      - {expr: rows > 8, name: "# `no`"}
      - {expr: rows > 9, name: previous}
      - 'backup_status{a="{{ $x }}",profile="photos \\ \"x\" \n"} >= 1'
      - '"it''s {{ odd }} \"quoted\" \\ \ufffd $labels.x ☃ %q" > 0'
      - 'message !contains "WARN: {{ x }} \n \ufffd \\ ☃"'
      - '"two words" == "done"'
  any-job-1: {alerting: dedicated, description: "  ", enabled: false}
  aXb:c-1: {alerting: dedicated, rules: [rows > 0], labels: {team: web}}
  generic: {every: 1h, rules: [rows > 0]}
"""

#: Two jobs that are alike.
TWO = """
defaults: {severity: critical}
policies: [{match: {name: .}, alerting: dedicated, every: 1h, rules: [rows > 0, rows > 1]}]
jobs: {a: , b: }
"""

#: The keys of afterrun.yml that alerts depend on, each with its alert.
GIVING = {
    "every: 1h": names.JOB_MISSED,
    "concurrency: {max: 1}": names.JOB_OVERLAPPING,
    "alerts: {slower_than: {factor: 2, over: 7d}}": names.JOB_SLOW,
    "alerts: {success_ratio: {below: 80%, over: 7d}}": names.JOB_SUCCESS_RATIO_LOW,
    "depends_on: [b]": names.JOB_UPSTREAM_UNHEALTHY,
    "rules: [rows > 0]": names.JOB_RULE_VIOLATED,
}
#: What the generated tests call a job with the generic rules, next to RICH.
ANY_JOB = (names.JOB, "any-job-2")
#: A run may announce its own heartbeat.
ALWAYS = [
    names.JOB_FAILING,
    names.JOB_OVERRUNNING,
    names.JOB_SUCCEEDED,
    names.TEST,
]


def _jobs(text: str) -> list[Job]:
    return list(parse(text).jobs.values())


def _one(*keys: str) -> Job:
    """Return a job with alerting rules of its own and these keys."""
    first, _ = _jobs(
        f"jobs: {{a: {{{', '.join(('alerting: dedicated', *keys))}}}, b: }}"
    )
    return first


def _generic(file: Data) -> list[Data]:
    """Return the alerting rules in *file* that are about every other job."""
    groups = {group["name"]: group["rules"] for group in file["groups"]}
    return [rule for rule in groups["afterrun-jobs"] if "alert" in rule]


def _own(file: Data, job: str) -> list[Data]:
    """Return the alerting rules in *file* that are about *job* alone."""
    groups = {group["name"]: group["rules"] for group in file["groups"]}
    rules: list[Data] = groups.get(f"afterrun-job-{job}", [])
    return rules


def _tested(
    run: Run, directory: Path, rules: Data, tests: Data
) -> CompletedProcess[str]:
    (directory / "rules.yml").write_text(render.to_yaml(rules))
    (directory / "tests.yml").write_text(render.to_yaml(tests))
    return run("promtool", "test", "rules", directory / "tests.yml")


def test_promtool_accepts_the_rules_without_a_lint(run: Run, tmp_path: Path) -> None:
    """Whatever people call their jobs and rules."""
    path = tmp_path / "rules.yml"
    path.write_text(render.to_yaml(prometheus.rules_file(_jobs(RICH), "abc")))

    result = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_generated_tests_pass(run: Run, tmp_path: Path) -> None:
    """Each job fires exactly one alert of each kind, in the words that were meant."""
    jobs, urls = _jobs(RICH), ("https://daemon.example", "https://alerts.example")
    tests = rule_tests.tests_file(jobs, ("team", "tier"), "rules.yml", *urls)
    rules = prometheus.rules_file(jobs, "", *urls)

    result = _tested(run, tmp_path, rules, tests)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_generated_tests_try_every_alert_of_every_job() -> None:
    """Those of the generic rules with a job of no other name."""
    jobs = _jobs(RICH)
    file = prometheus.rules_file(jobs)
    cases = rule_tests.tests_file(jobs, (), "rules.yml", "", "")["tests"]

    tried = {
        (alert["exp_labels"][names.JOB], check["alertname"])
        for case in cases
        for check in case["alert_rule_test"]
        for alert in check["exp_alerts"]
    }

    wanted = {
        (job.name, rule["alert"]) for job in jobs for rule in _own(file, job.name)
    }
    generic = {rule["alert"] for rule in _generic(file)}
    assert tried == wanted | {(ANY_JOB[1], alert) for alert in generic}


def test_the_alerts_have_the_labels_that_the_daemon_posts_them_with() -> None:
    """Alertmanager sees one alert then, and not two."""
    jobs = [*_jobs(RICH), _one()]
    cases = rule_tests.tests_file(jobs, (), "rules.yml", "", "")["tests"]

    fired = {
        frozenset({**alert["exp_labels"], "alertname": check["alertname"]}.items())
        for case in cases
        for check in case["alert_rule_test"]
        for alert in check["exp_alerts"]
    }
    posted = {
        frozenset(json.loads(notice.labels).items())
        for job in jobs
        for notice in holding(job, _all_open(job), SCRAPE_LABELS)
    }

    unmarked = {
        frozenset(pair for pair in labels if pair[0] != "series_1") for labels in fired
    }
    told_of = {frozenset(labels) for labels in unmarked if ANY_JOB not in labels}
    assert len(told_of) == sum(
        len(_own(prometheus.rules_file(jobs), job.name)) for job in jobs
    )
    assert told_of <= posted


def _all_open(job: Job) -> JobState:
    """Return a state in which everything is wrong with *job*."""
    keys = [AlertKey(condition, "") for condition in Condition]
    keys += [AlertKey(Condition.VIOLATED, rule.name) for rule in job.rules]
    alerts = (OpenAlert(key=key, opened_at=0.0, shown_at=0.0) for key in keys)
    return JobState(created_at=0.0, due_after=0.0, alerts=tuple(alerts))


def _loosened(rules: list[Data]) -> None:
    rules[2]["expr"] = rules[2]["expr"].replace("== 1", ">= 0")


def _tightened(rules: list[Data]) -> None:
    rules[2]["expr"] = rules[2]["expr"].replace("== 1", "> 1")


def _turned(rules: list[Data]) -> None:
    rules[1]["expr"] = rules[1]["expr"].replace("<", ">")


def _about_another_job(rules: list[Data]) -> None:
    rules[2]["expr"] = rules[2]["expr"].replace('"a"', '"b"')


def _about_another_rule(rules: list[Data]) -> None:
    rules[3]["expr"] = rules[3]["expr"].replace('"rows > 0"', '"rows > 1"')


def _forgetful(rules: list[Data]) -> None:
    rules[2]["expr"] = "max without (instance, pod) (afterrun_job_failing) == 1"


def _slow_to_fire(rules: list[Data]) -> None:
    rules[2]["for"] = "2m"


def _of_another_severity(rules: list[Data]) -> None:
    rules[2]["labels"][names.SEVERITY] = "info"


def _in_other_words(rules: list[Data]) -> None:
    rules[2]["annotations"]["description"] += "!"


def _gone(rules: list[Data]) -> None:
    del rules[2]


def _there_twice(rules: list[Data]) -> None:
    again = copy.deepcopy(rules[2])
    again["labels"]["again"] = "yes"
    rules.append(again)


MUTATIONS = (
    _loosened,
    _tightened,
    _turned,
    _about_another_job,
    _about_another_rule,
    _forgetful,
    _slow_to_fire,
    _of_another_severity,
    _in_other_words,
    _gone,
    _there_twice,
)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_the_generated_tests_fail_when_a_rule_is_wrong(
    run: Run, tmp_path: Path, mutate: Callable[[list[Data]], None]
) -> None:
    """Otherwise they would prove nothing."""
    jobs = _jobs(TWO)
    file = copy.deepcopy(prometheus.rules_file(jobs))
    before = copy.deepcopy(file)
    tests = rule_tests.tests_file(jobs, (), "rules.yml", "", "")
    assert [rule["alert"] for rule in _own(file, "a")] == [
        names.JOB_OVERRUNNING,
        names.JOB_MISSED,
        names.JOB_FAILING,
        names.JOB_RULE_VIOLATED,
        names.JOB_RULE_VIOLATED,
        names.JOB_SUCCEEDED,
        names.TEST,
    ]

    mutate(_own(file, "a"))

    assert file != before
    assert _tested(run, tmp_path, file, tests).returncode == 1


def test_they_fail_when_the_generic_rules_keep_the_job(
    run: Run, tmp_path: Path
) -> None:
    """Then there would be two alerts."""
    job = _one("rules: [rows > 0]")
    file = prometheus.rules_file([job])
    file["groups"][1] = prometheus.rules_file()["groups"][1]

    tests = rule_tests.tests_file([job], (), "rules.yml", "", "")

    assert _tested(run, tmp_path, file, tests).returncode == 1


def test_a_job_with_a_similar_name_stays_with_the_generic_rules(
    run: Run, tmp_path: Path
) -> None:
    """A dot is a dot, and a name is the whole name."""
    jobs = _jobs("jobs: {a.b: {alerting: dedicated}}")
    similar = ["a-b", "a.bc", "aa.b", "a.b.c", "A.b"]
    told = 'job="afterrun",instance="a:10707",severity="warning"'
    case = {
        "interval": "1m",
        "input_series": [
            {
                "series": f'{names.FAILING}{{{told},job_name="{job}"}}',
                "values": "1x5",
            }
            for job in ("a.b", *similar)
        ],
        "promql_expr_test": [
            {
                "eval_time": "5m",
                "expr": 'count by (job_name) (ALERTS{alertname="AfterRunJobFailing"})',
                "exp_samples": [
                    {"labels": f'{{job_name="{job}"}}', "value": 1}
                    for job in ("a.b", *similar)
                ],
            }
        ],
    }
    tests = {"rule_files": ["rules.yml"], "tests": [case]}

    result = _tested(run, tmp_path, prometheus.rules_file(jobs), tests)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "keys",
    [(), *((key,) for key in GIVING), ("every: 1h", "concurrency: {max: 1}")],
)
def test_a_job_has_the_rules_that_can_fire(keys: Iterable[str]) -> None:
    """What its configuration does not ask for is not there to be looked at."""
    file = prometheus.rules_file([_one(*keys)])

    found = [rule["alert"] for rule in _own(file, "a")]

    assert sorted(found) == sorted([*ALWAYS, *(GIVING[key] for key in keys)])


def test_a_job_that_only_waits_for_the_end_of_another_is_held_back_too() -> None:
    """While that one has not ended when it should have."""
    job = _one("depends_on: [{job: b, requires_success: false}]")

    found = [rule["alert"] for rule in _own(prometheus.rules_file([job]), "a")]

    assert names.JOB_UPSTREAM_UNHEALTHY in found


def test_a_job_tells_of_itself() -> None:
    """The first line of its description, and where its own runbook is."""
    job = _one("description: '  Copy.\n\nMore.'", "runbook_url: https://wiki.example/a")

    generic = _generic(prometheus.rules_file())
    by_name = {rule["alert"]: rule["annotations"] for rule in generic}

    for rule in _own(prometheus.rules_file([job]), "a"):
        plain = by_name[rule["alert"]]
        assert rule["annotations"] == {
            "summary": plain["summary"],
            "description": f"{plain['description']} (Copy.)",
            "runbook_url": "https://wiki.example/a",
        }


def test_a_description_of_nothing_is_not_told() -> None:
    """And there is no pair of brackets around it."""
    blank, without = _one("description: ' '"), _one()

    assert prometheus.rules_file([blank]) == prometheus.rules_file([without])
    assert rule_tests.tests_file([blank], (), "", "", "") == rule_tests.tests_file(
        [without], (), "", "", ""
    )


def test_without_such_a_job_the_rules_are_the_same_for_everyone() -> None:
    """Byte by byte, but for the hash."""
    jobs = _jobs("jobs: {a: {every: 1h, rules: [rows > 0]}, b: {depends_on: [a]}}")

    ours = render.to_yaml(prometheus.rules_file(jobs, "0123456789ab"))

    generic = render.to_yaml(prometheus.rules_file())
    assert ours == generic.replace('hash!~"|"', 'hash!~"|0123456789ab"')


def test_the_same_jobs_give_the_same_bytes_in_whatever_order() -> None:
    """Files under version control change when something has changed."""
    jobs = _jobs(RICH)
    shuffled = list(jobs)
    random.Random(7).shuffle(shuffled)  # noqa: S311
    assert shuffled != jobs

    def text(jobs: list[Job]) -> str:
        rules = prometheus.rules_file(jobs, "abc")
        tests = rule_tests.tests_file(jobs, ("team", "tier"), "rules.yml", "", "")
        return render.to_yaml(rules) + render.to_yaml(tests)

    assert text(shuffled) == text(jobs)


def test_the_file_says_what_the_data_says() -> None:
    """No quoting or line folding changes an expression, a label or a sentence."""
    data = prometheus.rules_file(_jobs(RICH))

    assert yaml.safe_load(render.to_yaml(data)) == data
