"""Pushes judged by their success metric, their values and the configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.outcome_metrics import (
    MAX_NAME,
    OutcomeMetricsReader,
    Push,
    PushSettings,
    instant,
)
from afterrun_exporter.core.push_outcomes import MAX_MARKS, marks_of, with_marks
from afterrun_exporter.core.transitions import on_retired
from tests.copies import replace
from tests.core.pushes import HOUR, NOON, Pusher

SUCCESS = "my_batch_job_last_success_unixtime TIME"
DURATION = "my_batch_job_duration_seconds 12"


@pytest.mark.parametrize(
    "name",
    [
        "my_batch_job_last_success_unixtime",
        "my_batch_job_last_success_timestamp_seconds",
        "my_job_last_success_seconds",
        "my_batch_job_last_success",
        "db_backup_last_completion_last_success_time",
        "job_last_successful_run_timestamp",
        "last_success",
        "app:job:last_success_timestamp",
        'job_last_success{instance="a",table="b"}',
    ],
)
@pytest.mark.parametrize("failing", [(), (DURATION,), ("rows 1", "other_time TIME")])
def test_a_push_without_the_success_metric_is_a_failed_run(
    name: str, failing: tuple[str, ...]
) -> None:
    notifier = Pusher()

    assert notifier.push(f"{name} TIME") == "ok"
    assert notifier.push(*failing) == "fail"
    assert "is missing: earlier pushes of this job had it" in notifier.run.message
    assert notifier.state.last_success_at == NOON + HOUR
    assert notifier.run.finished_at == notifier.now
    assert notifier.push(*failing, "more 1") == "fail"
    assert notifier.push(f"{name} TIME", *failing) == "ok"


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("1795266000", "1795266001", "ok"),
        ("1795266000", "1795266000", "fail"),
        ("1795266000", "1795265999", "fail"),
        ("1795266000", "0", "fail"),
        ("1795266000", "NaN", "fail"),
        ("1795266000", "+Inf", "fail"),
        ("1795266000", "-1", "fail"),
        ("1795266000000", "1795266000", "fail"),
        ("1795266000", "1795266001000", "ok"),
        ("1795266000000000", "1795266001", "ok"),
        ("7", "8", "ok"),
        ("7", "7", "fail"),
        # A clock that was ahead by years, and then was set.
        ("4070908800", "4070908800", "fail"),
        ("4070908800", "1795269600", "ok"),
        ("0", "1795266001", "ok"),
    ],
)
def test_the_success_metric_must_advance(first: str, second: str, outcome: str) -> None:
    notifier = Pusher()

    notifier.push(f"job_last_success_unixtime {first}")

    assert notifier.push(f"job_last_success_unixtime {second}", "rows 1") == outcome


@pytest.mark.parametrize("value", ["0", "NaN", "-1", "+Inf"])
def test_a_job_that_never_succeeded_fails_at_once(value: str) -> None:
    notifier = Pusher()

    assert notifier.push(f"a_last_success_time {value}") == "fail"
    assert "never succeeded" in notifier.run.message
    assert notifier.push("rows 1") == "fail"
    assert notifier.push("a_last_success_time TIME") == "ok"


def test_a_success_metric_that_is_declared_and_never_set_fails() -> None:
    """Python's client library exposes so a gauge with labels that was not set."""
    notifier = Pusher()

    assert notifier.push("# TYPE last_success_timestamp_seconds gauge") == "fail"
    assert notifier.run.message == "last_success_timestamp_seconds has no value"
    assert notifier.push("rows 1") == "fail"


def test_each_success_metric_counts() -> None:
    notifier = Pusher()
    both = ("a_last_success TIME", "b_last_success TIME")

    assert notifier.push(*both) == "ok"
    assert notifier.push(both[0]) == "fail"
    assert notifier.push(*both) == "ok"
    assert notifier.push("a_last_success TIME", "b_last_success 1795266000") == "fail"


def test_each_series_of_a_success_metric_counts() -> None:
    notifier = Pusher()
    one, two = ('last_success{db="a"} TIME', 'last_success{db="b"} TIME')

    assert notifier.push(one, two) == "ok"
    assert notifier.push(one) == "fail"
    assert "has 1 series: earlier pushes of this job had 2" in notifier.run.message
    assert notifier.push(one, 'last_success{db="b"} 1795266000') == "fail"
    assert notifier.push(one, two) == "ok"


def test_a_label_that_changes_with_each_run_is_no_other_metric() -> None:
    """pytest-prometheus-pushgateway has the counts of its tests in a label."""
    notifier = Pusher()

    assert (
        notifier.push('last_success_timestamp_seconds{detail="3 passed"} TIME') == "ok"
    )
    assert (
        notifier.push('last_success_timestamp_seconds{detail="4 passed"} TIME') == "ok"
    )
    assert notifier.push('failed{detail="1 failed",name="a"} 1.0') == "fail"


@pytest.mark.parametrize(
    "name",
    [
        "backup_last_success_duration_seconds",
        "backup_last_success_size_bytes",
        "backup_last_success_age_seconds",
        "last_success_rows",
    ],
)
def test_a_quantity_of_the_last_success_is_no_time(name: str) -> None:
    notifier = Pusher()

    assert notifier.push(f"{name} 5") == "ok"
    assert notifier.push(f"{name} 5", "rows 1") == "ok"
    assert notifier.push("rows 1") == "ok"


@pytest.mark.parametrize(
    "line",
    [
        "job_success 0",
        "success 0",
        'backup_success{profile="photos"} 0',
        "backup_ok 0.0",
        "probe_up 0",
        "up 0",
        "run_succeeded 0",
        "job_successful 0",
        "job_success NaN",
        "job_success -1",
        "app:job_success 0",
        "backup_exit_code 3",
        "Backup_Success 0",
        "backup_successful_bool 0",
        *(
            f"backup_{flag} 1"
            for flag in ("crashed", "aborted", "errored", "has_error")
        ),
        "backup_error_code 3",
        "exit_code -1",
        "exit_status 1",
        'step_exit_status{step="load"} 1',
        "backup_return_code 2",
        "borg_rc 2",
        "exitcode 1",
        "backup_exit_code NaN",
        "backup_exit_code +Inf",
        "job_failed 1",
        "job_failure 1",
        "failed 2",
        "pytest_failed 1",
        "tests_errors 1",
        'etl_state{etl_state="failed"} 1',
        'job_status{status="error"} 1',
        'suite_info{status="failed",detail="1 failed"} 1',
        "job_last_failure_timestamp_seconds 1795266000",
    ],
)
def test_a_metric_that_says_failure_is_a_failed_run(line: str) -> None:
    """Also in the first push, and beside a success metric."""
    notifier = Pusher()

    assert notifier.push(line) == "fail"
    assert (
        line.split("{", maxsplit=1)[0].split(" ", maxsplit=1)[0] in notifier.run.message
    )
    notifier = Pusher()
    assert notifier.push("rows 1") == "ok"
    many = [f"m{number} {number}" for number in range(60)]
    assert notifier.push(*many, SUCCESS, line) == (
        "ok" if "last_failure" in line else "fail"
    )


@pytest.mark.parametrize(
    "line",
    [
        "job_success 1",
        "emails_success 120",
        "backup_exit_code 0",
        "job_failed 0",
        "errors_total 3",
        "row_errors 3",
        "failures_total 3",
        "items_failed_total 3",
        "training_error 0.02",
        "backup_status 0",
        "backup_status 1",
        "http_status 500",
        'job_status{status="failed"} 0',
        'etl_state{etl_state="running"} 1',
        'items{status="failed"} 3',
        "last_failed_rows 3",
        "job_last_failure_timestamp_seconds 0",
        'latency_bucket{le="1"} 0',
        "success_ratio 0",
        "group_by_setup 0",
    ],
)
def test_a_metric_that_says_nothing_plain_is_a_metric(line: str) -> None:
    assert Pusher().push(line) == "ok"


def test_a_failure_is_new_once() -> None:
    notifier = Pusher()
    old = "a_last_failure_time 1795266000"

    assert notifier.push("a_last_success_time TIME", old) == "ok"
    assert notifier.push("a_last_success_time TIME", old) == "ok"
    assert (
        notifier.push("a_last_success_time TIME", "a_last_failure_time TIME") == "fail"
    )
    assert notifier.push("a_last_success_time TIME", old) == "ok"


def test_a_rule_judges_in_place_of_the_default() -> None:
    """After a warning, borg exits with 1."""
    notifier = Pusher("borg_exit_code <= 1")

    assert notifier.push("borg_exit_code 1") == "ok"
    assert notifier.push("borg_exit_code 2") == "violated"
    assert notifier.push("borg_exit_code NaN") == "fail"
    assert notifier.push("other_exit_code 1", "borg_exit_code 0") == "fail"


def test_a_rule_judges_one_series() -> None:
    notifier = Pusher('copy_exit_code{a="x",to="s3"} <= 1')
    other = 'copy_exit_code{to="nas"}'

    assert notifier.push('copy_exit_code{to="s3",a="x"} 1', f"{other} 0") == "ok"
    assert notifier.push('copy_exit_code{to="s3",a="x"} 2', f"{other} 0") == "violated"
    assert notifier.push('copy_exit_code{to="s3",a="x"} 1', f"{other} 1") == "fail"


def test_a_rule_on_a_text_judges_no_number() -> None:
    notifier = Pusher('job_success == "yes"')

    assert notifier.push("job_success 0") == "fail"


def test_a_rule_judges_an_explicit_status() -> None:
    notifier = Pusher("backup_status == 0")

    assert notifier.push("backup_status 0") == "ok"
    assert notifier.push("backup_status 3") == "violated"
    assert notifier.push("rows 3") == "violated"


def test_no_other_metric_makes_a_job_forget_its_success_metric() -> None:
    notifier = Pusher()
    notifier.push(SUCCESS)

    for batch in range(4):
        many = [f"m{batch}_{number} 1" for number in range(60)]
        assert notifier.push(*many) == "fail"
    assert len(notifier.state.metrics) == 50
    for batch in range(2 * MAX_MARKS):
        assert notifier.push(f"a{batch}_last_success TIME") == "fail"
    assert len(notifier.state.marks or ()) == MAX_MARKS
    assert "my_batch_job_last_success_unixtime is missing" in notifier.run.message


def test_a_state_of_before_remembers_its_metrics() -> None:
    notifier = Pusher()
    notifier.push(SUCCESS)
    notifier.state = replace(notifier.state, marks=None)

    assert notifier.push("rows 1") == "fail"


def test_a_job_that_was_retired_begins_anew() -> None:
    notifier = Pusher()
    notifier.push(SUCCESS)
    notifier.state = on_retired(notifier.state, notifier.now).state

    assert notifier.push("rows 1") == "ok"


def test_a_push_that_is_sent_again_is_no_failure() -> None:
    notifier = Pusher()
    body = "a_last_success 1795266000"

    assert notifier.push(body) == "ok"
    before = notifier.state.marks
    assert notifier.push(body, after=5) == "repeat"
    assert notifier.state.marks == before
    assert notifier.push(body, after=60) == "fail"


def test_a_configured_success_metric_is_required() -> None:
    notifier = Pusher(push=PushSettings(success_metric=("etl_done*", "etl_ready")))

    assert notifier.push("a_last_success TIME") == "fail"
    assert notifier.run.message == "etl_done* or etl_ready is missing"
    assert notifier.push("etl_done_at TIME") == "ok"
    assert notifier.push("etl_ready TIME") == "fail"
    assert (
        notifier.run.message
        == "etl_done_at is missing: earlier pushes of this job had it"
    )
    notifier.job = replace(
        notifier.job, push=PushSettings(success_metric=("etl_ready",))
    )
    assert notifier.push("etl_ready TIME") == "ok"


def test_a_configured_success_metric_may_be_one_series() -> None:
    settings = PushSettings(success_metric=('last_success{db="a"}',))
    notifier = Pusher(push=settings)

    assert notifier.push('last_success{db="a"} TIME', 'last_success{db="b"} 0') == "ok"
    assert notifier.push('last_success{db="b"} TIME') == "fail"


def test_ignored_metrics_say_nothing() -> None:
    notifier = Pusher(push=PushSettings(ignore=("*_failed", "old_*", 'x{a="1"}')))

    assert notifier.push("rows_failed 3", "old_last_success 0") == "ok"
    assert notifier.push("old_success 0", 'x{a="1"} 1') == "ok"
    assert notifier.push("rows_failed 3", "job_success 0") == "fail"


@pytest.mark.parametrize(
    ("lines", "duration"),
    [
        (["my_batch_job_duration_seconds 12"], 12),
        (["db_backup_duration_seconds 12", "db_backup_records_processed 3"], 12),
        (["job_duration_seconds 3", "load_duration_seconds 1"], 3),
        (["duration_seconds 3", "load_duration_seconds 1"], 3),
        (["etl_duration_seconds 3", "load_duration_seconds 1"], 3),
        (['load_duration_seconds{region="eu"} 3'], 3),
        (['load_duration_seconds{region="eu"} 1', "load_duration_seconds 3"], 3),
        (["a_duration_seconds 3", "b_duration_seconds 1"], None),
        (["query_duration_seconds 3"], None),
        (["http_request_duration_seconds 3"], None),
        (['load_duration_seconds{step="a"} 3'], None),
        (['total_duration_seconds{quantile="0.5"} 3'], None),
        (["expected_duration_seconds 3"], None),
        (["backup_last_success_duration_seconds 3"], None),
        (["job_duration_seconds -1"], None),
        (["job_duration_seconds NaN"], None),
        (["job_duration_seconds 1e300"], None),
        (["job_duration_ms 3"], None),
    ],
)
def test_one_plain_duration_is_that_of_the_run(
    lines: list[str], duration: float | None
) -> None:
    notifier = Pusher()
    notifier.push(*lines)

    assert notifier.run.duration == duration


@pytest.mark.parametrize(
    ("lines", "duration"),
    [
        (["load_duration_seconds 3", "job_duration_seconds 1"], 3),
        (["load_took_ms 3000"], 3),
        (["load_minutes 3"], 180),
        (["job_duration_seconds 1"], None),
    ],
)
def test_a_configured_duration_is_that_of_the_run(
    lines: list[str], duration: float | None
) -> None:
    notifier = Pusher(push=PushSettings(duration_metric=("load_*",)))
    notifier.push(*lines)

    assert notifier.run.duration == duration


def test_two_configured_durations_are_none() -> None:
    notifier = Pusher(push=PushSettings(duration_metric=("*_took",)))
    notifier.push("a_took 1", "b_took 1")

    assert notifier.run.duration is None


VALUES = st.sampled_from(["0", "1", "TIME", "NaN", "1795266000"])
NAMES = st.sampled_from(
    ["a_last_success", 'a_last_success{t="1"}', "b_last_success", "job_success", "rows"]
)
PUSHES = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=6)


@given(PUSHES)
def test_an_ok_run_has_every_success_metric_and_each_has_advanced(
    pushes: list[dict[str, str]],
) -> None:
    """Whatever came before, and over restarts."""
    notifier = Pusher()
    best: dict[str, float] = {}
    for push in pushes:
        outcome = notifier.push(*(f"{name} {value}" for name, value in push.items()))
        times: dict[str, list[float]] = {}
        for name, text in push.items():
            if "last_success" in name:
                value = float(text.replace("TIME", repr(notifier.now)))
                times.setdefault(name.split("{")[0], []).append(value)
        if outcome == "ok":
            assert best.keys() <= times.keys()
            assert push.get("job_success") not in {"0", "NaN"}
            for name, values in times.items():
                assert min(values) > best.get(name, 0)
        for name, values in times.items():
            real = [value for value in values if value == value]  # noqa: PLR0124
            best[name] = max([best.get(name, 0), *real])


def test_a_value_beyond_all_times_is_none() -> None:
    assert instant(1e40) == 0.0
    assert instant(NOON * 1e9) == NOON


def test_a_message_names_a_few_of_many_failures() -> None:
    pusher = Pusher()
    flags = [f'job_failed{{table="{n}"}} 1' for n in range(40)]

    assert pusher.push(*flags) == "fail"
    assert pusher.run.message.endswith("and others")


def test_a_long_name_is_cut_and_stays_unique() -> None:
    names = [f"{'long_' * 100}{end}_last_success_timestamp" for end in "ab"]
    reader = OutcomeMetricsReader("etl", PushSettings(), ())
    for name in names:
        reader.read(name, {}, NOON)

    first, second = reader.push().succeeded
    assert first != second
    assert max(len(first), len(second)) <= MAX_NAME


def test_of_the_declared_metrics_those_without_a_time_are_missing() -> None:
    reader = OutcomeMetricsReader("etl", PushSettings(), ())
    reader.read("job_last_success", {}, NOON)

    push = reader.push(["job_last_success", "rows", "other_last_success"])

    assert push.missing == ("other_last_success",)


def test_a_state_without_marks_has_the_times_of_its_metrics() -> None:
    state = replace(
        Pusher().state, metrics={"rows": 5.0, "job_last_success": NOON}, marks=None
    )

    assert {name: mark.value for name, mark in marks_of(state).items()} == {
        "job_last_success": NOON
    }


def test_a_metric_that_is_declared_again_keeps_its_mark() -> None:
    state, push = Pusher().state, Push(missing=("job_last_success",))
    once = with_marks(state, state, push, NOON)

    assert with_marks(once, once, push, NOON + HOUR) is once
