"""The alerting rules: accepted by promtool, tested by it, explained in the runbook."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterrun_exporter import config as configs
from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import prometheus, render, rule_tests

from .conftest import Run

RULES = [rule for group in prometheus.rules_file()["groups"] for rule in group["rules"]]
BY_NAME = {rule["alert"]: rule for rule in RULES if "alert" in rule}
TESTS = sorted((Path(__file__).parent / "promtool").glob("*.test.yml"))
FAMILIES = {value for value in vars(names).values() if isinstance(value, str)}
#: What a job's alert must be tried with; the names of the tests say it.
JOB_CASES = ("never ran", "restarted", "series absent")

# The watchdog alone is never quiet.
ALWAYS_FIRING = {names.WATCHDOG}

every_rule = pytest.mark.parametrize("name", sorted(BY_NAME))


def test_promtool_accepts_the_rules_without_a_lint(run: Run) -> None:
    """Prometheus will load the file, and no two rules are the same."""
    result = run(
        "promtool",
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        "rules/afterrun.rules.yml",
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_what_fires_and_when(run: Run, path: Path) -> None:
    """On made-up series, evaluated by promtool."""
    result = run("promtool", "test", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_generated_tests_are_run_beside_the_rules(run: Run) -> None:
    """As a user would who has generated both."""
    result = run("promtool", "test", "rules", "rules/tests/afterrun.test.yml")

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_checked_in_files_are_the_generated_ones(root: Path) -> None:
    """Nobody edited them, and nobody forgot to generate them."""
    config = configs.load(root / "afterrun.yml")
    jobs = config.jobs.values()

    rules = prometheus.rules_file(jobs, config.hash, config.external_url, "")
    tests = rule_tests.tests_file(
        jobs, config.label_keys, "../afterrun.rules.yml", config.external_url, ""
    )

    assert (root / "rules/afterrun.rules.yml").read_text() == render.to_yaml(rules)
    assert (root / "rules/tests/afterrun.test.yml").read_text() == render.to_yaml(tests)


#: The hashes that rules were generated for, and those of configurations.
HASHES = [
    ("0123456789ab", "0123456789ab", False),
    ("0123456789ab", "ba9876543210", True),
    # A prefix is another one.
    ("0123456789ab", "0123456789abc", True),
    ("0123456789ab", "", False),
    ("", "", False),
    ("", "0123456789ab", True),
]


def test_the_rules_are_outdated_when_made_for_another_configuration(
    run: Run, tmp_path: Path
) -> None:
    """A daemon without a configuration goes by the generic rules, whosever they are."""
    query = f'count(ALERTS{{alertname="{names.RULES_OUTDATED}",alertstate="firing"}})'
    files = []
    for number, (generated_for, loaded, outdated) in enumerate(HASHES):
        groups = [
            {"name": "exporter", "rules": prometheus.exporter_rules(generated_for)}
        ]
        rules = tmp_path / f"rules-{number}.yml"
        rules.write_text(render.to_yaml({"groups": groups}))
        info = f'afterrun_config_info{{job="a",instance="b",hash="{loaded}"}}'
        samples = [{"labels": "{}", "value": 1}] if outdated else []
        case = {
            "interval": "1m",
            "input_series": [{"series": info, "values": "1x20"}],
            "promql_expr_test": [
                {"eval_time": "20m", "expr": query, "exp_samples": samples}
            ],
        }
        files.append(tmp_path / f"tests-{number}.yml")
        tests = {"rule_files": [rules.name], "tests": [case]}
        files[-1].write_text(yaml.safe_dump(tests))

    result = run("promtool", "test", "rules", *files)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_file_says_what_the_data_says() -> None:
    """No quoting or line folding changes an expression or a sentence."""
    data = prometheus.rules_file()

    assert yaml.safe_load(render.to_yaml(data)) == data


@cache
def _expectations() -> dict[str, list[bool]]:
    """Return, for each alert, whether it is expected to fire, test by test."""
    found: dict[str, list[bool]] = {}
    for case in _cases():
        for check in case.get("alert_rule_test", ()):
            firing = bool(check.get("exp_alerts"))
            found.setdefault(check["alertname"], []).append(firing)
    return found


@cache
def _cases() -> list[Any]:
    return [
        case for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]
    ]


def test_every_rule_is_tested_firing_and_quiet() -> None:
    """A rule that was never seen to fire is a hope; one never quiet, a nuisance."""
    found = _expectations()

    assert set(found) == set(BY_NAME)
    assert {name for name, firing in found.items() if not any(firing)} == set()
    assert {name for name, firing in found.items() if all(firing)} == ALWAYS_FIRING


@pytest.mark.parametrize(
    "alert",
    [
        names.JOB_MISSED,
        names.JOB_FAILING,
        names.JOB_RULE_VIOLATED,
        names.JOB_OVERRUNNING,
        names.JOB_OVERLAPPING,
        names.JOB_SLOW,
        names.JOB_SUCCESS_RATIO_LOW,
        names.JOB_UPSTREAM_UNHEALTHY,
        names.TEST,
    ],
)
def test_every_alert_of_a_job_is_tried_with_the_cases_that_go_wrong(alert: str) -> None:
    """Series that are not there yet, and a restart of the exporter."""
    tried = [
        case["name"]
        for case in _cases()
        if any(check["alertname"] == alert for check in case["alert_rule_test"])
    ]

    missing = [word for word in JOB_CASES if not any(word in name for name in tried)]

    assert missing == []


def test_the_alerts_are_those_that_other_systems_are_told_of() -> None:
    """One list of names, in conventions."""
    assert {name for name in FAMILIES if name.startswith("AfterRun")} == set(BY_NAME)


@every_rule
def test_a_rule_has_a_fixed_summary_and_a_described_cause(name: str) -> None:
    """Pagers group by the summary; the description has what varies."""
    annotations = BY_NAME[name]["annotations"]

    assert "{{" not in annotations["summary"]
    assert annotations["description"].endswith((".", "?"))


@every_rule
def test_a_rule_reads_only_metrics_and_labels_that_exist(name: str) -> None:
    """A misspelt metric is silent, and so is a misspelt label in a sentence."""
    rule = BY_NAME[name]
    text = rule["expr"] + rule["annotations"]["description"]

    assert set(re.findall(r"afterrun_\w+", text)) <= FAMILIES
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= {
        *names.RESERVED_LABELS,
        names.ALERTMANAGER,
        names.DIALECT,
    }


@every_rule
def test_an_alert_of_a_job_does_not_wait(name: str) -> None:
    """A `for` starts over after one failed scrape."""
    assert not (name.startswith("AfterRunJob") and "for" in BY_NAME[name])


@every_rule
def test_no_label_of_a_rule_is_templated(name: str) -> None:
    """Each value would be an alert of its own."""
    assert "{{" not in str(BY_NAME[name].get("labels", {}))


def test_no_declared_label_has_the_name_of_one_that_a_rule_sets() -> None:
    """The rule would replace its value."""
    assert {label for rule in RULES for label in rule.get("labels", {})} <= (
        names.RESERVED_LABELS
    )
