"""An exporter that takes another one's place: no alert stays, none flaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.config import parse
from afterrun_exporter.rulegen import prometheus, render

from .conftest import Run

pytestmark = pytest.mark.thorough

#: Each gauge that alerts: its own labels, and its values while the condition holds
#: and while it does not. Deadlines are minutes: one long past, one that never comes.
FAMILIES: Final = {
    names.JOB_MISSED: (names.DEADLINE, "", "1", "+Inf"),
    names.JOB_FAILING: (names.FAILING, "", "1", "0"),
    names.JOB_RULE_VIOLATED: (
        names.RULE_VIOLATED,
        ',rule="rows > 0",metric="rows"',
        "1",
        "0",
    ),
    names.JOB_OVERRUNNING: (names.RUN_DEADLINE, "", "1", "+Inf"),
    names.JOB_OVERLAPPING: (names.OVERLAPPING, "", "1", "0"),
    names.JOB_SLOW: (names.SLOW, "", "1", "0"),
    names.JOB_SUCCESS_RATIO_LOW: (names.SUCCESS_RATIO_LOW, "", "1", "0"),
    names.JOB_UPSTREAM_UNHEALTHY: (names.UPSTREAM_UNHEALTHY, "", "1", "0"),
    names.TEST: (names.TEST_ALERT, "", "1", "0"),
    names.JOBS_UNOBSERVED: (names.UNOBSERVED_JOBS, None, "1", "0"),
    names.CONFIG_RELOAD_FAILED: (names.RELOAD_SUCCESSFUL, None, "0", "1"),
}
DEDICATED: Final = """
jobs:
  backup:
    schedule: "0 2 * * *"
    alerting: dedicated
    max_runtime: 1h
    rules: [rows > 0]
    concurrency: {max: 1}
    alerts:
      slower_than: {factor: 2, than: median, over: 7d}
      success_ratio: {below: 80%, over: 7d}
    depends_on: [{job: ingest}]
  ingest: {}
"""
TWO: Final = "two at once, one of which goes"
#: Of two deadlines the later one counts: it is from the exporter that heard more.
DEADLINES: Final = {names.JOB_MISSED, names.JOB_OVERRUNNING}
#: For each situation the values of the gauge (F firing, H healthy, _ no sample, S
#: stale) at the old exporter and the new one, minute by minute, and the minutes at
#: which the alert fires.
SITUATIONS: Final = {
    "healed at the new one": ("FFFS________", "_____HHHHHHH", {0, 1, 2, 3, 4}),
    "goes on at the new one": ("FFFS________", "_____FFFFFFF", {*range(12)}),
    "heals later": ("FFFS________", "_____FFFHHHH", {*range(8)}),
    "healthy when it was replaced": ("HHHS________", "_____FFHHHHH", {5, 6}),
    TWO: ("FFFFFFS_____", "HHHHHHHHHHHH", {*range(6)}),
    "healed before it was replaced": ("FFFHS_______", "_______HHHHH", {0, 1, 2}),
    "healed, and down": ("FFFFHS______", "____________", {0, 1, 2, 3}),
    "a scrape is missed, nothing is replaced": ("FF__FFHHHHHH", "_" * 12, {*range(6)}),
}


#: The gauge of one exporter at each scrape, four of them in a minute, and the minutes
#: at whose evaluation the alert fires.
BETWEEN_EVALUATIONS: Final = {
    "fails and is gone": ("HHHHHFFS____________", {2, 3, 4}),
    "fails, restarts and heals": ("HHHHHFFS_HHHHHHHHHHH", {2}),
    "heals and is gone": ("HHHFFFFFFHS_________", {1, 2}),
    "fails, heals and is gone": ("HHHHHFHS____________", set()),
}


def values_of(pattern: str, firing: str, healthy: str) -> str:
    words = {"F": firing, "H": healthy, "_": "_", "S": "stale"}
    return " ".join(words[one] for one in pattern)


def series_of(alert: str, patterns: Mapping[str, str]) -> Iterable[dict[str, str]]:
    """Yield the series of each instance, by its pattern."""
    family, labels, firing, healthy = FAMILIES[alert]
    of_job = ""
    if labels is not None:
        of_job = f',job_name="backup",severity="warning"{labels}'
    for instance, pattern in patterns.items():
        target = f'job="afterrun",instance="{instance}"'
        up = values_of(pattern, "1", "1")
        yield {"series": f"{names.BUILD_INFO}{{{target}}}", "values": up}
        values = values_of(pattern, firing, healthy)
        yield {"series": f"{family}{{{target}{of_job}}}", "values": values}
        if alert == names.JOB_UPSTREAM_UNHEALTHY:
            # It inhibits an alert.
            yield {"series": f"{names.FAILING}{{{target}{of_job}}}", "values": up}


def test_of(alert: str, situation: str) -> dict[str, Any]:
    old, new, firing = SITUATIONS[situation]
    if situation == TWO and alert in DEADLINES:
        firing = set()
    # It is healthy for a minute before: an alert that starts with an unhealthy upstream
    # would be held back.
    old, new = f"H{old}", f"{new[0]}{new}"
    firing = {minute + 1 for minute in firing}
    return {
        "name": f"{alert}: {situation}",
        "interval": "1m",
        "input_series": list(series_of(alert, {"old": old, "new": new})),
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}"}}) or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": int(minute in firing)}],
            }
            # A deadline counts as passed at the scrape after it.
            for minute in range(3, len(old))
        ],
    }


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["generic", "dedicated"])
def test_an_alert_goes_by_the_exporter_that_answers(
    run: Run, tmp_path: Path, kind: str
) -> None:
    jobs = parse(DEDICATED).jobs.values() if kind == "dedicated" else ()
    rules = prometheus.rules_file(jobs)
    (tmp_path / "rules.yml").write_text(render.to_yaml(rules), "utf-8")
    there = {rule.get("alert") for group in rules["groups"] for rule in group["rules"]}
    assert there >= FAMILIES.keys()
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [test_of(alert, one) for alert in FAMILIES for one in SITUATIONS],
    }
    (tmp_path / "replaced.test.yml").write_text(yaml.safe_dump(document), "utf-8")

    result = run("promtool", "test", "rules", tmp_path / "replaced.test.yml")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("kind", ["generic", "dedicated"])
def test_the_last_scrape_counts_although_no_evaluation_knows_of_it(
    run: Run, tmp_path: Path, kind: str
) -> None:
    """Prometheus evaluates once a minute by default."""
    jobs = parse(DEDICATED).jobs.values() if kind == "dedicated" else ()
    rules = prometheus.rules_file(jobs)
    (tmp_path / "rules.yml").write_text(render.to_yaml(rules), "utf-8")
    gauges = FAMILIES.keys() - {
        names.JOBS_UNOBSERVED,
        names.CONFIG_RELOAD_FAILED,
        names.JOB_UPSTREAM_UNHEALTHY,
        # Series that are only there while it lasts.
        names.TEST,
    }
    tests = []
    for alert in sorted(gauges):
        for name, (pattern, firing) in BETWEEN_EVALUATIONS.items():
            tests.append(
                {
                    "name": f"{alert}: {name}",
                    "interval": "15s",
                    "input_series": list(series_of(alert, {"old": pattern})),
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert}"}}) or vector(0)',
                            "eval_time": f"{minute}m",
                            "exp_samples": [
                                {"labels": "{}", "value": int(minute in firing)}
                            ],
                        }
                        for minute in range(1, 5)
                    ],
                }
            )
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": tests,
    }
    (tmp_path / "between.test.yml").write_text(yaml.safe_dump(document), "utf-8")

    result = run("promtool", "test", "rules", tmp_path / "between.test.yml")

    assert result.returncode == 0, result.stdout + result.stderr
