from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import (
    NEUTRAL,
    Concurrency,
    Condition,
    Dependency,
    Job,
    Outcome,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.upstream import Required
from afterrun_exporter.exposition.exposed_job import label
from afterrun_exporter.exposition.families import FAMILIES
from tests.copies import replace
from tests.core.jobs import BACKUP, SETTINGS, Night, at
from tests.exposition.rendered import render

LABELLED = replace(
    BACKUP,
    severity="critical",
    labels=(("team", "data"), ("tier", "")),
    project="infra",
    max_runtime=3600,
    rules=(parse_rule("rows between 1 and 1k".replace("1k", "1000")),),
)


def text(night: Night) -> str:
    return render([(night.job, night.state)], SETTINGS).decode()


def samples(night: Night, family: str) -> dict[tuple[str, ...], float]:
    """Return the values of *family* by the values of their labels."""
    for found in text_string_to_metric_families(text(night)):
        if found.name == family.removesuffix("_total"):
            return {tuple(s.labels.values()): s.value for s in found.samples}
    return {}


def value(night: Night, family: str) -> float:
    (only,) = samples(night, family).values()
    return only


def test_a_job_that_never_ran_has_every_series() -> None:
    """Whole bytes: what is scraped the moment a job is registered."""
    known = at("21 12:00")
    due, deadline = at("22 02:00"), at("22 02:30")
    own = 'job_name="backup"'
    alerting = f'{own},severity="critical",team="data",tier=""'
    info = (
        'schedule="0 2 * * *",timezone="UTC",project="infra",'
        'severity="critical",team="data",tier=""'
    )
    rule = 'rule="rows between 1 and 1000",metric="rows"'
    told = (
        ("info", "gauge", f"{{{own},{info}}} 1"),
        ("created_timestamp_seconds", "gauge", f"{{{own}}} {known:.0f}"),
        ("last_ping_timestamp_seconds", "gauge", f"{{{own}}} 0"),
        ("last_start_timestamp_seconds", "gauge", f"{{{own}}} 0"),
        ("last_run_timestamp_seconds", "gauge", f"{{{own}}} 0"),
        ("last_success_timestamp_seconds", "gauge", f"{{{own}}} 0"),
        ("last_failure_timestamp_seconds", "gauge", f"{{{own}}} 0"),
        ("last_run_success", "gauge", ""),
        ("last_run_outcome", "gauge", ""),
        ("last_duration_seconds", "gauge", f"{{{own}}} NaN"),
        ("metric", "gauge", ""),
        ("rule_violated", "gauge", f"{{{alerting},{rule}}} 0"),
        ("rule_threshold", "gauge", f'{{{own},{rule},op=">="}} 1', f'{{{own},{rule},op="<="}} 1000'),
        ("next_run_timestamp_seconds", "gauge", f"{{{own}}} {due:.0f}"),
        ("deadline_timestamp_seconds", "gauge", f"{{{alerting}}} {deadline:.0f}"),
        ("stale", "gauge", f"{{{own}}} 0"),
        ("running", "gauge", f"{{{own}}} 0"),
        ("run_deadline_timestamp_seconds", "gauge", f"{{{alerting}}} +Inf"),
        ("paused", "gauge", f"{{{own}}} 0"),
        ("unobserved", "gauge", f"{{{own}}} 0"),
        ("consecutive_failures", "gauge", f"{{{own}}} 0"),
        ("failing", "gauge", f"{{{alerting}}} 0"),
        ("success_ratio", "gauge", ""),
        ("success_ratio_low", "gauge", ""),
        ("slow", "gauge", ""),
        ("slow_threshold_seconds", "gauge", ""),
        ("overlapping", "gauge", ""),
        ("upstream_unhealthy", "gauge", ""),
        ("test_alert", "gauge", ""),
        ("succeeded", "gauge", ""),
        ("alert_detail", "gauge", ""),
        ("schedule_invalid", "gauge", f"{{{own}}} 0"),
        ("duration_seconds", "summary", f"_sum{{{own}}} 0", f"_count{{{own}}} 0"),
        ("runs_total", "counter", f"{{{own}}} 0"),
        ("failed_attempts_total", "counter", f"{{{own}}} 0"),
        ("run_failures_total", "counter", f"{{{own}}} 0"),
        ("violating_runs_total", "counter", f"{{{own}}} 0"),
        ("runs_by_outcome_total", "counter", ""),
        ("missed_runs_total", "counter", f"{{{own}}} 0"),
        ("unobserved_slots_total", "counter", f"{{{own}}} 0"),
        ("duplicate_pings_total", "counter", f"{{{own}}} 0"),
    )  # fmt: skip
    expected = ""
    for short, kind, *lines in told:
        name = f"afterrun_job_{short}"
        expected += f"# HELP {name} {names.HELP[name]}\n# TYPE {name} {kind}\n"
        if name.endswith("_seconds"):
            expected += f"# UNIT {name} seconds\n"
        expected += "".join(f"{name}{line}\n" for line in lines if line)

    assert text(Night(LABELLED)) == expected


def test_runs_are_counted_by_outcome_once_one_has_occurred() -> None:
    night = Night(Job(name="backup"))
    for number, outcome in enumerate((Outcome.TIMEOUT, Outcome.OK, Outcome.TIMEOUT)):
        night.ping("22 02:10", run_id=str(number), outcome=outcome)

    assert samples(night, names.RUNS_BY_OUTCOME) == {
        ("backup", "ok"): 1,
        ("backup", "timeout"): 2,
    }


def test_a_run_shows_in_every_family_it_concerns() -> None:
    night = Night(LABELLED).start("22 02:00").ping("22 02:10", metrics={"rows": 0})

    assert value(night, names.LAST_PING) == at("22 02:10")
    assert value(night, names.LAST_START) == at("22 02:00")
    assert value(night, names.LAST_RUN) == at("22 02:10")
    assert value(night, names.LAST_SUCCESS) == 0
    assert value(night, names.LAST_FAILURE) == at("22 02:10")
    assert value(night, names.LAST_RUN_SUCCESS) == 0
    assert value(night, names.LAST_DURATION) == 600
    assert samples(night, names.METRIC_VALUE) == {("backup", "rows"): 0}
    assert value(night, names.RULE_VIOLATED) == 1
    assert value(night, names.CONSECUTIVE_FAILURES) == 1
    assert value(night, names.FAILING) == 0
    assert value(night, names.RUNS) == 1
    assert value(night, names.VIOLATING_RUNS) == 1
    assert value(night, names.NEXT_RUN) == at("23 02:00")
    assert f'{names.DURATION}_sum{{job_name="backup"}} 600\n' in text(night)
    assert f'{names.DURATION}_count{{job_name="backup"}} 1\n' in text(night)


def test_the_outcomes_have_the_codes_that_the_help_text_says() -> None:
    told = ", ".join(f"{code} {outcome}" for code, outcome in enumerate(Outcome))

    assert told in names.HELP[names.LAST_OUTCOME]
    for code, outcome in enumerate(Outcome):
        if outcome not in {Outcome.VIOLATED, *NEUTRAL}:
            night = Night().ping("22 02:10", outcome=outcome)
            assert value(night, names.LAST_OUTCOME) == code


def test_an_open_run_shows_when_it_will_be_overrunning() -> None:
    night = Night(LABELLED).start("22 02:00")

    assert value(night, names.RUNNING) == 1
    assert value(night, names.RUN_DEADLINE) == at("22 03:00")


def test_a_failure_with_a_timeout_has_a_series_of_its_own() -> None:
    """The other one is at 0, so that its last value is no failure."""
    plain, timed_out = ("backup", "warning"), ("backup", "warning", "true")
    night = Night().fail("22 02:00")
    assert samples(night, names.FAILING) == {plain: 1}

    night.ping("22 02:10", outcome=Outcome.TIMEOUT)
    assert samples(night, names.FAILING) == {plain: 0, timed_out: 1}
    # It is over, and shown for a while.
    night.ping("22 02:10:30")
    assert samples(night, names.FAILING) == {plain: 0, timed_out: 1}
    assert samples(night.clock("22 02:20"), names.FAILING) == {plain: 0, timed_out: 0}
    assert samples(night.fail("22 02:30"), names.FAILING) == {plain: 1}


def test_a_missed_job_shows_the_deadline_that_passed() -> None:
    night = Night().clock("23 12:00")

    assert value(night, names.DEADLINE) == at("22 02:30")
    assert value(night, names.STALE) == 1
    assert value(night, names.MISSED_RUNS) == 2


def test_a_condition_that_is_soon_over_can_still_be_seen() -> None:
    night = Night().ping("22 02:30:10").fail("22 02:30:12").ping("22 02:30:14")

    assert value(night, names.DEADLINE) == at("22 02:30")
    assert value(night, names.STALE) == 1
    assert value(night, names.FAILING) == 1
    assert value(night, names.LAST_RUN_SUCCESS) == 1

    night.clock("22 02:32")

    assert value(night, names.DEADLINE) == at("23 02:30")
    assert value(night, names.STALE) == 0
    assert value(night, names.FAILING) == 0


def test_a_paused_job_expects_nothing() -> None:
    night = Night(replace(BACKUP, enabled=False)).fail("22 02:10").clock("23 12:00")

    assert value(night, names.PAUSED) == 1
    assert value(night, names.DEADLINE) == math.inf
    assert value(night, names.FAILING) == 0
    assert value(night, names.RUN_FAILURES) == 1


@pytest.mark.parametrize(
    ("job", "invalid"),
    [
        (BACKUP, 0),
        (replace(BACKUP, schedule=None), 0),
        (replace(BACKUP, schedule=parse_cron("0 0 30 2 *", "UTC")), 1),
    ],
)
def test_a_schedule_that_never_comes_is_told(job: Job, invalid: int) -> None:
    assert value(Night(job), names.SCHEDULE_INVALID) == invalid


def test_the_info_tells_an_interval_in_words() -> None:
    night = Night(replace(BACKUP, schedule=Every(5400)))

    assert ("backup", "every 1h30m", "", "", "warning") in samples(night, names.INFO)


def test_a_rule_has_its_own_severity() -> None:
    rule = replace(parse_rule("rows > 0"), severity="critical")
    night = Night(replace(BACKUP, rules=(rule,)))

    (labels,) = samples(night, names.RULE_VIOLATED)
    assert "critical" in labels


def test_a_threshold_that_follows_the_last_ok_run_is_shown_as_a_number() -> None:
    night = Night(replace(BACKUP, rules=(parse_rule("rows >= 0.5 * previous"),)))
    assert math.isnan(value(night, names.RULE_THRESHOLD))

    assert value(night.ping("22 02:10"), names.RULE_THRESHOLD) == 60


@pytest.mark.parametrize("evil", ['a"b', "a\\b", "a\nb", "ä→🎉", 'a{b="c"} 1\n'])
def test_no_label_value_breaks_the_format(evil: str) -> None:
    night = Night(replace(BACKUP, labels=(("team", evil),), project=evil))
    night.ping("22 02:10", metrics={evil: 5})

    assert samples(night, names.METRIC_VALUE) == {("backup", evil): 5}
    assert label("team", evil).count("\n") == 0


def test_every_family_is_in_the_conventions() -> None:
    for family in FAMILIES:
        assert family.name in names.HELP


def test_a_counter_is_named_like_one_and_nothing_else_is() -> None:
    for family in FAMILIES:
        assert family.name.endswith("_total") is (family.type == "counter")


def test_success_and_failure_need_a_run() -> None:
    state = JobState(created_at=1.0, due_after=1.0)
    shown = render([(BACKUP, replace(state, last_outcome=Outcome.OK))], SETTINGS)

    assert b"afterrun_job_last_run_success{" in shown
    assert b"afterrun_job_last_run_success{" not in render([(BACKUP, state)], SETTINGS)


BUSY = replace(
    LABELLED,
    rules=(),
    success_ratio=SuccessRatio(below=0.8, over=6 * 3600.0, min_runs=2),
    slower_than=SlowerThan(factor=2, over=6 * 3600.0, min_runs=2),
    concurrency=Concurrency(max=1),
    depends_on=(Dependency("ingest"),),
)

ALERTING = ("backup", "critical", "data", "")


@pytest.mark.parametrize(
    ("family", "labels", "quiet", "loud"),
    [
        (names.SUCCESS_RATIO, ("backup",), math.nan, 0.75),
        (names.SUCCESS_RATIO_LOW, ALERTING, 0, 1),
        (names.SLOW, ALERTING, 0, 1),
        (names.SLOW_THRESHOLD, ("backup",), math.nan, 20.0),
        (names.OVERLAPPING, ALERTING, 0, 1),
        (names.UPSTREAM_UNHEALTHY, ALERTING, 0, 1),
    ],
)
def test_a_condition_has_its_gauge_where_it_is_configured(
    family: str, labels: tuple[str, ...], quiet: float, loud: float
) -> None:
    """And from the start: a series that first appears as 1 has not changed."""
    calm = Night(BUSY)
    busy = Night(BUSY)
    busy.required = (Required("ingest", healthy=False, trouble="it failed"),)
    for minute, duration in enumerate((10.0, 10.0, 30.0)):
        busy.ping(f"21 12:0{minute}", duration=duration)
    busy.fail("21 12:05").start("21 12:06", run_id="a").start("21 12:07", run_id="b")

    assert samples(Night(LABELLED), family) == {}
    assert samples(calm, family) == pytest.approx({labels: quiet}, nan_ok=True)
    assert samples(busy, family) == {labels: loud}


def details(night: Night) -> dict[tuple[str, ...], float]:
    """Return what alerts tell, by what follows the labels of a job that alert."""
    found = samples(night, names.ALERT_DETAIL)
    assert {labels[:4] for labels in found} <= {ALERTING}
    return {labels[4:]: number for labels, number in found.items()}


def test_what_alerts_tell_is_there_while_they_are_open() -> None:
    """And only then: that of 100,000 healthy jobs would be read in vain."""
    night = Night(LABELLED).ping("22 02:10", metrics={"rows": 5})
    assert details(night) == {}

    night.fail("23 02:10")
    assert details(night) == {
        ("failing", "runs"): 1,
        ("failing", "outcome"): 1,
        ("failing", "exit_code"): -1,
        ("failing", "success"): at("22 02:10"),
    }

    night.fail("24 02:10", exit_code=137)
    assert details(night)["failing", "runs"] == 2
    assert details(night)["failing", "exit_code"] == 137

    night.ping("25 02:10", metrics={"rows": 5})
    assert details(night.clock("25 02:30")) == {}


@pytest.mark.parametrize(
    ("rule", "reported", "told"),
    [
        ("rows between 1 and 1000", {"rows": 0.0}, (0, ">=", 1)),
        ("rows between 1 and 1000", {"rows": 2000.0}, (2000, "<=", 1000)),
        # It was not reported; that of the run before keeps the rule.
        ("rows between 1 and 1000", {}, (math.nan, ">=", 1)),
        ("rows >= 0.1 * previous", {"rows": 1.0}, (1, ">=", 12)),
        # In digits that people read.
        ("rows >= 0.07 * previous", {"rows": 1.0}, (1, ">=", 8.4)),
        ("duration < 10m", {}, (700, "<", 600)),
    ],
)
def test_a_violated_rule_tells_the_value_and_the_bound_that_it_breaks(
    rule: str, reported: dict[str, float], told: tuple[float, str, float]
) -> None:
    night = Night(replace(LABELLED, rules=(parse_rule(rule),)))
    night.ping("22 02:10", metrics={"rows": 120.0}, duration=5.0)

    night.ping("23 02:10", metrics=reported, duration=700.0)

    number, op, bound = told
    metric = rule.partition(" ")[0]
    unit = "s" if metric == "duration" else "-"
    assert details(night) == pytest.approx(
        {
            (rule, metric, "violated", "value"): number,
            (rule, metric, op, unit, "violated", "bound"): bound,
        },
        rel=0,
        abs=0,
        nan_ok=True,
    )


def test_a_rule_on_text_has_no_value_to_tell() -> None:
    night = Night(replace(LABELLED, rules=(parse_rule('message == "done"'),)))

    night.ping("22 02:10", metrics={})

    assert value(night, names.RULE_VIOLATED) == 1
    assert details(night) == {}


def test_other_alerts_tell_what_they_are_about() -> None:
    night = Night(BUSY)
    for minute, duration in enumerate((10.0, 10.0, 30.0)):
        night.ping(f"21 12:0{minute}", duration=duration)
    assert details(night) == {
        ("slow", "value"): 30,
        ("slow", "usual"): 10,
        ("slow", "limit"): 20,
    }

    night.fail("21 12:05").start("21 12:06", run_id="a").start("21 12:07", run_id="b")
    assert details(night)["overlapping", "runs"] == 2

    night.fail("21 12:08")
    assert details(night)["success_ratio_low", "value"] == 0.6


def test_a_test_alert_is_there_while_it_lasts() -> None:
    """With the severity that was asked for, so that it takes that way."""
    night = Night(LABELLED)
    opened = on_test(night.job, night.state, at("21 12:00"), 120.0, "page", SETTINGS)
    night.state = opened.state

    assert samples(night, names.TEST_ALERT) == {("backup", "page", "data", ""): 1}
    assert samples(night.clock("21 12:03"), names.TEST_ALERT) == {}


def test_no_declared_label_has_the_name_of_another_label_of_its_series() -> None:
    """A series with a label twice makes Prometheus refuse the whole scrape."""
    everything = replace(BUSY, labels=(("team", "data"),), rules=LABELLED.rules)
    night = Night(everything)
    night.required = (Required("ingest", healthy=False, trouble="it failed"),)
    for minute, duration in enumerate((10.0, 10.0, 30.0)):
        night.ping(f"21 12:0{minute}", duration=duration, metrics={"rows": 0.0})
    night.ping("21 12:04", outcome=Outcome.TIMEOUT)
    night.start("21 12:06", run_id="a").start("21 12:07", run_id="b")

    labelled = [
        sample.labels.keys()
        for family in text_string_to_metric_families(text(night))
        for sample in family.samples
        if "team" in sample.labels
    ]

    assert {names.TIMED_OUT, names.CONDITION, names.OP} <= set().union(*labelled)
    assert set().union(*labelled) - {"team"} <= names.RESERVED_LABELS


def test_series_of_a_condition_have_its_own_severity() -> None:
    """Its details, too, because alerts join them."""
    job = Job(
        name="backup",
        max_runtime=60.0,
        severities=((Condition.FAILING, "high"), (Condition.OVERRUNNING, "low")),
    )
    night = Night(job).ping("22 02:10", outcome=Outcome.TIMEOUT)
    severity = {
        line.partition("{")[0].removeprefix("afterrun_job_"): line.split('"')[3]
        for line in text(night).splitlines()
        if 'severity="' in line
    }

    assert severity["failing"] == "high"
    assert severity["run_deadline_timestamp_seconds"] == "low"
    assert severity["deadline_timestamp_seconds"] == "warning"
    assert severity["alert_detail"] == "high"
