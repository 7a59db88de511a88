"""A daemon that is stopped for a while and goes on, as a suspended machine does."""

from __future__ import annotations

import time
from signal import SIGCONT, SIGSTOP
from typing import Final

import pytest

from tests.e2e.daemon.clocks import EVERY, Jobs, Seen
from tests.e2e.daemon.daemon import Daemon, wait_until
from tests.patience import PATIENCE

#: More than enough for the daemon to notice, in seconds.
PAUSE: Final = 20.0

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


def suspend(daemon: Daemon, seconds: float) -> None:
    """Stop the daemon for so long."""
    daemon.send_signal(SIGSTOP)
    over = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > over, "it is over", 2 * seconds, every=0.1)
    daemon.send_signal(SIGCONT)


def test_a_pause_is_a_downtime(daemon: Daemon) -> None:
    """No job that reports is missed, and what is wrong is noticed all the same."""
    daemon.configure(BRIEF.format(alive=jobs("every: 8s, grace: 8s")))
    daemon.start()
    report, seen = Jobs(daemon), Seen(daemon)
    with report.reporting(*ALIVE):
        report.ok("silent")
        report.start("began-before", "r1")
        report.start("lost", "r1")
        report.start("long", "r1")
        began = time.time()
        suspend(daemon, PAUSE)
        ended = time.time()
        pauses = "afterrun_pauses_total"
        wait_until(lambda: seen.total(pauses) > 0, "it is noticed", PATIENCE, EVERY)
        noticed = time.time()
        # One period after the pause: when it ran since is not known.
        assert ended + 4 <= seen.wait_for("silent", "missed") + 1
        for job, latest in {"began-before": noticed + 4, "long": began + 31}.items():
            since = seen.wait_for(job, "overrunning")
            # A machine that is busy enough is suspended more often.
            assert since <= latest or daemon.log.count("msg=suspended") > 1
        wait_until(
            lambda: daemon.series()["afterrun_job_running", "lost"] == 0,
            "the run that had to end meanwhile is given up",
            PATIENCE,
            EVERY,
        )
        assert seen.conditions() == {
            ("silent", "missed"),
            ("began-before", "overrunning"),
            ("long", "overrunning"),
        }
        assert "msg=suspended seconds=" in daemon.log
        assert daemon.stop() == 0
        daemon.start()
        assert ("silent", "missed") in seen.conditions()
    assert {one["job"] for one in seen.alerts()}.isdisjoint(ALIVE)


@pytest.mark.slow
def test_two_minutes_are_no_flood_of_misses(daemon: Daemon) -> None:
    """Seen: 20 of 20 jobs were missed, and resolved within two seconds."""
    daemon.configure(LONG.format(alive=jobs("every: 30s, grace: 20s")))
    daemon.start()
    report, seen = Jobs(daemon), Seen(daemon)
    with report.reporting(*ALIVE):
        wait_until(
            lambda: daemon.series()["afterrun_job_runs_total", ALIVE[-1]] > 0,
            "each has run",
            PATIENCE,
        )
        suspend(daemon, 120.0)
        settled = time.monotonic() + 60.0
        wait_until(
            lambda: time.monotonic() > settled, "it is settled", PATIENCE, every=1.0
        )

    assert seen.alerts() == []
    assert seen.total("afterrun_pauses_total") >= 1
