"""Every panel about jobs shows the same with one replica and with two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from tests.dashboards import queries

from .conftest import Run

pytestmark = pytest.mark.thorough

VALUES: Final = {
    "exporter": "afterrun",
    "severity": ".*",
    "label_team": ".*",
    "jobs": "",
    "job_name": "backup",
    "metric": "rows",
    "__rate_interval": "20m",
    "__range": "20m",
}
#: Families that each process counts for itself, so that two of them count twice as much.
OF_PROCESSES: Final = {
    names.BUILD_INFO,
    names.CLOCK_STEPS,
    f"{names.COMMIT_DURATION}_bucket",
    f"{names.COMMIT_DURATION}_count",
    f"{names.HTTP_DURATION}_bucket",
    names.HTTP_REQUESTS,
    names.METRICS_DROPPED,
    names.PAUSES,
    names.PINGS,
    names.PUSHES,
    names.STORAGE_ERRORS,
    "up",
}
#: A family at the start of a selector.
FAMILY: Final = re.compile(r"\b([a-z]\w+)\{")
OF_JOB: Final = (
    'job_name="backup",severity="warning",team="data",rule="rows > 0",metric="rows",'
    'op="gt"'
)


def series(instances: int) -> Iterator[dict[str, str]]:
    """Yield series of all families, as *instances* replicas expose them."""
    for number in range(instances):
        of = f'job="afterrun",instance="r{number}"'
        for name in names.HELP:
            # Deadlines have passed, and there is one more of each run every minute.
            values = "0+1x60" if name.endswith("_total") else "1x60"
            labels = f",{OF_JOB}" if name.startswith("afterrun_job_") else ',state="ok"'
            yield {"series": f"{name}{{{of}{labels}}}", "values": values}


def shown(run: Run, tmp_path: Path, asked: list[str], instances: int) -> str:
    """Return the results of queries, as promtool prints those that nobody expected."""
    nothing = [{"labels": '{never="there"}', "value": 0}]
    test = {
        "interval": "1m",
        "input_series": list(series(instances)),
        "promql_expr_test": [
            {"expr": expr, "eval_time": "30m", "exp_samples": nothing} for expr in asked
        ],
    }
    document = {"evaluation_interval": "1m", "tests": [test]}
    path = tmp_path / "panels.test.yml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    result = run("promtool", "test", "rules", path)
    return f"{result.stdout}{result.stderr}"


def test_two_replicas_are_shown_as_one(run: Run, tmp_path: Path) -> None:
    asked = [
        expr
        for place, expr in queries(VALUES)
        if "{{instance}}" not in place and not OF_PROCESSES & {*FAMILY.findall(expr)}
    ]

    one, two = (shown(run, tmp_path, asked, instances) for instances in (1, 2))

    assert len(asked) > 40
    assert one.count("got:") == len(asked)
    # Something is shown by nearly all of them.
    assert one.count("got:nil") + len(re.findall(r"got:\s*\n\s*\n", one)) < 10
    assert two == one
