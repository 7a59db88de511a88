"""The alerts that a job can have are told in words, each with its severity."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.alert_settings import alert_settings
from afterrun_exporter.core.model import (
    Concurrency,
    Condition,
    Job,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every
from tests.copies import replace

PLAIN = Job(name="backup")


@pytest.mark.parametrize(
    ("job", "condition", "words"),
    [
        (replace(PLAIN, schedule=Every(60)), Condition.MISSED, "5m after its slot"),
        (PLAIN, Condition.FAILING, "a run ends with fail"),
        (
            replace(PLAIN, after_failures=3, recover_after=2),
            Condition.FAILING,
            "3 runs in a row end with fail, partial, timeout or invalid; it resolves",
        ),
        (
            replace(PLAIN, rules=(parse_rule("rows > 0"),)),
            Condition.VIOLATED,
            "the rule rows > 0",
        ),
        (
            replace(PLAIN, rules=(parse_rule("a > 0"), parse_rule("b > 0"))),
            Condition.VIOLATED,
            "one of the rules a > 0, b > 0",
        ),
        (replace(PLAIN, max_runtime=60.0), Condition.OVERRUNNING, "longer than 1m"),
        (replace(PLAIN, heartbeat=60.0), Condition.OVERRUNNING, "sign of life for 1m"),
        (
            replace(PLAIN, slower_than=SlowerThan(factor=2, over=86400.0)),
            Condition.SLOW,
            "longer than 2 times the median of the last 1d",
        ),
        (
            replace(PLAIN, concurrency=Concurrency(max=1)),
            Condition.OVERLAPPING,
            "more than 1 run is open",
        ),
        (
            replace(PLAIN, concurrency=Concurrency(max=2, by="tenant")),
            Condition.OVERLAPPING,
            "more than 2 runs are open for one tenant",
        ),
        (
            replace(PLAIN, success_ratio=SuccessRatio(below=0.8, over=86400.0)),
            Condition.SUCCESS_RATIO_LOW,
            "less than 80% of the runs of the last 1d are ok",
        ),
    ],
)
def test_each_alert_says_when_it_opens(
    job: Job, condition: Condition, words: str
) -> None:
    own = replace(job, severities=((condition, "high"),))

    settings = {one: (when, severity) for one, when, severity in alert_settings(own)}

    assert words in settings[condition][0]
    assert settings[condition][1] == "high"
    assert condition is Condition.FAILING or settings[Condition.FAILING][1] == "warning"
