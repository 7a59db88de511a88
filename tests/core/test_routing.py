"""Routes match jobs, and receivers of a job choose its conditions."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import JobReceiver, Match, ReceiverType

BACKUP = Job(name="backup-db", project="shop", tags=("db", "nightly"))


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        (Match(), True),
        (Match(projects=("data", "shop")), True),
        (Match(projects=("data",)), False),
        (Match(tags=("db",)), True),
        (Match(tags=("db", "hourly")), False),
        (Match(job="^backup-"), True),
        (Match(job="^db"), False),
        (Match(projects=("shop",), tags=("db",), job="db$"), True),
    ],
)
def test_all_conditions_of_a_route_must_hold(match: Match, matches: bool) -> None:
    assert bool(match.matches(BACKUP)) is matches


@pytest.mark.parametrize(
    ("match", "by_configuration"),
    [
        (Match(severities=("critical",), job="^backup-"), False),
        (Match(projects=("shop",)), True),
        (Match(tags=("db",)), True),
    ],
)
def test_projects_and_tags_are_not_in_the_labels_of_alerts(
    match: Match, by_configuration: bool
) -> None:
    assert match.by_configuration is by_configuration


TARGET = "https://hooks.example.com/afterrun"


@pytest.mark.parametrize(
    ("flag", "conditions"),
    [
        ("on_failure", {Condition.FAILING, Condition.SUCCESS_RATIO_LOW}),
        ("on_timeout", {Condition.OVERRUNNING}),
        ("on_violation", {Condition.VIOLATED, Condition.SLOW}),
        ("on_missed", {Condition.MISSED}),
        ("on_success", set()),
    ],
)
def test_a_receiver_is_notified_of_the_chosen_conditions_and_of_tests(
    flag: str, conditions: set[Condition]
) -> None:
    none = dict.fromkeys(
        ("on_failure", "on_timeout", "on_violation", "on_missed", "on_success"), False
    )
    receiver = JobReceiver(
        job="backup", type=ReceiverType.WEBHOOK, target=TARGET, **(none | {flag: True})
    )

    assert {*receiver.conditions} == {*conditions, Condition.TEST}
    assert receiver.timeouts_alone is (flag == "on_timeout")


def test_a_receiver_has_a_name_for_failures_and_one_for_ok_runs() -> None:
    receiver = JobReceiver(id=7, job="backup", type=ReceiverType.WEBHOOK, target=TARGET)

    assert receiver.name.endswith("backup-7")
    assert receiver.success_name == f"{receiver.name}-success"
