"""Jobs that require others, and whose alerts are then held back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.alerts import FAILING, update
from afterrun_exporter.core.alerts import is_visible as is_alert_visible
from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import (
    Condition,
    Dependency,
    Job,
    Kind,
    Outcome,
    Settings,
)
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.state import AlertKey, JobState, OpenAlert
from afterrun_exporter.core.transitions import on_retired
from afterrun_exporter.core.upstream import (
    Required,
    dependents,
    downstream,
    requirements,
)
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at

WELL = (Required("ingest", healthy=True, trouble=""),)
ILL = (Required("ingest", healthy=False, trouble="its last run ended with fail"),)

UPSTREAM = "upstream_unhealthy"

#: Due at 02:00, by 02:30.
REPORT = replace(BACKUP, rules=(), depends_on=(Dependency("ingest"),))
#: Never due.
BY_HAND = replace(REPORT, schedule=None)


def night(job: Job = REPORT) -> Night:
    return Night(job, required=WELL)


def test_an_unhealthy_requirement_is_a_condition_of_the_job() -> None:
    """It keeps the other alerts of the job quiet, so it must be there before them."""
    report = night()
    report.required = ILL
    report.clock("22 01:00")

    assert report.open == [UPSTREAM]
    (opened,) = report.alerts
    assert opened.severity == "none"
    assert opened.summary == "required jobs are unhealthy: ingest"
    assert report.clock("22 02:31").open == ["missed", UPSTREAM]


def test_it_lasts_until_the_jobs_own_next_deadline() -> None:
    """The slot that fell into the trouble is excused, the next one is not."""
    report = night()
    report.required = ILL
    report.clock("22 01:00").clock("22 02:31")
    report.required = WELL

    assert report.clock("22 05:00").open == ["missed", UPSTREAM]
    assert report.clock("23 02:30").open == ["missed", UPSTREAM]
    assert report.clock("23 02:31").open == ["missed"]


def test_it_lasts_until_the_next_deadline_that_passes_in_no_downtime() -> None:
    """Its run may have come in vain."""
    report = night()
    report.required = ILL
    report.fail("22 02:10")
    report.required = WELL
    report.clock("22 05:00")
    report.settings = Settings(
        down_since=at("23 01:00"), up_since=at("23 03:00"), settled_at=at("23 03:02")
    )

    assert report.clock("23 03:00").open == ["failing", UPSTREAM]
    assert report.clock("24 02:30").open == ["failing", UPSTREAM]
    assert report.clock("24 02:31").open == ["failing", "missed"]


#: Due every day at the time of its last run, by five minutes later.
DAILY = replace(REPORT, schedule=Every(24 * 3600.0), grace=300)


@pytest.mark.parametrize(
    ("last_run", "healed", "told"),
    [
        pytest.param("21 02:30", "22 01:30", "22 02:35", id="before its slot"),
        pytest.param("21 02:30", "22 02:32", "23 02:35", id="in the grace of its slot"),
        pytest.param("20 02:30", "22 01:30", "22 02:35", id="after one that it missed"),
    ],
)
def test_the_slots_of_an_interval_go_by_the_last_run(
    last_run: str, healed: str, told: str
) -> None:
    """The period is not counted from the recovery: that would be a whole one more."""
    daily = Night(DAILY, known="19 00:00", required=WELL).ping(last_run)
    daily.required = ILL
    daily.clock("22 01:00")
    daily.required = WELL
    daily.clock(healed)

    assert UPSTREAM in daily.clock(told).open
    assert daily.clock(f"{told}:01").open == ["missed"]


@pytest.mark.parametrize("is_ill", [True, False])
def test_a_job_that_requires_nothing_any_more_is_not_held_back(is_ill: bool) -> None:
    """Its gauge is gone with the requirement, and the alert goes with the gauge."""
    report = night()
    report.required = ILL
    report.clock("22 01:00").fail("22 02:10")
    if not is_ill:
        report.required = WELL
        report.clock("22 05:00")
        assert report.open == ["failing", UPSTREAM]

    report.job, report.required = replace(REPORT, depends_on=()), ()

    assert report.clock("22 06:00").open == ["failing"]


def test_it_ends_with_the_jobs_next_run_whatever_comes_of_it() -> None:
    """With a healthy upstream a failure is the job's own."""
    for outcome, left in ((Outcome.OK, []), (Outcome.FAIL, ["failing"])):
        report = night()
        report.required = ILL
        report.clock("22 01:00").clock("22 02:31")
        report.required = WELL
        report.clock("22 05:00")

        report.ping("22 05:10", outcome=outcome)

        assert report.open == left


@pytest.mark.parametrize(
    ("waits", "fails", "is_visible"),
    [
        # Held back: it must not begin to fire when the waiting is over.
        ("22 01:00", "22 02:10:00", False),
        # Announced before: its minute is for those who evaluate seldom.
        ("22 02:10:05", "22 02:10:00", True),
    ],
)
def test_an_alert_that_was_held_back_is_visible_no_longer_than_the_waiting(
    waits: str, fails: str, is_visible: bool
) -> None:
    report = night()
    for when in sorted((waits, fails)):
        if when == waits:
            report.required = ILL
            report.clock(when)
        else:
            report.ping(when, outcome=Outcome.FAIL)
    report.required = WELL
    report.clock("22 02:10:10")

    report.ping("22 02:10:20")

    assert report.open == []
    assert is_alert_visible(report.state, FAILING) == is_visible


def test_a_run_while_the_trouble_lasts_ends_nothing() -> None:
    """It may have worked on yesterday's data."""
    report = night()
    report.required = ILL
    report.clock("22 01:00")

    assert report.ping("22 02:10").open == [UPSTREAM]


@pytest.mark.parametrize(
    ("fails", "left"), [(False, []), (True, ["failing", UPSTREAM])]
)
def test_a_job_without_a_schedule_waits_only_if_it_has_something_to_heal(
    fails: bool, left: list[str]
) -> None:
    """There is no deadline to wait for."""
    by_hand = night(BY_HAND)
    by_hand.required = ILL
    by_hand.clock("22 01:00")
    if fails:
        by_hand.fail("22 01:10")
    by_hand.required = WELL

    assert by_hand.clock("22 05:00").open == left
    assert by_hand.ping("22 06:00").open == []


def test_trouble_that_comes_back_starts_it_over() -> None:
    report = night()
    report.required = ILL
    report.clock("22 01:00")
    report.required = WELL
    report.clock("22 05:00")
    report.required = ILL
    report.clock("22 06:00")
    report.required = WELL
    report.clock("23 03:00")

    assert UPSTREAM in report.open
    assert UPSTREAM not in report.clock("24 02:31").open


def test_a_job_that_returns_to_the_configuration_has_none() -> None:
    """Its requirements may have healed while nobody looked."""
    report = night()
    report.required = ILL
    report.clock("22 01:00")
    report.state = on_retired(report.state, at("22 02:00")).state
    report.required = WELL

    assert report.clock("22 02:10").open == []


def test_a_disabled_job_has_no_upstream() -> None:
    report = night(replace(REPORT, enabled=False))
    report.required = ILL

    assert report.clock("22 01:00").open == []


@pytest.mark.parametrize("kind", [Kind.START, Kind.FINISH])
def test_a_job_that_runs_all_the_same_is_told(kind: Kind) -> None:
    """Its script may want to stop."""
    report = night()
    report.required = ILL

    report.ping("22 02:10", kind, run_id="a")

    assert report.last.warnings == (
        "this job requires 'ingest': its last run ended with fail",
    )
    assert report.ping("22 02:11", kind, run_id="a").last.warnings == ()


def jobs(**graph: list[str]) -> dict[str, Job]:
    return {
        name: Job(name=name, depends_on=tuple(Dependency(one) for one in wanted))
        for name, wanted in graph.items()
    }


def test_requirements_reach_through_other_jobs() -> None:
    """The data passes through, and so does the trouble with it."""
    known = jobs(report=["load", "rates"], load=["ingest"], ingest=[], rates=["ingest"])
    failed = JobState(
        created_at=0, due_after=0, last_outcome=Outcome.FAIL, consecutive_failures=1
    )
    failed, _ = update(known["ingest"], failed, at("22 01:00"), SETTINGS)
    states = {"ingest": failed}
    fresh = JobState(created_at=0, due_after=0)

    found = requirements(
        known["report"], lambda name: (known[name], states.get(name, fresh))
    )

    assert found == (
        Required("load", healthy=True, trouble=""),
        Required("rates", healthy=True, trouble=""),
        Required("ingest", healthy=False, trouble="its last run ended with fail"),
    )


#: For each alert that a parent may have: whether a child is held back that requires its
#: success, and one that requires only its end.
HOLDS_BACK = [
    (Condition.MISSED, True, True),
    (Condition.OVERRUNNING, True, True),
    (Condition.FAILING, True, False),
    (Condition.VIOLATED, True, False),
    (Condition.SLOW, False, False),
    (Condition.OVERLAPPING, False, False),
    (Condition.SUCCESS_RATIO_LOW, False, False),
    (Condition.UPSTREAM_UNHEALTHY, False, False),
    (Condition.TEST, False, False),
    (Condition.SUCCEEDED, False, False),
]


def with_alert(condition: Condition) -> JobState:
    """Return the state of a job of which one alert is open."""
    alert = OpenAlert(key=AlertKey(condition), opened_at=0, shown_at=0)
    return JobState(created_at=0, due_after=0, alerts=(alert,))


@pytest.mark.parametrize(("condition", "success", "end"), HOLDS_BACK)
def test_a_job_may_require_success_or_only_an_end(
    condition: Condition, success: bool, end: bool
) -> None:
    for requires_success, held_back in ((True, success), (False, end)):
        child = Job(name="c", depends_on=(Dependency("p", requires_success),))
        (found,) = requirements(child, lambda _: (Job(name="p"), with_alert(condition)))

        assert found.healthy is not held_back


def test_every_condition_is_in_the_table() -> None:
    assert {condition for condition, *_ in HOLDS_BACK} == {*Condition}


@pytest.mark.parametrize("requires_success", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.PARTIAL, Outcome.VIOLATED])
def test_a_child_that_requires_an_end_is_not_told_how_it_ended(
    requires_success: bool, outcome: Outcome
) -> None:
    state = JobState(created_at=0, due_after=0, last_outcome=outcome)
    child = Job(name="c", depends_on=(Dependency("p", requires_success),))

    (found,) = requirements(child, lambda _: (Job(name="p"), state))

    assert bool(found.trouble) is requires_success


@pytest.mark.parametrize(
    ("near", "far", "held_back"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_success_is_required_where_every_step_requires_it(
    near: bool, far: bool, held_back: bool
) -> None:
    """What only has to end passes its failure on to no job."""
    load = Job(name="load", depends_on=(Dependency("ingest", far),))
    known = {
        "load": (load, JobState(created_at=0, due_after=0)),
        "ingest": (Job(name="ingest"), with_alert(Condition.FAILING)),
    }
    report = Job(name="report", depends_on=(Dependency("load", near),))

    found = {one.job: one.healthy for one in requirements(report, known.get)}

    assert found == {"load": True, "ingest": not held_back}


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_the_way_that_requires_more_counts(order: tuple[bool, bool]) -> None:
    names = ("a", "b")
    known = {
        name: (
            Job(name=name, depends_on=(Dependency("ingest"),)),
            JobState(created_at=0, due_after=0),
        )
        for name in names
    } | {"ingest": (Job(name="ingest"), with_alert(Condition.VIOLATED))}
    report = Job(name="report", depends_on=tuple(map(Dependency, names, order)))

    found = requirements(report, known.get)

    assert [one.job for one in found] == ["a", "b", "ingest"]
    assert not found[-1].healthy


def test_a_violated_or_missed_requirement_is_unhealthy_and_a_canceled_one_is_not() -> (
    None
):
    """What the requirement itself has an alert for."""
    parent = Night()

    def found() -> Required:
        (one,) = requirements(REPORT, lambda _: (parent.job, parent.state))
        return one

    parent.ping("22 02:10", outcome=Outcome.CANCELED)
    assert found().healthy
    parent.ping("22 02:20", metrics={"rows": 0.0, "size": 5000.0})
    assert found() == Required("backup", False, "its last run ended with violated")
    parent.ping("22 02:25").clock("23 02:31")
    assert found() == Required("backup", False, "it did not run when it was due")


GRAPHS = st.dictionaries(
    st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3, unique=True)
)


@given(GRAPHS)
def test_downstream_is_the_other_way_round_of_requirements(
    graph: dict[int, list[int]],
) -> None:
    """Even where the configuration is wrong and goes round in circles."""
    known = jobs(
        **{str(n): [str(one) for one in wanted] for n, wanted in graph.items()}
    )
    fresh = JobState(created_at=0, due_after=0)

    def look_up(name: str) -> tuple[Job, JobState] | None:
        return (known.get(name, Job(name=name)), fresh)

    above = {
        (one.job, name)
        for name, job in known.items()
        for one in requirements(job, look_up)
    }
    below = {
        (name, child)
        for name in map(str, range(10))
        for child in downstream(name, dependents(known.values()))
    }
    assert above == below


def test_a_job_that_is_reached_in_two_ways_is_named_once() -> None:
    jobs = [
        Job(name="clean", depends_on=(Dependency("ingest"),)),
        Job(name="load", depends_on=(Dependency("ingest"),)),
        Job(name="report", depends_on=(Dependency("clean"), Dependency("load"))),
    ]

    assert [*downstream("ingest", dependents(jobs))] == ["clean", "load", "report"]


def test_a_job_that_is_not_watched_counts_as_healthy() -> None:
    job = Job(name="report", depends_on=(Dependency("elsewhere"),))

    assert requirements(job, lambda _: None) == ()


def test_a_job_is_checked_at_the_end_of_its_chance_to_run() -> None:
    night = Night(REPORT, required=ILL).clock("22 03:00")
    night.required = WELL
    night.clock("22 04:00")

    assert night.state.upstream_healed_at == at("22 04:00")
    assert wake_at(REPORT, night.state, SETTINGS) == at("23 02:30")
