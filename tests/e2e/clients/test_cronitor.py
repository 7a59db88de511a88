"""cronitor-python reports to us."""

from __future__ import annotations

from tests.e2e.clients.clients import python, runs
from tests.e2e.clients.dropping import DroppingProxy
from tests.e2e.daemon.daemon import Daemon

# Its address is written into the library.
CLIENT = """
import cronitor
cronitor.api_key = "KEY"
cronitor.Monitor._ping_api_url = lambda self: "{url}/p/KEY/" + self.key
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
    assert 0.3 <= run["duration"] < 5


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
