"""Replicas that are restarted, stuck or cut off: no alert is false, missing or flaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from afterrun_exporter import conventions as names
from afterrun_exporter.config import parse
from afterrun_exporter.rulegen import prometheus, render

from .conftest import Run
from .test_replaced_exporter import DEDICATED, series_of

pytestmark = pytest.mark.thorough

MINUTES: Final = 14
#: One alert of each kind of expression: deadlines, gauges, series of rules, and states of
#: the exporter of which the worst one counts.
ALERTS: Final = (
    names.JOB_MISSED,
    names.JOB_FAILING,
    names.JOB_RULE_VIOLATED,
    names.JOB_UPSTREAM_UNHEALTHY,
    names.JOBS_UNOBSERVED,
    names.CONFIG_RELOAD_FAILED,
)
#: For each situation the values of the gauge at each replica, minute by minute (F firing,
#: H healthy, S stale, _ no sample), and the minutes at which the alert fires.
SITUATIONS: Final = {
    "both are restarted while it lasts": (
        {
            "r1": "HFFFS_________",
            "r2": "HFFFFFFS______",
            "r3": "_____FFFFFFFFF",
            "r4": "________FFFFFF",
        },
        {*range(1, 14)},
    ),
    "both are restarted, and it never was": (
        {
            "r1": "HHHHS_________",
            "r2": "HHHHHHHS______",
            "r3": "_____HHHHHHHHH",
            "r4": "________HHHHHH",
        },
        set(),
    ),
    "both are restarted, and it ends meanwhile": (
        {
            "r1": "HFFFS_________",
            "r2": "HFFFFFFS______",
            "r3": "_____FFHHHHHHH",
            "r4": "________HHHHHH",
        },
        {*range(1, 7)},
    ),
    "both are away at once, and it ends meanwhile": (
        {
            "r1": "HFFFS_________",
            "r2": "HFFFFS________",
            "r3": "________HHHHHH",
        },
        {*range(1, 8)},
    ),
    "one is stuck, so it answers 503, and it ends": (
        {"r1": "HFFFFS________", "r2": "HFFFFFFHHHHHHH"},
        {*range(1, 7)},
    ),
    "one is stuck, so it answers 503, and it begins": (
        {"r1": "HHHHHS________", "r2": "HHHHHHHFFFFFFF"},
        {*range(7, 14)},
    ),
    "the database is away while it lasts": (
        {"r1": "HFFFFS____FFFF", "r2": "HFFFFS____FFFF"},
        {*range(1, 14)},
    ),
    "the database is away, and it never was": (
        {"r1": "HHHHHS____HHHH", "r2": "HHHHHS____HHHH"},
        set(),
    ),
    "the database is away, and it ends with that": (
        {"r1": "HFFFFS____HHHH", "r2": "HFFFFS_____HHH"},
        {*range(1, 10)},
    ),
    "one is flaky while it lasts": (
        {"r1": "HFSFS_FSFS_FFS", "r2": "HFFFFFFFFFFFFF"},
        {*range(1, 14)},
    ),
    "one is flaky, and it never was": (
        {"r1": "HHSHS_HSHS_HHS", "r2": "HHHHHHHHHHHHHH"},
        set(),
    ),
    "one is flaky, and was away when it ended": (
        {"r1": "HFSFFFFS__HSHS", "r2": "HFFFFFFHHHHHHH"},
        {*range(1, 7)},
    ),
    "both are flaky while it lasts": (
        {"r1": "HFSFS_FSFS_FFS", "r2": "HFFSF_SFS_FSSF"},
        {*range(1, 14)},
    ),
    "another one is added": (
        {"r1": "HFFFFFFFFFHHHH", "r2": "HFFFFFFFFFHHHH", "r3": "_____FFFFFHHHH"},
        {*range(1, 10)},
    ),
}


def fires(alert: str, minute: int, expected: int) -> dict[str, Any]:
    return {
        "expr": f'count(ALERTS{{alertname="{alert}"}}) or vector(0)',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": expected}],
    }


def check(
    run: Run,
    tmp_path: Path,
    kind: str,
    tests: list[dict[str, Any]],
    interval: str = "1m",
) -> None:
    jobs = parse(DEDICATED).jobs.values() if kind == "dedicated" else ()
    rules = prometheus.rules_file(jobs)
    (tmp_path / "rules.yml").write_text(render.to_yaml(rules), "utf-8")
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": interval,
        "tests": tests,
    }
    path = tmp_path / "replicas.test.yml"
    path.write_text(yaml.safe_dump(document), "utf-8")

    result = run("promtool", "test", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("kind", ["generic", "dedicated"])
def test_an_alert_is_that_of_the_replicas_that_answer(
    run: Run, tmp_path: Path, kind: str
) -> None:
    tests = [
        {
            "name": f"{alert}: {situation}",
            "interval": "1m",
            "input_series": list(series_of(alert, patterns)),
            "promql_expr_test": [
                fires(alert, minute, int(minute in firing))
                # A deadline counts as passed at the scrape after it.
                for minute in range(3, MINUTES)
            ],
        }
        for alert in ALERTS
        for situation, (patterns, firing) in SITUATIONS.items()
    ]

    check(run, tmp_path, kind, tests)


@pytest.mark.parametrize("kind", ["generic", "dedicated"])
@pytest.mark.parametrize(
    ("alert", "family"),
    [(names.JOB_MISSED, names.DEADLINE), (names.JOB_OVERRUNNING, names.RUN_DEADLINE)],
)
def test_a_deadline_in_an_outage_of_the_database_alerts_only_if_it_passes_again(
    run: Run, tmp_path: Path, kind: str, alert: str, family: str
) -> None:
    """When the database is back, deadlines are those of after the outage, at once."""
    of_job = 'job_name="backup",severity="warning"'
    series = []
    for instance, away in (("r1", "_x5"), ("r2", "_x6")):
        target = f'job="afterrun",instance="{instance}"'
        more = 14 if instance == "r1" else 13
        for name, labels, values in (
            (names.BUILD_INFO, "", f"1x4 stale {away} 1x{more}"),
            # Due after 6 minutes, and then after 16.
            (family, f",{of_job}", f"360x4 stale {away} 960x{more}"),
        ):
            series.append({"series": f"{name}{{{target}{labels}}}", "values": values})
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            fires(alert, minute, int(minute >= 17)) for minute in range(3, 22)
        ],
    }

    check(run, tmp_path, kind, [test])


@pytest.mark.parametrize("away", [1, 2, 8])
@pytest.mark.parametrize("kind", ["generic", "dedicated"])
@pytest.mark.parametrize(
    ("alert", "family"),
    [(names.JOB_MISSED, names.DEADLINE), (names.JOB_OVERRUNNING, names.RUN_DEADLINE)],
)
def test_a_failed_scrape_during_a_restart_makes_no_old_deadline_count(
    run: Run, tmp_path: Path, kind: str, alert: str, family: str, away: int
) -> None:
    """One replica is restarted, and *away* scrapes of the other fail."""
    of_job = 'job_name="backup",severity="warning"'
    series = []
    for instance, gap, deadlines in (
        # It does not hear of the run that moves the deadline from 100 s to 10 minutes.
        ("r1", "", "100x4 stale"),
        ("r2", f"stale _x{away - 1} 1x20", f"100x5 600x1 stale _x{away - 1} 600x20"),
    ):
        target = f'job="afterrun",instance="{instance}"'
        up = f"1x7 {gap}" if gap else "1x4 stale"
        series += [
            {"series": f"{names.BUILD_INFO}{{{target}}}", "values": up},
            {"series": f"{family}{{{target},{of_job}}}", "values": deadlines},
        ]
    test = {
        "interval": "15s",
        "input_series": series,
        "promql_expr_test": [
            {**fires(alert, 0, 0), "eval_time": f"{15 * step}s"} for step in range(25)
        ],
    }

    check(run, tmp_path, kind, [test], interval="15s")
