"""A clock that was ahead and is set back leaves nothing behind, in whatever field."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import iter_unpack
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.clock_setbacks import put_back
from afterrun_exporter.core.deadlines import is_unchanged, slot_after, wake_at
from afterrun_exporter.core.downtimes import settling
from afterrun_exporter.core.model import (
    Concurrency,
    Condition,
    Dependency,
    Job,
    Kind,
    Outcome,
    Ping,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.outcome_metrics import Push, Times
from afterrun_exporter.core.pauses import on_pause, on_resume
from afterrun_exporter.core.receiver_checks import on_test
from afterrun_exporter.core.run_limits import CLOSE_BEHIND
from afterrun_exporter.core.schedule import Calendar, Every, parse_cron
from afterrun_exporter.core.state import (
    AlertEvent,
    AlertKey,
    AlertMoved,
    AlertOpened,
    AlertResolved,
    HungRun,
    JobState,
    Mark,
    RecentlyResolved,
    Transition,
    UnobservedSlots,
)
from afterrun_exporter.core.transitions import on_clock, on_ping, on_retired, registered
from afterrun_exporter.core.upstream import Required
from tests.copies import replace

from .jobs import BACKUP, SETTINGS, Night, at

BEGIN: Final = at("21 12:00")

#: What lies ahead rightly: promises, and times that a client's own clock shows.
PROMISES: Final = {
    "paused_until",
    "test_until",
    "success_until",
    "ratio_until",
    "due_after",
    "retries.until",
    "retries.covers",
    "healed.until",
    "hung.held_until",
    "marks.value",
    "metrics",
    "previous",
    "slow_threshold",
    "open_runs.metrics",
    "retries.metrics",
}

WATCHED: Final = Job(
    name="backup",
    success_ratio=SuccessRatio(below=0.9, over=3600, min_runs=1),
    slower_than=SlowerThan(factor=2, over=3600, min_runs=1),
    concurrency=Concurrency(max=1),
    max_runtime=300.0,
    heartbeat=60.0,
    max_attempts=3,
    depends_on=(Dependency("ingest"),),
    recover_after=2,
)
JOBS: Final = (
    replace(WATCHED, schedule=Every(600), grace=60.0),
    replace(WATCHED, schedule=parse_cron("*/5 * * * *", "Europe/Riga"), grace=30.0),
    replace(WATCHED, schedule=parse_cron("0 * * * *", "UTC"), success_ratio=None),
    replace(WATCHED, depends_on=(), schedule=None),
    Job(name="backup", schedule=Every(60), grace=5.0),
    Job(name="backup", schedule=Every(60), grace=5.0, max_runtime=20.0),
)


#: What happens to a job that it did not report.
CHANGES: Final = {"clock": on_clock, "pause": on_pause, "resume": on_resume}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens, so many seconds after the last."""

    later: int
    name: str
    outcome: Outcome
    run_id: str | None
    attempt: int

    def report(self, at: float) -> Ping:
        """Return the report that it is, if it is one."""
        is_push = self.name == "push"
        kind = Kind.FINISH if is_push else Kind(self.name)
        return Ping(
            job="backup",
            kind=kind,
            at=at,
            # Some of them come late, as from a spool.
            started_at=at - self.later
            if kind is Kind.START and not self.later % 3
            else None,
            outcome=self.outcome,
            run_id=self.run_id,
            attempt=self.attempt,
            duration=float(self.later) if kind is Kind.FINISH else None,
            fingerprint=b"%8d" % self.later,
            push=Push(succeeded={"ok_at": Times(at, at, 1)}) if is_push else None,
        )


NAMES: Final = [
    "start",
    "finish",
    "progress",
    "log",
    "push",
    "clock",
    "test",
    "pause",
    "resume",
    "retire",
    "down",
    "announce",
    "healthy",
    "unhealthy",
]

ACTS: Final = st.lists(
    st.builds(
        Act,
        later=st.integers(0, 90) | st.integers(0, 8000),
        name=st.sampled_from(NAMES),
        outcome=st.sampled_from([Outcome.OK, Outcome.FAIL, Outcome.SKIPPED]),
        run_id=st.sampled_from([None, "a", "b"]),
        attempt=st.integers(1, 3),
    ),
    max_size=12,
)


def later(value: object, now: float, path: str = "") -> Iterator[str]:
    """Yield the fields of *value* that hold an instant after *now*.

    Each number that can be an instant is taken for one, so that a new field is, too.
    """
    if path in PROMISES:
        return
    if isinstance(value, float):
        if now < value < math.inf:
            yield path
        return
    for name, inner in _parts(value, path):
        yield from later(inner, now, name)


def _parts(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield (f"{path}.{name}" if path else name), getattr(value, name)
    elif isinstance(value, Mapping):
        yield from ((path, one) for one in value.values())
    elif isinstance(value, tuple | list):
        yield from ((path, one) for one in value)
    elif isinstance(value, bytes) and path == "unnamed_seen":
        yield from ((path, when) for _, when, _ in iter_unpack("<8sdq", value))
    elif isinstance(value, bytes) and path == "history.ends":
        yield from ((path, end) for end in array("d", value))


def lived(
    job: Job, acts: list[Act], alerts: list[AlertEvent] | None = None
) -> tuple[JobState, float]:
    """Return the state of *job* after *acts*, and when that was.

    What happened to its *alerts* is added to those.
    """
    state, now, settings = registered(job, BEGIN), BEGIN, SETTINGS
    required: tuple[Required, ...] = ()
    for act in acts:
        now += act.later
        if act.name == "down":
            settings = settling(settings, now - 600.0, now, 120.0)
        elif act.name in {"healthy", "unhealthy"}:
            required = required_by(job, healthy=act.name == "healthy")
        else:
            made = _done(job, state, act, now, settings, required)
            state = made.state
            if alerts is not None:
                alerts += made.alerts
    return state, now


def _done(
    job: Job,
    state: JobState,
    act: Act,
    now: float,
    settings: Settings,
    required: tuple[Required, ...],
) -> Transition:
    if act.name == "test":
        return on_test(job, state, now, 600.0, "", settings, required)
    if act.name == "retire":
        return on_retired(state, now)
    if act.name == "announce":
        return Transition(state=replace(state, announces_success=True))
    if act.name in CHANGES:
        return CHANGES[act.name](job, state, now, settings, required)
    return on_ping(job, state, act.report(now), settings, required)


def required_by(job: Job, *, healthy: bool = True) -> tuple[Required, ...]:
    """Return how the job is doing that *job* requires, if it requires one."""
    return (Required("ingest", healthy, ""),) if job.depends_on else ()


@given(job=st.sampled_from(JOBS), acts=ACTS, back=st.integers(1, 20_000))
def test_nothing_lies_ahead_once_the_clock_has_been_set_back(
    job: Job, acts: list[Act], back: int
) -> None:
    state, then = lived(job, acts)
    now = max(then - back, 1.0)
    required = required_by(job)
    ahead = set(later(state, now))

    corrected = on_clock(job, state, now, SETTINGS, required).state

    assert set(later(corrected, now)) == set()
    covered = corrected.due_after
    assert covered <= now or covered == slot_after(job, now)
    assert corrected.success_until <= now + SETTINGS.min_visible
    assert all(one.until <= now + SETTINGS.min_visible for one in corrected.healed)
    assert max(corrected.test_until, now) - now <= 600.0
    assert all(alert.opened_at <= now for alert in corrected.alerts)
    if ahead:
        # Neither a ping nor a look at the jobs passes over it.
        assert not is_unchanged(job, state, now, math.inf)
    again = on_clock(job, corrected, now, SETTINGS, required).state
    assert again == corrected


@given(job=st.sampled_from(JOBS), acts=ACTS, back=st.integers(1, 20_000))
def test_from_then_on_a_job_is_judged_as_one_that_is_new(
    job: Job, acts: list[Act], back: int
) -> None:
    """It is missed and overrunning when it should be, and not when the old time comes."""
    state, then = lived(job, acts)
    now = max(then - back, 1.0)
    required = required_by(job)
    state = on_clock(job, state, now, SETTINGS, required).state
    if state.open_runs and job.max_runtime:
        # A start that arrives late waits for its end, which may arrive late as well.
        limit = now + max(job.max_runtime, CLOSE_BEHIND)
        assert wake_at(job, state, SETTINGS) <= limit or _holds(
            state, Condition.OVERRUNNING
        )
        overdue = on_clock(job, state, limit + 1.0, SETTINGS, required).state
        assert _holds(overdue, Condition.OVERRUNNING)
    # A failed attempt is judged later, and then covers a slot that it was early for.
    early = (retry.covers + job.early for retry in state.retries)
    covered = max([state.due_after, *early])
    # A slot of cron may have passed, and not its deadline.
    since = now if isinstance(job.schedule, Every) else now - job.grace
    slot = slot_after(job, max(covered, since))
    if math.isfinite(slot):
        # A run that is open, or is tried again, may have its time for the slot.
        patience = (job.max_runtime or 0.0) if state.open_runs or state.retries else 0.0
        due = slot + job.grace + patience
        missed = on_clock(job, state, due + 1.0, SETTINGS, required).state
        assert _holds(missed, Condition.MISSED)


def test_a_slot_is_missed_again_if_its_deadline_comes_again() -> None:
    night = Night(replace(BACKUP, rules=())).clock("22 02:31")
    assert night.open == ["missed"]

    night.clock("22 02:10")
    assert night.open == []
    night.clock("22 02:30:01")
    assert night.open == ["missed"]


@pytest.mark.parametrize(
    "schedule", [parse_cron("0 2 * * *", "UTC"), Every(14 * 3600)], ids=str
)
def test_a_slot_is_not_unobserved_if_its_deadline_comes_again(
    schedule: Calendar | Every,
) -> None:
    """Seen: the clock leapt ahead for some minutes, and the miss was never reported."""
    leapt = settling(SETTINGS, at("22 02:10"), at("24 00:00"), 120.0)
    job = replace(BACKUP, rules=(), schedule=schedule)
    night = Night(job, settings=leapt).clock("24 00:03")
    assert night.state.unobserved is not None

    night.settings = settling(leapt, at("22 02:14"), at("22 02:14"), 120.0)
    night.clock("22 02:14")
    assert night.state.unobserved is None
    night.clock("22 02:30:01")
    assert night.open == ["missed"]


@given(job=st.sampled_from(JOBS), acts=ACTS, back=st.integers(1, 20_000))
def test_the_records_of_alerts_say_the_same_as_the_state(
    job: Job, acts: list[Act], back: int
) -> None:
    alerts: list[AlertEvent] = []
    state, then = lived(job, acts, alerts)
    now = max(then - back, 1.0)
    corrected = on_clock(job, state, now, SETTINGS, required_by(job))
    alerts += corrected.alerts

    still_open: dict[AlertKey, float] = {}
    for event in alerts:
        match event:
            case AlertOpened():
                still_open.setdefault(event.key, event.alert.opened_at)
            case AlertMoved():
                still_open[event.key] = event.opened_at
            case AlertResolved():
                del still_open[event.key]
    held = {alert.key: alert.opened_at for alert in corrected.state.alerts}
    assert still_open == held
    # What is over was over by now, and had begun before.
    assert all(e.at <= now for e in corrected.alerts if isinstance(e, AlertResolved))


@given(job=st.sampled_from(JOBS), acts=ACTS, back=st.integers(1, 20_000))
def test_a_job_that_leaves_then_has_no_alert_that_ends_later(
    job: Job, acts: list[Act], back: int
) -> None:
    state, then = lived(job, acts)
    now = max(then - back, 1.0)

    ends = on_retired(state, now).alerts

    assert all(isinstance(one, AlertResolved) and one.at <= now for one in ends)


def _holds(state: JobState, condition: Condition) -> bool:
    return any(alert.key.condition is condition for alert in state.alerts)


class TestEachPartOfAState:
    """What the clock that is set back to the 22nd leaves of the 25th."""

    NOW: Final = at("22 12:00")

    def put_back(self, **changes: Any) -> JobState:
        state = replace(registered(BACKUP, BEGIN), **changes)
        return put_back(BACKUP, state, self.NOW, SETTINGS)

    def test_a_test_alert_lasts_as_long_as_was_requested(self) -> None:
        asked = at("25 12:00")

        state = self.put_back(test_asked_at=asked, test_until=asked + 60)

        assert state.test_until == self.NOW + 60

    def test_a_run_that_hangs_began_by_now(self) -> None:
        later = at("25 12:00")
        hung = HungRun(
            run_id="a",
            attempt=1,
            started_at=BEGIN,
            deadline=later,
            followed_from=later,
            held_until=later,
        )

        (right,) = self.put_back(hung=(hung,)).hung

        assert (right.started_at, right.deadline) == (BEGIN, self.NOW)
        assert right.followed_from == self.NOW
        assert right.held_until == self.NOW + CLOSE_BEHIND

    def test_slots_are_unobserved_up_to_now(self) -> None:
        slots = UnobservedSlots(
            count=4,
            first=at("22 02:00"),
            last=at("25 02:00"),
            down_since=at("21 23:00"),
            up_since=at("25 12:00"),
        )

        right = self.put_back(unobserved=slots).unobserved

        assert right is not None
        assert (right.first, right.up_since) == (at("22 02:00"), self.NOW)
        assert right.last == self.NOW - BACKUP.grace

    @pytest.mark.parametrize("deadline", [None, at("22 02:30"), at("25 02:30")])
    def test_a_resolved_alert_had_its_deadline_by_now(
        self, deadline: float | None
    ) -> None:
        key = AlertKey(Condition.MISSED)
        alert = RecentlyResolved(key=key, until=self.NOW + 30, deadline=deadline)

        (right,) = self.put_back(healed=(alert,)).healed

        assert right.deadline == (deadline and min(deadline, self.NOW))

    def test_marks_arrived_by_now_and_keep_the_time_of_the_client(self) -> None:
        marks = {"ok_at": Mark(at("25 02:00"), at("25 02:01")), "old": Mark(1.0, BEGIN)}

        state = self.put_back(last_ping_at=at("25 02:01"), marks=marks)

        assert state.marks == {
            "ok_at": Mark(at("25 02:00"), self.NOW),
            "old": Mark(1.0, BEGIN),
        }
