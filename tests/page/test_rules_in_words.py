from __future__ import annotations

import pytest

from afterrun_exporter.core.model import (
    Average,
    Concurrency,
    Job,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.page.descriptions import expectations, rule_in_words
from tests.copies import replace

BREAKS = "A run that does not report it breaks the rule."


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("rows > 0", "rows must be more than 0."),
        ("rows >= 1000", "rows must be at least 1,000."),
        ("size_bytes > 1KiB", "size_bytes must be more than 1 KiB."),
        ("rows != 0", "rows must be anything but 0."),
        ("ratio <= 5%", "ratio must be at most 5%."),
        ("duration < 45m", "The duration must be less than 45m."),
        ("n between 1 and 500", "n must be at least 1 and at most 500."),
        ("rows >= 0.5 * previous", "rows must be at least 0.5 times that of the last ok run."),
        ("rows == previous", "rows must be exactly that of the last ok run."),
    ],
)  # fmt: skip
def test_a_rule_is_told_in_words(rule: str, words: str) -> None:
    assert rule_in_words(parse_rule(rule)) == f"{words} {BREAKS}"


def test_a_rule_that_needs_no_report_says_so() -> None:
    words = rule_in_words(replace(parse_rule("rows > 0"), ignore_missing=True))

    assert words.endswith("A run that does not report it is fine.")


def test_everything_that_is_expected_is_told() -> None:
    job = Job(
        name="a",
        schedule=parse_cron("0 2 * * *", "Europe/Riga"),
        grace=1800,
        max_runtime=3600,
        max_attempts=3,
        after_failures=3,
        recover_after=2,
        success_ratio=SuccessRatio(below=0.8, over=7 * 86400, min_runs=5),
        slower_than=SlowerThan(factor=2, than=Average.MEDIAN, over=7 * 86400),
        concurrency=Concurrency(max=1, by="tenant"),
    )

    assert dict(expectations(job)) == {
        "Attempts": "A run fails with its 3rd attempt.",
        "Schedule": "Every day at 02:00 in Europe/Riga: 0 2 * * *.",
        "Grace": "A run may finish 30m after its slot before it is missed.",
        "Run time": "A run may take 1h from its start to its end.",
        "Failures": "It alerts on the 3rd bad run in a row.",
        "Recovery": "It recovers after 2 ok runs in a row.",
        "Success ratio": "At least 80% of the runs within 7d must be ok, once there are 5.",
        "Slowness": "A run may take 2 times the median of the ok runs within 7d, once there are 3.",
        "Concurrency": "1 run may be open at once for each tenant.",
    }  # fmt: skip


def test_a_job_of_which_little_is_known_promises_little() -> None:
    assert dict(expectations(Job(name="a", configured=False))) == {
        "Schedule": "None: it may run at any time and is never missed."
    }
    every = dict(expectations(Job(name="a", schedule=Every(3600))))
    assert every["Schedule"] == "Every 1h after its last run."


@pytest.mark.parametrize(
    ("number", "word"),
    [(2, "2nd"), (4, "4th"), (11, "11th"), (21, "21st"), (112, "112th")],
)
def test_numbers_in_a_row_have_their_endings(number: int, word: str) -> None:
    words = dict(expectations(Job(name="a", after_failures=number)))

    assert f"the {word} bad run" in words["Failures"]
