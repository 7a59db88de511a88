"""A job that waits for another one: its alerts are held back, and none is resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.config import parse
from afterrun_exporter.rulegen import prometheus, render
from afterrun_exporter.rulegen.inhibitions import HELD_BACK

from .conftest import Run
from .test_replaced_exporter import DEDICATED, FAMILIES, values_of

pytestmark = pytest.mark.thorough

FOREVER: Final = {*range(12)}
#: Minute by minute, the gauge of an alert and that of the unhealthy upstream (F as in
#: firing, H healthy, S stale, _ no sample), and when the alert and the one that inhibits
#: it fire.
SITUATIONS: Final = {
    "both at once, the upstream recovers": (
        "HHHFFFFFFFFF",
        "HHHFFFFHHHHH",
        {*range(7, 12)},
        set(),
    ),
    "the upstream first": ("HHHHHFFFFFFF", "HHHFFFFFFFFF", set(), set()),
    "the job first": ("HHHFFFFFFFFF", "HHHHHHFFFFFF", {*range(3, 12)}, {*range(6, 12)}),
    "the job first, and recovers": (
        "HHHFFFFHHHHH",
        "HHHHHFFFFFFF",
        {*range(3, 7)},
        # One evaluation longer.
        {*range(5, 8)},
    ),
    "both at once, the exporter is down": (
        "HHHFFS______",
        "HHHFFS______",
        set(),
        set(),
    ),
    "the job first, the exporter is down": (
        "HHHFFFFS____",
        "HHHHFFFS____",
        {*range(3, 12)},
        {*range(4, 12)},
    ),
    "both at once, the exporter restarts": (
        "HHHFFS__FFFF",
        "HHHFFS__FFFF",
        set(),
        set(),
    ),
}


def situation(alert: str, name: str) -> dict[str, Any]:
    """Return a test for promtool."""
    gauge, upstream, fires, inhibits = SITUATIONS[name]
    if alert not in HELD_BACK:
        fires = {minute for minute, now in enumerate(gauge) if now in "FS_"}
        inhibits = set()
    family, labels, firing, healthy = FAMILIES[alert]
    target = 'job="afterrun",instance="a"'
    job = f'{target},job_name="backup",severity="warning"'
    # A restart of the exporter is seen in all its series.
    answers = gauge.replace("H", "F")
    series = {
        f"{names.BUILD_INFO}{{{target}}}": values_of(answers, "1", "1"),
        f"{family}{{{job}{labels}}}": values_of(gauge, firing, healthy),
        f"{names.UPSTREAM_UNHEALTHY}{{{job}}}": values_of(upstream, "1", "0"),
    }
    expected = {alert: fires, names.JOB_UPSTREAM_UNHEALTHY: inhibits}
    return {
        "name": f"{alert}: {name}",
        "interval": "1m",
        "input_series": [
            {"series": one, "values": values} for one, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{one}"}}) or vector(0)',
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": "{}", "value": int(minute in minutes)}],
            }
            for one, minutes in expected.items()
            for minute in range(2, len(gauge))
        ],
    }


@pytest.mark.parametrize("kind", ["generic", "dedicated"])
def test_alerts_wait_for_the_upstream_unless_they_fire_already(
    run: Run, tmp_path: Path, kind: str
) -> None:
    jobs = parse(DEDICATED).jobs.values() if kind == "dedicated" else ()
    rules = prometheus.rules_file(jobs)
    (tmp_path / "rules.yml").write_text(render.to_yaml(rules), "utf-8")
    alerts = (*HELD_BACK, names.JOB_OVERLAPPING)
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [situation(alert, one) for alert in alerts for one in SITUATIONS],
    }
    (tmp_path / "held.test.yml").write_text(yaml.safe_dump(document), "utf-8")

    result = run("promtool", "test", "rules", tmp_path / "held.test.yml")

    assert result.returncode == 0, result.stdout + result.stderr
