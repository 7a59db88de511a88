"""cronitor-python reports to us."""

from __future__ import annotations

from tests.e2e.clients.clients import WAIT_UNTIL, python, runs
from tests.e2e.clients.dropping import DroppingProxy
from tests.e2e.daemon.daemon import Daemon

# Its address is written into the library.
CLIENT = """
import cronitor
cronitor.api_key = "KEY"
cronitor.Monitor._ping_api_url = lambda self: "{url}/p/KEY/" + self.key
"""

MONITORS = """
cronitor.Monitor._monitor_api_url = classmethod(
    lambda cls, key=None: "{url}/api/monitors" + ("/" + key if key else "")
)
"""


def test_a_decorated_function_is_a_run(daemon: Daemon) -> None:
    python(
        CLIENT.format(url=daemon.url)
        + """
import time
@cronitor.job("nightly")
def work():
    time.sleep(0.3)
work()
"""
    )

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "ok"
    assert 0.3 <= run["duration"] < 120


def test_one_that_raises_has_failed(daemon: Daemon) -> None:
    python(
        CLIENT.format(url=daemon.url)
        + """
@cronitor.job("nightly")
def work():
    raise OSError("the disk is gone")
work()
""",
        ok=False,
    )

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
    assert "the disk is gone" in run["message"]


def test_what_it_measures_are_metrics(daemon: Daemon) -> None:
    python(
        CLIENT.format(url=daemon.url)
        + """
monitor = cronitor.Monitor("nightly", env="prod")
monitor.ping(state="complete", message="done",
    metrics={"count": 4500, "duration": 2.5, "error_count": 0})
"""
    )

    (run,) = runs(daemon, "nightly")
    assert run["metrics"] == {"count": 4500, "error_count": 0}
    assert (run["duration"], run["message"]) == (2.5, "done")


def test_what_it_sends_again_is_one_run(daemon: Daemon) -> None:
    with DroppingProxy(daemon, drops=2) as proxy:
        python(
            CLIENT.format(url=proxy.url)
            + 'cronitor.Monitor("nightly").ping(state="complete")\n'
        )

    assert len(runs(daemon, "nightly")) == 1
    series = daemon.series()
    assert series["afterrun_job_duplicate_pings_total", "nightly"] == 2


def test_what_a_decorator_says_of_a_job_is_expected_of_it(daemon: Daemon) -> None:
    """Sent by the library itself, from a thread, a second after the start."""
    python(
        CLIENT.format(url=daemon.url)
        + MONITORS.format(url=daemon.url)
        + WAIT_UNTIL
        + """
@cronitor.job("nightly", attributes={"schedule": "0 2 * * *", "grace_seconds": 120,
    "assertions": ["metric.duration < 5 min"]})
def work():
    pass
work()
"""
        + f"wait_until('{daemon.url}/api/v1/jobs/nightly', '0 2 * * *')\n"
    )

    job = daemon.get("/api/v1/jobs/nightly").json()
    assert (job["schedule"], job["grace"]) == ("0 2 * * *", 120)
    assert job["rules"] == ["duration < 5m"]
    assert job["last_outcome"] == "ok"


def test_monitors_are_put_paused_and_deleted(daemon: Daemon) -> None:
    python(
        CLIENT.format(url=daemon.url)
        + MONITORS.format(url=daemon.url)
        + """
told = {"type": "job", "schedule": "every 5 minutes"}
both = cronitor.Monitor.put([told | {"key": "one"}, told | {"key": "two"}])
assert [one.key for one in both] == ["one", "two"]
one, two = both
assert one.pause(2).json()["paused"] is True
assert one.unpause().json()["paused"] is False
two.pause(2)
one.delete()
try:
    cronitor.Monitor.put(key="one", type="job", grace_seconds="soon")
except cronitor.APIValidationError as error:
    assert "grace_seconds is 'soon'" in str(error), error
else:
    raise AssertionError("it was not refused")
three = cronitor.Monitor.put(key="three", type="job", schedule="soon")
assert "cron expression 'soon'" in three.data.warnings[0], three.data
three.delete()
"""
    )

    states = {
        job["name"]: job["state"] for job in daemon.get("/api/v1/jobs").json()["jobs"]
    }
    assert states == {"two": "paused"}
