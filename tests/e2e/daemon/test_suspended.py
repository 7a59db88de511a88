"""A daemon that is stopped for a while and goes on, as a suspended machine does."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from signal import SIGCONT, SIGSTOP
from typing import Final

import pytest

from tests.e2e.daemon.clocks import EVERY, Jobs, Seen, instant
from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE

#: More than enough for the daemon to notice, in seconds.
PAUSE: Final = 20.0

#: In so many seconds after their last report, jobs that report are missed.
ALIVE_FOR: Final = 16.0

#: Jobs with a run under way, the shortest for 5 seconds, and the most seconds that may
#: pass between the reports and the pause.
STARTED: Final = ("began-before", "lost", "long")
RIGHT_AFTER: Final = 4.0

BRIEF: Final = """
settle: 3s
min_visible: 1s
defaults: {{grace: 2s}}
jobs:
  silent: {{every: 4s}}
  began-before: {{max_runtime: 5s, on_downtime: alert}}
  lost: {{max_runtime: 5s}}
  long: {{max_runtime: 30s, on_downtime: alert}}
{alive}
"""

LONG: Final = """
settle: 30s
jobs:
{alive}
"""

ALIVE: Final = tuple(f"alive-{number:02}" for number in range(20))


def jobs(settings: str) -> str:
    """Return the jobs that go on reporting, in the words of afterrun.yml."""
    return "\n".join(f"  {name}: {{{settings}}}" for name in ALIVE)


def stop_right_after(daemon: Daemon, act: Callable[[int], None]) -> None:
    """Stop the daemon once *act* is done; act again if a busy machine was in between."""
    for attempt in count():
        began = time.monotonic()
        act(attempt)
        daemon.send_signal(SIGSTOP)
        if time.monotonic() - began < RIGHT_AFTER:
            return
        daemon.send_signal(SIGCONT)


def resume_later(daemon: Daemon, seconds: float) -> float:
    """Let the daemon go on after so many seconds; return the time of day before it does."""
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, "it is over", every=0.1)
    resumed = time.time()
    daemon.send_signal(SIGCONT)
    return resumed


def test_a_pause_is_a_downtime(daemon: Daemon) -> None:
    """No job that reports is missed, and what is wrong is noticed all the same."""
    daemon.configure(BRIEF.format(alive=jobs("every: 8s, grace: 8s")))
    daemon.start()
    report, seen = Jobs(daemon), Seen(daemon)
    with report.reporting(*ALIVE):

        def begin(attempt: int) -> None:
            report.ok("silent")
            for job in STARTED:
                if attempt:
                    report.ok(job, run_id=f"r{attempt - 1}")
                report.start(job, f"r{attempt}")

        pauses = "afterrun_pauses_total"
        before = seen.total(pauses)
        stop_right_after(daemon, begin)
        began = time.time()
        resumed = resume_later(daemon, PAUSE)
        wait_until(
            lambda: seen.total(pauses) > before, "it is noticed", PATIENCE, EVERY
        )
        noticed = time.time()
        # One period after the pause: when it ran since is not known.
        assert resumed + 4 <= seen.wait_for("silent", "missed") + 1
        for job, latest in {"began-before": noticed + 4, "long": began + 31}.items():
            since = seen.wait_for(job, "overrunning")
            # A machine that is busy enough has more downtimes.
            assert (
                since <= latest
                or daemon.log.count("msg=suspended") > 1
                or "msg=storage_failing" in daemon.log
            )
        wait_until(
            lambda: daemon.series()["afterrun_job_running", "lost"] == 0,
            "the run that had to end meanwhile is given up",
            PATIENCE,
            EVERY,
        )
        assert {one for one in seen.conditions() if one[0] not in ALIVE} == {
            ("silent", "missed"),
            ("began-before", "overrunning"),
            ("long", "overrunning"),
        }
        assert "msg=suspended seconds=" in daemon.log
        assert daemon.stop() == 0
        daemon.start()
        assert ("silent", "missed") in seen.conditions()
    missed = [instant(one["opened_at"]) for one in seen.alerts() if one["job"] in ALIVE]
    # On a busy machine, jobs may report too late before the pause, and long after it.
    assert not [one for one in missed if began <= one < resumed + ALIVE_FOR]


@pytest.mark.slow
def test_two_minutes_are_no_flood_of_misses(daemon: Daemon) -> None:
    """Seen: 20 of 20 jobs were missed, and resolved within two seconds."""
    daemon.configure(LONG.format(alive=jobs("every: 30s, grace: 70s")))
    daemon.start()
    report, seen = Jobs(daemon), Seen(daemon)
    with report.reporting(*ALIVE):
        wait_until(
            lambda: daemon.series()["afterrun_job_runs_total", ALIVE[-1]] > 0,
            "each has run",
            PATIENCE,
        )
        daemon.send_signal(SIGSTOP)
        resume_later(daemon, 120.0)
        settled = time.monotonic() + 60.0
        wait_until(
            lambda: time.monotonic() > settled, "it is settled", PATIENCE, every=1.0
        )

    assert seen.alerts() == []
    assert seen.total("afterrun_pauses_total") >= 1
