"""Values in the texts of alerts: in the unit of their rule, as far as they are known."""

from __future__ import annotations

import math

import pytest

from afterrun_exporter.core import alert_values
from afterrun_exporter.core.alert_values import Broken, Slow
from afterrun_exporter.core.model import (
    Average,
    Job,
    Kind,
    Outcome,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.rules import described, judge, parse_rule
from afterrun_exporter.core.state import BadRun
from afterrun_exporter.core.text_fields import reported_host
from afterrun_exporter.core.units import format_exactly, format_measured
from tests.copies import replace
from tests.core.jobs import BACKUP, Night


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0, "", "0"),
        (1213, "", "1213"),
        (0.1 + 0.2, "", "0.3"),
        (math.nan, "", "nan"),
        (0.07, "%", "7%"),
        (0, "B", "0 B"),
        (1023, "B", "1023 B"),
        (1213, "B", "1.185 KiB"),
        (-(2**20), "B", "-1 MiB"),
        (2.0**92, "B", "4096 YiB"),
        (math.inf, "B", "+Inf B"),
        (0, "s", "0s"),
        (0.0123456, "s", "12.35ms"),
        (1e-30, "s", "1e-06ys"),
        (59.94321, "s", "59.94s"),
        (605, "s", "10m5s"),
        (600, "s", "10m"),
        (-3600, "s", "-1h"),
        (90061.9, "s", "1d1h1m1s"),
        (math.inf, "s", "+Inf"),
    ],
)
def test_a_number_is_told_in_its_unit(value: float, unit: str, expected: str) -> None:
    """In the words of Prometheus' templates."""
    assert format_measured(value, unit) == expected


@pytest.mark.parametrize(
    ("rule", "unit"),
    [
        ("size > 1MiB", "B"),
        ("size between 0 and 4KiB", "B"),
        ("ratio < 5%", "%"),
        ("latency < 5ms", "s"),
        ("rows > 0", ""),
        # By its name, if it is not written.
        ("duration < 600", "s"),
        ("wait_seconds < 10", "s"),
        ("file_bytes >= 0.5 * previous", "B"),
    ],
)
def test_a_metric_has_the_unit_of_its_bounds_or_of_its_name(
    rule: str, unit: str
) -> None:
    assert parse_rule(rule).unit == unit


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("size > 1MiB", 1213.0, "size was 1.2 KiB, expected > 1 MiB"),
        ("size > 1.2KiB", 1213.0, "size was 1,213 B, expected > 1.2 KiB"),
        (
            "rows between 1 and 500",
            600.0,
            "rows was 600, expected >= 1 and <= 500",
        ),
        ("duration < 10m", 725.5, "duration was 12m5s, expected < 10m"),
        ("size > 1MiB", None, "size was not reported, expected > 1 MiB"),
        (
            "file_size_bytes > 1048576",
            None,
            "file_size_bytes was not reported, expected > 1 MiB",
        ),
        ("rows > 2 * previous", 5.0, "rows was 5, expected > 6 (2 * previous)"),
        (
            "size_bytes > 0.5 * previous",
            5.0,
            "size_bytes was 5 B, expected > 1.2 KiB (0.5 * previous)",
        ),
        ("share <= 5%", None, "share was not reported, expected <= 5%"),
    ],
)
def test_a_violation_is_told_in_the_unit_of_its_rule(
    rule: str, value: float | None, expected: str
) -> None:
    parsed = parse_rule(rule)
    reported = {} if value is None else {parsed.metric: value}
    violation = judge(parsed, reported, {"rows": 3.0, "size_bytes": 2425.0})

    assert violation is not None
    assert described(parsed, [violation]) == expected
    assert described(parsed, []) == f"the last run violated rule {rule!r}"


def test_what_a_run_broke_is_known_until_a_later_one_is_ok() -> None:
    night = Night(replace(BACKUP, rules=(rule := parse_rule("rows > 0"),)))
    assert alert_values.broken(rule, night.state) is None

    night.ping("22 02:00", metrics={"rows": 0.0})
    assert alert_values.broken(rule, night.state) == Broken(0.0, ">", 0.0)

    night.ping("22 02:10", metrics={"rows": 5.0})
    assert alert_values.broken(rule, night.state) is None

    night.ping("22 02:20", metrics={"other": 5.0})
    missing = alert_values.broken(rule, night.state)
    assert missing is not None
    assert math.isnan(missing.value)


def test_a_rule_on_text_has_no_bound() -> None:
    rule = parse_rule('message == "done"')
    night = Night(replace(BACKUP, rules=(rule,))).ping("22 02:00", message="half")

    assert alert_values.broken(rule, night.state) is None


@pytest.mark.parametrize(
    ("code", "known"), [(None, None), (0, 0), (137, 137), (-1, None), (1000, None)]
)
def test_an_exit_code_is_that_of_the_last_bad_run(
    code: int | None, known: int | None
) -> None:
    night = Night(BACKUP)
    assert alert_values.exit_code(night.state) is None

    night.fail("22 02:00", exit_code=code)
    assert alert_values.exit_code(night.state) == known

    night.ping("22 02:10")
    assert alert_values.exit_code(night.state) is None


def test_a_bad_run_is_remembered_until_a_good_one() -> None:
    night = Night(BACKUP).ping("22 02:00")
    assert night.state.bad_run is None

    about = '{"host": "db1"}'
    night.fail("22 02:10", run_id="r", exit_code=3, message="a\nb", metadata=about)
    assert night.state.bad_run == BadRun(
        run_id="r", outcome=Outcome.FAIL, exit_code=3, host="db1", message="a b"
    )

    night.ping("22 02:20")
    assert night.state.bad_run is None


def test_a_slow_run_is_remembered_too() -> None:
    slower = SlowerThan(factor=2, than=Average.MEDIAN, over=86400, min_runs=1)
    night = Night(replace(BACKUP, rules=(), slower_than=slower))
    night.ping("22 02:00", duration=10.0)
    assert alert_values.slow(night.job, night.state) is None

    night.ping("22 03:00", duration=90.0, run_id="long")

    assert alert_values.slow(night.job, night.state) == Slow(90.0, 10.0, 20.0)
    assert night.state.bad_run is not None
    assert night.state.bad_run.run_id == "long"


def test_a_ratio_is_known_once_there_are_runs() -> None:
    ratio = SuccessRatio(below=0.8, over=86400, min_runs=1)
    night = Night(replace(BACKUP, rules=(), success_ratio=ratio))
    assert alert_values.success_ratio(night.state) is None

    night.ping("22 02:00").fail("22 02:10")

    assert alert_values.success_ratio(night.state) == 0.5


def test_open_runs_overlap_if_there_are_two() -> None:
    night = Night(Job(name="backup")).start("22 02:00", run_id="a")
    assert alert_values.overlapping(night.state) is None

    night.start("22 02:01", run_id="b")

    assert alert_values.overlapping(night.state) == 2


@pytest.mark.parametrize(
    ("metadata", "host"),
    [
        ("", ""),
        ('{"git_sha": "a"}', ""),
        ('{"hostname": "db2"}', "db2"),
        ('{"hostname": "db2", "host": "db1"}', "db1"),
    ],
)
def test_a_host_is_reported_under_one_of_two_names(metadata: str, host: str) -> None:
    assert reported_host(metadata) == host


def test_a_run_is_silent_if_its_heartbeat_ends_it_before_its_limit() -> None:
    beats = replace(BACKUP, heartbeat=300.0, max_runtime=3600.0)
    assert not alert_values.is_silent(beats, Night(beats).state)

    quiet = Night(beats).start("22 02:00").ping("22 02:04", Kind.PROGRESS)
    quiet.clock("22 02:10")
    assert alert_values.is_silent(beats, quiet.state)

    lively = Night(beats).start("22 02:00").ping("22 02:58", Kind.PROGRESS)
    lively.clock("22 03:01")
    assert not alert_values.is_silent(beats, lively.state)


@pytest.mark.parametrize("unit", ["B", "s", "%", ""])
def test_what_is_no_number_has_no_unit(unit: str) -> None:
    assert format_exactly(math.inf, unit) == "+Inf"
