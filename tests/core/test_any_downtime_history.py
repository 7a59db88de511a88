"""Whatever downtimes there are: what is unobserved, and what is missed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import deadline, wake_at
from afterrun_exporter.core.downtimes import SLACK, settling
from afterrun_exporter.core.model import Concurrency, Condition, Job, Kind, Settings
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import AlertOpened
from afterrun_exporter.core.transitions import on_clock, on_ping, registered
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, at, ping, told

PLAIN: Final = replace(BACKUP, rules=(), early=0)
T0 = at("22 00:00")
PERIODS = {"* * * * *": 60, "*/10 * * * *": 600}


def fate(
    slot: float,
    period: float,
    grace: float,
    downtimes: list[tuple[float, float, float, float]],
    reports: list[float],
    now: float,
) -> str:
    """Return what *slot* is by *now*, by the plainest of means.

    A downtime is its begin, that of the first one it goes on from, its end, and when it
    is settled.
    """
    due = limit = slot + grace
    kind = "missed"
    for begin, since, until, settled in downtimes:
        if limit < begin:
            break
        later = slot
        while later <= until:
            later += period
        if since <= due <= until:
            first = slot
            while first + grace <= until:
                first += period
            late = first + grace
            if first <= until and late < settled:
                late = min(settled, later + grace)
            kind, limit = "unobserved", min(settled, late)
        elif slot <= until < due < settled:
            kind, limit = "missed", min(settled, later + grace)
        else:
            kind, limit = "missed", due
    if any(slot <= report <= limit for report in reports):
        return "covered"
    return kind if limit < now else "open"


@given(
    text=st.sampled_from(sorted(PERIODS)),
    grace=st.sampled_from([5, 20, 150, 700]),
    spans=st.lists(st.integers(1, 900), min_size=2, max_size=8),
    settle=st.integers(0, 200),
    starts=st.booleans(),
    reports=st.sets(st.integers(1, 4000), max_size=20),
)
def test_a_slot_is_covered_missed_unobserved_or_open(
    text: str,
    grace: int,
    spans: list[int],
    settle: int,
    starts: bool,
    reports: set[int],
) -> None:
    """And unobserved only if its deadline passed in a downtime; every other span is one."""
    schedule, period = parse_cron(text, "UTC"), PERIODS[text]
    job = replace(PLAIN, schedule=schedule, grace=grace)
    state, settings = registered(job, T0), SETTINGS
    downtimes: list[tuple[float, float, float, float]] = []
    received: list[float] = []
    now = T0
    for number, span in enumerate(spans):
        until = now + span
        if number % 2 == 0:
            here = sorted(T0 + one for one in reports if now < T0 + one <= until)
            received += here
            for instant in [*here, until]:
                while (wake := wake_at(job, state, settings)) < instant:
                    state = on_clock(job, state, wake + 0.5, settings).state
                if instant in here:
                    state = on_ping(job, state, ping(told(instant)), settings).state
        else:
            begins = now
            if downtimes and now <= downtimes[-1][3] + SLACK:
                begins = downtimes[-1][1]
            downtimes.append((now, begins, until, until + settle))
            since = -math.inf if starts else now
            settings = settling(settings, since, until, settle)
            state = on_clock(job, state, until, settings).state
        now = until

    slots = range(int(T0) + period, int(now) + 1, period)
    fates = [fate(slot, period, grace, downtimes, received, now) for slot in slots]
    assert state.missed_total == fates.count("missed")
    assert state.unobserved_total == fates.count("unobserved")
    assert state.unobserved is None or state.missed_deadline is None


JOBS: Final = (
    replace(PLAIN, schedule=Every(60), grace=20),
    replace(PLAIN, schedule=Every(300), grace=10, max_runtime=90),
    replace(
        PLAIN, schedule=parse_cron("*/5 * * * *", "UTC"), grace=30, max_runtime=200
    ),
    replace(PLAIN, schedule=Every(200), grace=20, after_downtime=100.0),
    replace(PLAIN, schedule=None, max_runtime=60, concurrency=Concurrency(max=1)),
    replace(PLAIN, schedule=Every(900), grace=5, heartbeat=40, max_runtime=600),
)


@dataclass(frozen=True, slots=True)
class Up:
    """A time in which the daemon is up, and what is reported in it, and when."""

    reports: tuple[tuple[int, Kind], ...]
    rest: int


REPORTS = st.tuples(
    st.integers(1, 200), st.sampled_from([Kind.START, Kind.FINISH, Kind.PROGRESS])
)


def stories(rest: int = 1) -> st.SearchStrategy[list[tuple[Up, int]]]:
    """Return times up, with so much *rest* at their ends at least, and downtimes."""
    ups = st.builds(
        Up,
        reports=st.lists(REPORTS, max_size=4).map(tuple),
        rest=st.integers(rest, 400),
    )
    return st.lists(st.tuples(ups, st.integers(1, 1500)), min_size=1, max_size=4)


def lived(
    job: Job, story: list[tuple[Up, int]], settle: int, *, watched: bool
) -> tuple[Any, list[Any], list[tuple[float, float]], Settings, float]:
    """Return the state and the alerts after *story*: times up, each before a downtime.

    And the downtimes, the settings and the time. Where it is not *watched*, nothing
    is checked before something is reported or a downtime begins.
    """
    state, settings = registered(job, T0), SETTINGS
    alerts: list[Any] = []
    downtimes: list[tuple[float, float]] = []
    now = T0

    waits = job.after_downtime or 0.0

    def check(when: float) -> None:
        nonlocal state
        made = on_clock(job, state, when, settings)
        state = made.state
        alerts.extend(made.alerts)

    def watch(until: float) -> None:
        while watched and (wake := wake_at(job, state, settings)) < until:
            check(max(wake, now) + 0.25)

    for up, down in story:
        for later, kind in up.reports:
            watch(now + later)
            now += later
            report = ping(told(now), kind, run_id="a" if later % 2 else "b")
            made = on_ping(job, state, replace(report, at=now), settings)
            state = made.state
            alerts.extend(made.alerts)
        watch(now + up.rest)
        now += up.rest
        check(now)
        settings = settling(settings, now, now + down, settle, waits)
        downtimes.append((now, now + down))
        now += down
        check(now)
    end = now + 2000
    watch(end)
    check(end)
    return state, alerts, downtimes, settings, end


@given(job=st.sampled_from(JOBS), story=stories(), settle=st.integers(0, 130))
def test_no_alert_is_about_a_moment_in_a_downtime(
    job: Job, story: list[tuple[Up, int]], settle: int
) -> None:
    """But for the job that asks for one, and that is after the downtime."""
    state, alerts, downtimes, settings, _ = lived(job, story, settle, watched=True)

    alive = any(kind is Kind.PROGRESS for up, _ in story for _, kind in up.reports)
    passed = [
        one.alert.deadline
        for one in alerts
        if isinstance(one, AlertOpened)
        # A run that shows a sign of life after its limit has not ended in time.
        and not (alive and one.key.condition is Condition.OVERRUNNING)
    ]
    for since, until in downtimes:
        # With no settle time, a job that asks for it is alerted at the very end.
        inside = [due for due in passed if due is not None and since <= due < until]
        assert inside == []
    assert state.unobserved is None or state.missed_deadline is None
    due = deadline(job, state, settings)
    hidden = settings.down_since <= due < settings.up_since
    assert state.missed_deadline is not None or not hidden


@given(job=st.sampled_from(JOBS), story=stories(), settle=st.integers(0, 130))
def test_a_job_that_reports_no_more_is_missed_after_any_downtime(
    job: Job, story: list[tuple[Up, int]], settle: int
) -> None:
    state, _, _, settings, end = lived(job, story, settle, watched=True)

    due = deadline(job, state, settings)
    assert (state.missed_deadline is not None) == (due < end)
    if job.schedule is not None:
        assert due <= settings.up_since + 900 + 600 + 5


@given(job=st.sampled_from(JOBS), story=stories(rest=191), settle=st.integers(0, 130))
def test_how_often_it_is_checked_changes_nothing(
    job: Job, story: list[tuple[Up, int]], settle: int
) -> None:
    """But how soon that is known; each downtime is settled before the next one."""
    watched, *_ = lived(job, story, settle, watched=True)
    seldom, *_ = lived(job, story, settle, watched=False)

    assert facts(watched) == facts(seldom)


def facts(state: Any) -> dict[str, Any]:
    names = (
        *("due_after", "missed_through", "missed_deadline", "missed_total"),
        *("unobserved", "unobserved_through", "unobserved_total", "open_runs"),
    )
    found = {name: getattr(state, name) for name in names}
    return {**found, "alerts": {alert.key for alert in state.alerts}}
