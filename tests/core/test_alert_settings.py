"""All alert settings together, against a plain model of what they mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.deadlines import wake_at
from afterrun_exporter.core.model import (
    Concurrency,
    Dependency,
    Job,
    Kind,
    Outcome,
    Ping,
    Settings,
    SlowerThan,
)
from afterrun_exporter.core.pauses import is_over, on_pause, on_resume, paused_job
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.core.state import AlertKey, AlertOpened, JobState, Transition
from afterrun_exporter.core.transitions import on_clock, on_ping, registered
from afterrun_exporter.core.upstream import Required
from tests.copies import replace
from tests.exposition.rendered import render

from . import plain_model
from .plain_model import PlainJob

#: A full minute.
T0 = 1_800_000_000.0
SETTINGS = Settings(min_visible=0.0, dedup_window=0.0, up_since=0.0)

SCHEDULES = {None: None, "cron": parse_cron("* * * * *", "UTC"), "every": Every(60.0)}
RULE = parse_rule("rows > 0")
WELL = (Required("ingest", healthy=True, trouble=""),)
ILL = (Required("ingest", healthy=False, trouble="its last run ended with fail"),)

OFTEN = ["ok", "ok", "fail", "fail", "violated"]
ANY = [*OFTEN, "timeout", "partial", "invalid", "canceled", "skipped"]
GAPS = [1, 2, 5, 20, 40, 55, 58, 60, 150]
LATE = [0, 0, 0, 5, 20, 60, 70, 130]

EVERYTHING: dict[str, list[Any]] = {
    "after_failures": [1, 2, 3, 4],
    "recover_after": [1, 2, 3, 4],
    "schedule": [None, "cron", "every"],
    "grace": [3.0, 10.0, 45.0],
    "early": [0.0, 5.0, 60.0],
    "max_runtime": [None, 8.0, 50.0, 100.0],
    "max_open": [None, 1, 2],
    "slower_than": [None, 1.5, 3.0],
    "has_rule": [True],
    "has_upstream": [False, True],
}
#: What most stories do without.
OFF: dict[str, list[Any]] = {
    "max_open": [None],
    "slower_than": [None],
    "has_upstream": [False],
}
#: Settings and events that have to do with one another, and all of them.
FOCUSES: dict[str, tuple[dict[str, list[Any]], list[str], list[str]]] = {
    "everything": (
        EVERYTHING,
        ANY,
        ["run", "run", "start", "end", "pause", "upstream"],
    ),
    "outcomes": (
        EVERYTHING | OFF | {"schedule": [None], "max_runtime": [None]},
        OFTEN,
        ["run", "run", "run", "pause"],
    ),
    "slots": (
        EVERYTHING
        | OFF
        | {"schedule": ["cron", "every"], "after_failures": [1], "recover_after": [1]},
        ["ok", "ok", "ok", "canceled", "skipped"],
        ["run", "start", "end", "wait", "pause"],
    ),
    "runs under way": (
        EVERYTHING
        | OFF
        | {"schedule": ["every", "cron"], "max_runtime": [50.0, 100.0]},
        ["ok", "ok", "canceled"],
        ["start", "start", "end", "end", "run"],
    ),
    "pauses around slots": (
        EVERYTHING | OFF | {"schedule": ["cron"], "max_runtime": [None]},
        ["ok"],
        ["run", "pause", "wait"],
    ),
    "upstream": (
        EVERYTHING | OFF | {"has_upstream": [True], "max_runtime": [None, 50.0]},
        ["ok", "fail", "fail"],
        ["run", "start", "end", "pause", "upstream", "upstream"],
    ),
}


@dataclass(frozen=True)
class Story:
    """The settings of a job, and what happens to it, after how many seconds each."""

    settings: plain_model.Settings
    events: list[tuple[int, tuple[Any, ...]]]


@st.composite
def stories(draw: st.DrawFn, focus: str) -> Story:
    values, outcomes, kinds = FOCUSES[focus]
    outcome = st.sampled_from(outcomes)
    event = {
        "run": st.tuples(
            st.just("run"),
            outcome,
            st.sampled_from([None, 0, 3, 10, 30]),
            # Seconds that its report is late.
            st.sampled_from(LATE),
        ),
        "start": st.just(("start",)),
        "end": st.tuples(st.just("end"), outcome, st.integers(0, 2)),
        "wait": st.just(("wait",)),
        "pause": st.one_of(
            st.just(("resume",)),
            st.tuples(st.just("pause"), st.sampled_from([None, 7, 30, 100])),
        ),
        "upstream": st.sampled_from([("ill",), ("well",)]),
    }
    chosen = {name: draw(st.sampled_from(known)) for name, known in values.items()}
    one = st.tuples(st.sampled_from(GAPS), st.one_of([event[kind] for kind in kinds]))
    events = draw(st.lists(one, min_size=8, max_size=20))
    return Story(plain_model.Settings(**chosen), events)


every_story = pytest.mark.parametrize("focus", FOCUSES)


def described(settings: plain_model.Settings) -> Job:
    """Return a job with *settings*."""
    slower, most = settings.slower_than, settings.max_open
    return Job(
        name="j",
        schedule=SCHEDULES[settings.schedule],
        grace=settings.grace,
        early=settings.early,
        max_runtime=settings.max_runtime,
        after_failures=settings.after_failures,
        recover_after=settings.recover_after,
        concurrency=None if most is None else Concurrency(max=most),
        slower_than=(
            None if slower is None else SlowerThan(factor=slower, over=1e6, min_runs=1)
        ),
        rules=(RULE,),
        depends_on=(Dependency("ingest"),) if settings.has_upstream else (),
    )


class Life:
    """A job and its plain model, which hear of the same events."""

    def __init__(
        self, settings: plain_model.Settings, *, is_prompt: bool = True
    ) -> None:
        self.job = described(settings)
        self.plain = PlainJob(settings, T0)
        self.state: JobState = registered(self.job, T0)
        self.required = WELL if settings.has_upstream else ()
        #: True if time is noticed at each moment that the job is to be woken at.
        self.is_prompt = is_prompt
        self.now = T0
        self.count = 0
        self.events: list[Any] = []

    def live(self, gap: int, event: tuple[Any, ...]) -> None:
        """Let *event* happen after *gap* seconds."""
        self.sleep(self.now + gap)
        self.plain.pass_time(self.now)
        getattr(self, event[0])(*event[1:])
        self.sleep(self.now + 0.5)
        self.plain.pass_time(self.now)
        self.clock(self.now)
        self.now -= 0.5

    def sleep(self, until: float) -> None:
        while self.is_prompt:
            job = paused_job(self.job) if self.state.paused_at else self.job
            # The moment itself still belongs to what was before.
            wake = wake_at(job, self.state, SETTINGS) + 0.25
            if not self.now < wake < until:
                break
            self.now = wake
            self.clock(wake)
        self.now = until

    def clock(self, now: float) -> None:
        if is_over(self.state, now):
            self._note(on_resume(self.job, self.state, now, SETTINGS, self.required))
        else:
            job = paused_job(self.job) if self.state.paused_at else self.job
            self._note(on_clock(job, self.state, now, SETTINGS, self.required))

    def run(self, outcome: str, duration: int | None, late: int) -> None:
        self.count += 1
        self.plain.give_up(self.now)
        ended = self.now - late
        began = None if duration is None else ended - duration
        self._finish(f"run {self.count}", outcome, ended, duration)
        if outcome not in plain_model.NEUTRAL:
            self.plain.follow(ended if began is None else began, self.now)
        self.plain.end(plain_model.Run(ended, outcome, began))

    def start(self) -> None:
        self.count += 1
        run_id = f"start {self.count}"
        self.plain.give_up(self.now)
        self._ping(Ping(job="j", kind=Kind.START, at=self.now, run_id=run_id))
        self.plain.follow(self.now, self.now)
        self.plain.begin(run_id, self.now)

    def end(self, outcome: str, which: int) -> None:
        if not self.plain.open:
            return
        run_id = [*self.plain.open][which % len(self.plain.open)]
        self.plain.give_up(self.now, but=run_id)
        began = self.plain.open.pop(run_id)
        self._finish(run_id, outcome, self.now, None)
        self.plain.end(plain_model.Run(self.now, outcome, began))

    def pause(self, seconds: int | None) -> None:
        until = None if seconds is None else self.now + seconds
        job, state = self.job, self.state
        made = on_pause(job, state, self.now, SETTINGS, self.required, until=until)
        self._note(made)
        self.plain.paused, self.plain.paused_until = True, until

    def resume(self) -> None:
        self._note(on_resume(self.job, self.state, self.now, SETTINGS, self.required))
        self.plain.resume(self.now)

    def ill(self) -> None:
        if self.required:
            self.clock(self.now)
            self.required = ILL
            self.clock(self.now)
            self.plain.upstream_ill, self.plain.healed_at = True, None

    def well(self) -> None:
        if self.required == ILL:
            self.clock(self.now)
            self.required = WELL
            self.clock(self.now)
            self.plain.upstream_ill, self.plain.healed_at = False, self.now
            self.plain.pass_time(self.now)

    def wait(self) -> None:
        """Let nothing happen."""

    @property
    def open(self) -> set[str]:
        return {alert.key.condition.value for alert in self.state.alerts}

    def intervals(self) -> dict[AlertKey, list[list[float]]]:
        """Return when each alert opened and was resolved, by what it is about."""
        found: dict[AlertKey, list[list[float]]] = {}
        for event in self.events:
            mine = found.setdefault(event.key, [])
            if isinstance(event, AlertOpened):
                if mine and event.alert.opened_at - T0 == mine[-1][0]:
                    # It has other labels, or goes on.
                    del mine[-1][1:]
                    continue
                assert not mine or len(mine[-1]) == 2
                mine.append([event.alert.opened_at - T0])
            else:
                assert len(mine[-1]) == 1
                mine[-1].append(event.at - T0)
        return found

    def _finish(
        self, run_id: str, outcome: str, ended: float, duration: int | None
    ) -> None:
        reported = "ok" if outcome == "violated" else outcome
        self._ping(
            Ping(
                job="j",
                kind=Kind.FINISH,
                at=self.now,
                run_id=run_id,
                outcome=Outcome(reported),
                ended_at=ended,
                duration=duration,
                metrics={"rows": 0.0 if outcome == "violated" else 1.0},
            )
        )

    def _ping(self, ping: Ping) -> None:
        job = self.job
        if is_over(self.state, ping.at):
            self.clock(ping.at)
        elif self.state.paused_at:
            job = paused_job(job)
        self._note(on_ping(job, self.state, ping, SETTINGS, self.required))

    def _note(self, made: Transition) -> None:
        self.state = made.state
        self.events += made.alerts


@every_story
@given(data=st.data())
def test_alerts_are_what_a_plain_model_says(focus: str, data: st.DataObject) -> None:
    story = data.draw(stories(focus))
    life = Life(story.settings)
    for gap, event in story.events:
        life.live(gap, event)

        assert life.open == life.plain.conditions(life.now + 0.5)
        assert shown(life) == life.open


@pytest.mark.parametrize("recover_after", [1, 2, 3])
@pytest.mark.parametrize("after_failures", [1, 2, 3])
def test_failing_is_what_a_plain_model_says_after_any_runs(
    after_failures: int, recover_after: int
) -> None:
    settings = plain_model.Settings(after_failures, recover_after)
    for outcomes in product(["ok", "fail", "violated"], repeat=6):
        life = Life(settings)
        for outcome in outcomes:
            life.now += 20
            life.run(outcome, None, 0)

            assert life.open == life.plain.conditions(life.now)


@every_story
@given(data=st.data())
def test_one_condition_is_one_alert(focus: str, data: st.DataObject) -> None:
    story = data.draw(stories(focus))
    life = Life(story.settings)
    for gap, event in story.events:
        life.live(gap, event)

    holding = {alert.key: alert.opened_at - T0 for alert in life.state.alerts}
    for key, intervals in life.intervals().items():
        for before, after in pairwise(intervals):
            assert before[1] < after[0], (key, intervals)
        assert all(one == sorted(one) for one in intervals)
        if len(intervals[-1]) == 1:
            assert holding.pop(key) == intervals[-1][0]
    assert not holding


@every_story
@given(data=st.data())
def test_looking_more_often_changes_nothing_but_how_soon_we_know(
    focus: str, data: st.DataObject
) -> None:
    story = data.draw(stories(focus))
    prompt, idle = Life(story.settings), Life(story.settings, is_prompt=False)
    for gap, event in story.events:
        prompt.live(gap, event)
        idle.live(gap, event)

        assert prompt.open == idle.open
        opened = {alert.key: alert.opened_at for alert in prompt.state.alerts}
        assert opened == {alert.key: alert.opened_at for alert in idle.state.alerts}
        assert replace(prompt.state, alerts=()) == replace(idle.state, alerts=())


def shown(life: Life) -> set[str]:
    """Return the conditions that the gauges of the job show."""
    paused = bool(life.state.paused_at)
    job = paused_job(life.job) if paused else life.job
    now = life.now + 0.5
    found: set[str] = set()
    for line in render([(job, life.state)], SETTINGS).decode().splitlines():
        name, value = line.partition("{")[0], line.rpartition(" ")[2]
        if name in DEADLINES and float(value) < now:
            found.add(DEADLINES[name])
        if name in GAUGES and float(value):
            found.add(GAUGES[name])
    return found


DEADLINES = {
    "afterrun_job_deadline_timestamp_seconds": "missed",
    "afterrun_job_run_deadline_timestamp_seconds": "overrunning",
}
GAUGES = {
    "afterrun_job_failing": "failing",
    "afterrun_job_rule_violated": "violated",
    "afterrun_job_overlapping": "overlapping",
    "afterrun_job_slow": "slow",
    "afterrun_job_upstream_unhealthy": "upstream_unhealthy",
}


def test_the_stories_vary_every_setting() -> None:
    assert {one.name for one in fields(plain_model.Settings)} == EVERYTHING.keys()
