"""What policies do to the jobs that they match."""

from __future__ import annotations

import pytest

from afterrun_exporter.config import parse
from afterrun_exporter.core.model import Dependency, Job, SuccessRatio
from afterrun_exporter.core.outcome_metrics import PushSettings
from afterrun_exporter.core.schedule import Every, parse_cron

JOBS = """
labels: [team]
jobs:
  backup-db: {tags: [nightly, critical], project: infra, labels: {team: data}}
  backup-www: {tags: [nightly], severity: info}
  report: {every: 1h}
policies:
"""


def jobs(policies: str) -> dict[str, Job]:
    return dict(parse(JOBS + policies).jobs)


@pytest.mark.parametrize(
    ("match", "matched"),
    [
        ("{name: ^backup-}", {"backup-db", "backup-www"}),
        ("{name: up}", {"backup-db", "backup-www"}),
        ("{name: ^up}", set()),
        ("{name: '.*'}", {"backup-db", "backup-www", "report"}),
        ("{tags: [nightly]}", {"backup-db", "backup-www"}),
        ("{tags: [nightly, critical]}", {"backup-db"}),
        ("{project: infra}", {"backup-db"}),
        ("{labels: {team: data}}", {"backup-db"}),
        ("{labels: {team: ops}}", set()),
        ("{name: ^backup-, project: infra}", {"backup-db"}),
        ("{name: ^report, tags: [nightly]}", set()),
    ],
)
def test_a_policy_is_for_the_jobs_of_which_all_holds(
    match: str, matched: set[str]
) -> None:
    found = jobs(f"  - {{match: {match}, max_runtime: 2h}}")

    assert {job.name for job in found.values() if job.max_runtime == 7200.0} == matched


def test_the_jobs_own_word_wins() -> None:
    found = jobs("  - {match: {name: ^backup-}, severity: critical}")

    assert found["backup-db"].severity == "critical"
    assert found["backup-www"].severity == "info"
    assert found["report"].severity == "warning"


def test_a_later_policy_wins_over_an_earlier_one() -> None:
    found = jobs("""
  - {match: {name: ^backup-}, severity: critical, grace: 1h}
  - {match: {name: db$}, severity: page}
""")

    assert (found["backup-db"].severity, found["backup-db"].grace) == ("page", 3600.0)


def test_lists_and_mappings_add_up() -> None:
    """Every backup is also to be larger than nothing, whatever else is asked of it."""
    found = parse("""
labels: [team, tier]
policies:
  - match: {name: a}
    rules: [size > 0, {expr: rows > 10, name: rows}]
    tags: [x]
    labels: {team: data, tier: gold}
    depends_on: [b]
    alerts: {after_failures: 3, success_ratio: {below: 50%, over: 1d, min_runs: 2}}
    push: {success_metric: a_*, progress: true}
jobs:
  a:
    rules: [duration < 1h, {expr: rows > 5, name: rows}]
    tags: [y]
    labels: {team: ops}
    depends_on: [c]
    alerts: {after_failures: 2}
    push: {success_metric: [b_*], ignore: "*_up"}
  b: {}
  c: {}
""").jobs["a"]

    assert [rule.name for rule in found.rules] == ["size > 0", "rows", "duration < 1h"]
    assert found.rules[1].bounds[0].value == 5.0
    assert found.tags == ("x", "y")
    assert found.labels == (("team", "ops"), ("tier", "gold"))
    assert found.depends_on == (Dependency("b"), Dependency("c"))
    assert found.after_failures == 2
    assert found.success_ratio == SuccessRatio(below=0.5, over=86400.0, min_runs=2)
    assert found.push == PushSettings(
        success_metric=("b_*",), ignore=("*_up",), progress=True
    )


def test_a_job_with_a_schedule_keeps_it() -> None:
    """One of the two ways to say when, and the nearest one."""
    found = jobs("  - {match: {name: .}, schedule: '@daily'}")

    assert found["report"].schedule == Every(3600.0)
    assert found["backup-db"].schedule is not None


def test_a_policy_is_also_for_jobs_that_only_ever_ping() -> None:
    """A name may be all that is known of a job."""
    unknown = parse(JOBS + "  - {match: {name: ^etl-}, severity: critical}").job_config
    assert unknown.unknown is not None

    assert unknown.unknown("etl-orders", "").severity == "critical"
    assert unknown.unknown("etl-orders", "").configured is False
    assert unknown.unknown("other", "").severity == "warning"


def test_a_zone_goes_with_a_schedule_that_a_policy_gives() -> None:
    """Each says what it knows."""
    found = parse("""
jobs: {a: {timezone: Europe/Riga}}
policies: [{match: {name: a}, schedule: "@daily"}]
""").jobs["a"]

    assert found.schedule == parse_cron("@daily", "Europe/Riga")


def test_a_problem_that_a_policy_makes_is_found() -> None:
    """It lends a dependency to a job that it cannot have."""
    with pytest.raises(Exception, match=r"jobs\.a\.depends_on: is a cycle"):
        parse("jobs: {a: }\npolicies: [{match: {name: a}, depends_on: [a]}]")
