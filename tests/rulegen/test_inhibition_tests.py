"""The generated tests of inhibitions: they pass, and fail if a base silences alerts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Job
from afterrun_exporter.rulegen import alertmanager, inhibition_tests, render

from .amtools import files, rich
from .conftest import Run

TESTS: Final = alertmanager.DIRECTORY / "inhibitions.test.yml"
BASE: Final[Mapping[str, Any]] = {
    "route": {"receiver": "a"},
    "receivers": [{"name": "a"}],
}
SAMPLE: Final = {
    "source_matchers": ["severity = critical"],
    "target_matchers": ["severity = warning"],
    "equal": ["alertname", "instance"],
}
MERGED: Final = parse(
    "labels: [team]\n"
    "jobs: {backup: {severity: critical, labels: {team: data}}, etl: {severity: page}}\n"
    "alertmanager: {base: base.yml, labels: {cluster: eu}}\n"
)


def outcome(run: Run, directory: Path) -> tuple[int, str]:
    amlint = str(Path(sys.executable).with_name("amlint"))
    result = run(*(amlint, "test"), directory / alertmanager.CONFIG, directory / TESTS)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("rules", [[], [SAMPLE]], ids=["no rules", "the usual rule"])
def test_what_is_generated_passes(run: Run, tmp_path: Path, rules: list[Any]) -> None:
    base = {**BASE, "inhibit_rules": rules}
    render.write(files(MERGED, base=base), tmp_path)

    assert outcome(run, tmp_path)[0] == 0


def test_what_is_shipped_passes(run: Run, root: Path) -> None:
    assert outcome(run, root)[0] == 0


@pytest.mark.thorough
def test_all_that_can_be_configured_passes(
    run: Run, root: Path, tmp_path: Path
) -> None:
    render.write(files(rich(root)), tmp_path)

    assert outcome(run, tmp_path)[0] == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    "rule",
    [
        SAMPLE,
        {**SAMPLE, "equal": []},
        {
            "source_match": {"severity": "critical"},
            "target_match_re": {"severity": "w.*"},
        },
        {"source_matchers": ["severity = page"], "target_matchers": ["team = data"]},
        {
            "source_matchers": ["alertname = NodeDown"],
            "target_matchers": ['alertname =~ "AfterRun.+"'],
        },
    ],
)
def test_a_rule_that_silences_other_jobs_fails(
    run: Run, tmp_path: Path, rule: Mapping[str, Any]
) -> None:
    """Added by hand, or kept because the base names our alerts."""
    render.write(files(MERGED, base=BASE), tmp_path)
    path = tmp_path / alertmanager.CONFIG
    config = yaml.safe_load(path.read_text())
    config["inhibit_rules"].append(rule)
    path.write_text(yaml.safe_dump(config))

    code, words = outcome(run, tmp_path)

    assert code == 1, words


@pytest.mark.thorough
@pytest.mark.parametrize("number", range(6))
def test_a_rule_of_ours_that_is_gone_fails(
    run: Run, tmp_path: Path, number: int
) -> None:
    render.write(files(MERGED, base=BASE), tmp_path)
    path = tmp_path / alertmanager.CONFIG
    config = yaml.safe_load(path.read_text())
    del config["inhibit_rules"][number]
    path.write_text(yaml.safe_dump(config))

    assert outcome(run, tmp_path)[0] == 1


@pytest.mark.thorough
def test_a_hundred_thousand_jobs_need_no_more_tests() -> None:
    few, many = (
        {
            f"job-{n}": Job(name=f"job-{n}", labels=(("team", f"team-{n}"),))
            for n in range(count)
        }
        for count in (30, 100_000)
    )

    texts = [
        inhibition_tests.text(jobs, MERGED.alertmanager, "a/b") for jobs in (few, many)
    ]

    assert texts[0] == texts[1]
