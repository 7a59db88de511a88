"""Missed slots and reports that arrive late: one alert until everything is covered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.alerts import MISSED
from afterrun_exporter.core.deadlines import deadline, next_slot
from afterrun_exporter.core.model import Job, Kind, Ping, Settings
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import AlertOpened, JobState
from afterrun_exporter.core.transitions import on_clock, on_ping, registered

SETTINGS = Settings(up_since=0.0)

#: A full minute.
T0 = 1_800_000_000.0

SPOOLED = Job(name="j", schedule=Every(20), grace=5)
MINUTELY = Job(name="j", schedule=parse_cron("* * * * *", "UTC"), grace=10)


class Life:
    """A job, with all alerts of *missed* it ever had: opened and resolved."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state: JobState = registered(job, T0)
        self.misses: list[list[float]] = []
        self.reports = 0

    def clock(self, after: float) -> None:
        self._note(on_clock(self.job, self.state, T0 + after, SETTINGS))

    def report(
        self, after: float, ended: float | None = None, run_id: str | None = None
    ) -> None:
        """Report *after* so many seconds a run that *ended* after so many."""
        self.reports += 1
        ping = Ping(
            job="j",
            kind=Kind.FINISH,
            at=T0 + after,
            ended_at=None if ended is None else T0 + ended,
            run_id=run_id,
            fingerprint=b"%8d" % self.reports,
        )
        self._note(on_ping(self.job, self.state, ping, SETTINGS))

    def start(self, after: float, started: float | None = None) -> None:
        ping = Ping(
            job="j",
            kind=Kind.START,
            at=T0 + after,
            started_at=None if started is None else T0 + started,
            run_id=str(after),
        )
        self._note(on_ping(self.job, self.state, ping, SETTINGS))

    @property
    def deadline(self) -> float:
        return deadline(self.job, self.state, SETTINGS) - T0

    def _note(self, made: object) -> None:
        self.state = made.state  # type: ignore[attr-defined]
        for event in made.alerts:  # type: ignore[attr-defined]
            if event.key != MISSED:
                continue
            if isinstance(event, AlertOpened):
                self.misses.append([event.alert.opened_at - T0])
            else:
                self.misses[-1].append(event.at - T0)


class TestAnIntervalThatIsMissed:
    """Slots 20 and 40 are missed at 25 and 45."""

    def test_goes_on_as_one_alert_after_a_report_that_is_not_late_enough(self) -> None:
        """The slot after a run that ended at 23 was 43: missed at 48, before 52."""
        life = Life(SPOOLED)
        life.report(0)
        life.clock(30)
        life.report(52, ended=23)
        life.clock(54)

        assert life.misses == [[25]]
        assert life.deadline == 48
        life.report(60)
        assert life.misses == [[25, 60]]

    @pytest.mark.parametrize(
        ("ended", "over"),
        [(26.9, False), (27, False), (27.1, True), (40, True), (52, True), (1, False)],
    )
    def test_ends_once_the_next_deadline_is_yet_to_come(
        self, ended: float, over: bool
    ) -> None:
        life = Life(SPOOLED)
        life.report(0)
        life.report(52, ended=ended)

        assert life.misses == [[25, 52] if over else [25]]

    def test_is_counted_once_a_period_however_the_slots_move(self) -> None:
        life = Life(SPOOLED)
        life.report(0)
        life.clock(52)
        assert life.state.missed_total == 2
        life.report(52, ended=23)
        life.clock(60)
        assert life.state.missed_total == 2
        assert next_slot(SPOOLED, life.state, Settings()) == T0 + 63
        life.clock(68.5)
        assert life.state.missed_total == 3

    def test_has_no_deadline_that_moves_back_when_nothing_is_covered(self) -> None:
        life = Life(SPOOLED)
        life.report(0)
        life.clock(52)
        life.report(52, ended=-5)

        assert life.deadline == 25
        assert life.state.missed_total == 2


def ends(job: Job, count: int) -> list[float]:
    """Return ends of *count* runs in a row, each in time, and none of the first slot."""
    if isinstance(job.schedule, Every):
        return [20.0 + 21 * number for number in range(count)]
    return [63.0 + 60 * number for number in range(count)]


@pytest.mark.parametrize("job", [SPOOLED, MINUTELY], ids=["every", "cron"])
@pytest.mark.parametrize("gap", [0.0, 0.1, 0.5])
def test_a_spool_that_is_delivered_oldest_first_is_one_alert_until_it_is_empty(
    job: Job, gap: float
) -> None:
    """By a batch, or one by one, while the job goes on."""
    life = Life(job)
    past = ends(job, 30)
    now = past[-1] + 1
    life.clock(now)
    missed = life.state.missed_total
    for ended in past:
        life.report(now, ended=ended)
        life.clock(now + gap / 2)
        now += gap

    ((opened, resolved),) = life.misses
    assert opened == (25 if job is SPOOLED else 70)
    assert past[-1] < resolved <= now
    if not gap:
        assert life.state.missed_total == missed


@pytest.mark.parametrize("job", [SPOOLED, MINUTELY], ids=["every", "cron"])
def test_a_spool_that_is_delivered_newest_first_ends_the_alert_at_once(
    job: Job,
) -> None:
    life = Life(job)
    past = ends(job, 30)
    now = past[-1] + 1
    life.clock(now)
    for place, ended in enumerate(reversed(past)):
        life.report(now + place / 100, ended=ended)

    ((_, resolved),) = life.misses
    assert resolved == now


@given(
    job=st.sampled_from([SPOOLED, MINUTELY]),
    past=st.lists(st.integers(0, 600), min_size=1, max_size=12),
    steps=st.lists(st.integers(0, 30), min_size=12, max_size=12),
)
def test_no_alert_ends_and_begins_at_once_whatever_the_order(
    job: Job, past: Sequence[int], steps: Sequence[int]
) -> None:
    life = Life(job)
    now = 600.0
    for ended, step in zip(past, steps, strict=False):
        life.report(now, ended=ended)
        life.clock(now)
        now += step
    life.report(now)

    for (_, resolved), (opened, *_) in pairwise(life.misses):
        assert resolved < opened
    assert all(opened <= resolved for opened, resolved in life.misses)
