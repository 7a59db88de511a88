"""A daemon whose clock is set: forward, back, and there and back, by little and by much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.e2e.daemon.clocks import (
    EVERY,
    Clock,
    Jobs,
    Seen,
    ahead,
    instant,
    shown_ahead,
)
from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE

HOUR: Final = 3600.0

#: By how much a clock is wrong, forward and back.
LEAPS: Final = {
    "20s": 20.0,
    "50min": 3000.0,
    "3h": 3 * HOUR,
    "400d": 400 * 24 * HOUR,
}
WRONG: Final = [
    pytest.param(sign * seconds, id=f"{way}-{name}")
    for name, seconds in LEAPS.items()
    for way, sign in (("ahead", 1.0), ("behind", -1.0))
]

SETTLE: Final = 1.0
CONFIG: Final = """
settle: 1s
min_visible: 1s
defaults: {grace: 1s}
jobs:
  alive: {every: 20s, grace: 60s}
  alive-cron: {schedule: "* * * * *", grace: 50s}
  silent: {every: 2s}
  silent-cron: {schedule: "* * * * *", early: 0s}
  stopped: {every: 2s}
  began-before: {max_runtime: 4s, on_downtime: alert}
  began-then: {max_runtime: 2s, on_downtime: alert}
  began-after: {max_runtime: 2s, on_downtime: alert}
  ended-after: {max_runtime: 1h}
  failed-then: {}
  fails: {}
  recovers: {}
"""
ALIVE: Final = ("alive", "alive-cron")
JOBS: Final = (*ALIVE, "silent-cron", "stopped", "began-then", "failed-then")

#: What is wrong in the end, whatever was done to the clock.
TRUE: Final = {
    ("silent", "missed"),
    ("silent-cron", "missed"),
    ("stopped", "missed"),
    ("began-before", "overrunning"),
    ("began-then", "overrunning"),
    ("began-after", "overrunning"),
    ("failed-then", "failing"),
    ("fails", "failing"),
}


class World:
    """A daemon with a clock, and its jobs."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.clock = Clock(daemon)
        self.jobs = Jobs(daemon)
        self.seen = Seen(daemon)
        self.steps = 0

    def start(self, wrong: float = 0.0) -> None:
        """Start the daemon with a clock that is wrong by so much."""
        self.daemon.configure(CONFIG)
        self.clock.set(wrong)
        self.daemon.start()

    def step(self, seconds: float) -> None:
        """Set the clock, and wait until the daemon has noticed."""
        self.clock.step(seconds)
        self._wait()

    def correct(self, seconds: float) -> None:
        """Set the clock for good."""
        self.clock.correct(seconds)
        self._wait()

    def _wait(self) -> None:
        self.steps += 1
        steps = self.steps
        wait_until(
            lambda: self.seen.total("afterrun_clock_steps_total") == steps,
            "the step is noticed",
            PATIENCE,
            every=EVERY,
        )

    def begin(self) -> None:
        """Have the jobs report for the first time."""
        for job in ("silent", "silent-cron", "stopped"):
            self.jobs.ok(job)
        self.jobs.start("began-before", "first")

    def go_wrong(self) -> None:
        """Have the jobs report while the clock is wrong."""
        for job in ("silent", "silent-cron", "stopped"):
            self.jobs.ok(job, run_id="then")
        self.jobs.start("began-then", "then")
        self.jobs.start("ended-after", "then")
        self.jobs.ok("failed-then", status="fail", message="disk full")
        self.jobs.ok("recovers", status="fail", message="disk full")

    def check(self) -> None:
        """Check that all is judged rightly since the clock was corrected."""
        seen, jobs, clock = self.seen, self.jobs, self.clock
        began = clock.now()
        # A report makes the daemon notice a step, if it has not before.
        jobs.start("began-after", "after")
        before = noticed = clock.now()
        due = instant(jobs.ok("stopped", run_id="after")["deadline"])
        assert int(before + 3) <= due <= clock.now() + 3
        jobs.ok("ended-after", run_id="then")
        jobs.ok("fails", status="fail", message="disk full again")
        jobs.ok("recovers")

        slot = noticed // 60 * 60 + 60
        for job, condition, latest in (
            ("stopped", "missed", due),
            ("silent", "missed", noticed + 3 + SETTLE),
            ("silent-cron", "missed", slot + 1 + SETTLE),
            ("began-before", "overrunning", noticed + 4 + SETTLE),
            ("began-then", "overrunning", noticed + 2 + SETTLE),
            ("began-after", "overrunning", before + 2),
        ):
            assert seen.wait_for(job, condition) <= latest or self._was_held_up(), job
        assert seen.wait_for("stopped", "missed") >= due
        assert seen.wait_for("began-after", "overrunning") >= int(began + 2)

        assert seen.conditions() == TRUE
        assert ahead(self.daemon, clock, JOBS) == []
        assert shown_ahead(self.daemon, clock, JOBS) == []
        for alert in seen.alerts():
            assert alert["job"] not in ALIVE, alert
            if alert["kind"] == "failing":
                assert alert["run"] == 1, alert
                assert "disk full" in alert["summary"], alert
            if alert["resolved_at"] is not None:
                assert alert["opened_at"] <= alert["resolved_at"], alert
        assert seen.total("afterrun_clock_steps_total") == self.steps
        asked = clock.now()
        shown = seen.total("afterrun_clock_timestamp_seconds")
        assert asked <= shown <= clock.now()

    def _was_held_up(self) -> bool:
        """Return True if the machine was so busy that the daemon was in a downtime."""
        log = self.daemon.log
        return "msg=suspended" in log or "msg=storage_failing" in log

    def check_after_restart(self) -> None:
        """Check that a restart changes nothing of it."""
        assert self.daemon.stop() == 0
        self.daemon.start()
        noticed = self.clock.now()
        wait_until(
            lambda: self.clock.now() > noticed + SETTLE + 1.5, "it is settled", PATIENCE
        )

        assert self.seen.conditions() == TRUE
        assert ahead(self.daemon, self.clock, JOBS) == []
        assert all(alert["job"] not in ALIVE for alert in self.seen.alerts())


@pytest.fixture
def world(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[World]:
    yield World(daemon)
    request.node.add_report_section("call", "log of the daemon", daemon.log)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_clock_that_was_wrong_at_the_start_and_is_corrected(
    world: World, wrong: float
) -> None:
    """As where the hardware clock is in local time, or its battery is empty."""
    world.start(wrong)
    with world.jobs.reporting(*ALIVE):
        world.begin()
        world.go_wrong()
        world.correct(-wrong)
        world.check()
        world.check_after_restart()


@pytest.mark.parametrize("wrong", WRONG)
def test_a_clock_that_goes_wrong_and_is_corrected(world: World, wrong: float) -> None:
    """While runs are under way."""
    world.start()
    with world.jobs.reporting(*ALIVE):
        world.begin()
        world.step(wrong)
        world.go_wrong()
        world.correct(-wrong)
        world.check()


@pytest.mark.parametrize("wrong", [3 * HOUR, -3 * HOUR])
def test_a_clock_that_is_wrong_for_a_moment(world: World, wrong: float) -> None:
    """In which reports come: the next look at the clock finds it right again."""
    world.start()
    with world.jobs.reporting(*ALIVE):
        world.begin()
        world.clock.step(wrong)
        world.go_wrong()
        world.clock.correct(-wrong)
        world.steps = 2
        world.check()
