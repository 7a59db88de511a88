"""Panels of dashboards while an exporter is replaced by another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from tests.dashboards import BOARDS, filled

from .conftest import Run

VALUES: Final = {
    "exporter": "afterrun",
    "severity": ".*",
    "label_team": ".*",
    "jobs": "",
    "job_name": "backup",
    "metric": "rows",
    "__rate_interval": "20m",
    "__range": "24h",
}
OF_JOB: Final = 'job_name="backup",severity="warning",team="data"'
#: The values of the old exporter and of the new one, minute by minute.
BOTH: Final = ("1x60", "1x60")
OLD_GOES: Final = ("1x20 stale", "_x15 1x45")


def series(family: str, labels: str, values: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {
            "series": f'{family}{{job="afterrun",instance="{instance}",{labels}}}',
            "values": text,
        }
        for instance, text in zip(("old", "new"), values, strict=True)
    ]


def query(board: str, title: str, legend: str | None = None) -> str:
    found = [
        one.expr
        for row in BOARDS[board].rows
        for panel in row.panels
        if panel.title == title
        for one in panel.queries
        if legend in {None, one.legend}
    ]
    return filled(found[0], VALUES)


INFO: Final = series(names.INFO, OF_JOB, BOTH)
#: Counters are stored: the new exporter goes on where the old one ended.
COUNTED_BY_BOTH: Final = ("0x5 3x55", "0x5 3x55")
COUNTED_ON: Final = ("0x5 3x15 stale", "_x18 3x5 5x40")


@pytest.mark.parametrize(
    ("expr", "given", "minute", "expected"),
    [
        pytest.param(
            query("afterrun", "Jobs by state"),
            series(names.JOBS, 'state="ok"', ("7x60", "7x60")),
            30,
            {'{state="ok"}': 7},
            id="jobs are counted once while both answer",
        ),
        pytest.param(
            query("afterrun", "Jobs by state"),
            series(names.JOBS, 'state="ok"', ("7x20 stale", "_x22 9x40")),
            30,
            {'{state="ok"}': 9},
            id="and by the new one alone once the old one is gone",
        ),
        pytest.param(
            query("afterrun-exporter", "Jobs by state", "{{state}}"),
            series(names.JOBS, 'state="ok"', ("7x60", "7x60")),
            30,
            {'{state="ok"}': 7},
            id="also on the exporter's dashboard",
        ),
        pytest.param(
            query("afterrun-exporter", "Jobs by state", "unobserved"),
            series(names.UNOBSERVED_JOBS, 'x="y"', ("7x60", "7x60")),
            30,
            {"{}": 7},
            id="unobserved jobs, too",
        ),
        pytest.param(
            query("afterrun-job", "Open runs"),
            series(names.RUNNING, 'job_name="backup"', BOTH),
            30,
            {"{}": 1},
            id="an open run is one run",
        ),
        pytest.param(
            query("afterrun-job", "Open runs"),
            series(names.RUNNING, 'job_name="backup"', ("1x20 stale", "_x15 0x45")),
            30,
            {"{}": 0},
            id="and none is left of an exporter that is gone",
        ),
        pytest.param(
            query("afterrun", "Broken now") + " > -1",
            [
                *series(names.DEADLINE, OF_JOB, ("600x60", "+Inf " * 60)),
                *series(names.LAST_SUCCESS, 'job_name="backup"', BOTH),
            ],
            30,
            {},
            id="of two deadlines the later one counts",
        ),
        pytest.param(
            query("afterrun", "Broken now") + " > -1",
            [
                *series(names.FAILING, OF_JOB, ("1x20 stale", "_x15 0x45")),
                *series(names.LAST_SUCCESS, 'job_name="backup"', OLD_GOES),
            ],
            30,
            {},
            id="nothing is broken that the new one knows to be well",
        ),
        pytest.param(
            query("afterrun", "Runs that went wrong", "missed"),
            [*INFO, *series(names.MISSED_RUNS, 'job_name="backup"', COUNTED_BY_BOTH)],
            15,
            {"{}": 3},
            id="a miss that both count is one",
        ),
        pytest.param(
            query("afterrun-job", "Runs", "missed"),
            series(names.MISSED_RUNS, 'job_name="backup"', COUNTED_BY_BOTH),
            15,
            {"{}": 3},
            id="also on the job's dashboard",
        ),
        pytest.param(
            query("afterrun-job", "Runs", "missed"),
            series(names.MISSED_RUNS, 'job_name="backup"', COUNTED_ON),
            24,
            {"{}": 5},
            id="and a counter goes on at the new one",
        ),
    ],
)
def test_a_panel_shows_one_exporter_where_there_are_two(
    run: Run,
    tmp_path: Path,
    expr: str,
    given: list[dict[str, str]],
    minute: int,
    expected: Mapping[str, float],
) -> None:
    # An increase is extrapolated to the edges of its window.
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": given,
        "promql_expr_test": [
            {
                "expr": f"round({expr})",
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": labels, "value": value}
                    for labels, value in expected.items()
                ],
            }
        ],
    }
    document = {"evaluation_interval": "1m", "tests": [test]}
    path = tmp_path / "panels.test.yml"
    path.write_text(yaml.safe_dump(document), "utf-8")

    result = run("promtool", "test", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr
