"""cronitor for Node reports to us."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import npm
from tests.e2e.clients.clients import runs
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

HOME = Path(__file__).with_name("node")

# Its addresses are written into the library. It tells every one of them its key, as
# Basic auth.
CLIENT = """
const assert = require("assert");
const cronitor = require("cronitor")("KEY", {{timeout: {limit}}});
const url = "{url}";
cronitor._api.pingUrl = key => `${{url}}/ping/KEY/${{key}}`;
cronitor._api.monitorUrl = key => `${{url}}/api/monitors${{key ? "/" + key : ""}}`;
const sleep = seconds => new Promise(resolve => setTimeout(resolve, 1000 * seconds));
(async () => {{ {code} }})();
"""


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    npm.install(HOME)


def node(daemon: Daemon, code: str) -> None:
    """Run *code* beside the client; it is to end well."""
    # In milliseconds.
    limit = round(1000 * PATIENCE)
    script = CLIENT.format(url=daemon.url, limit=limit, code=code)
    assert npm.run("node", "--eval", script, cwd=HOME) == ""


def test_a_wrapped_function_is_a_run(daemon: Daemon) -> None:
    """With one id, and what it returns as its message."""
    node(
        daemon,
        """
const work = cronitor.wrap("nightly", async () => {
    await sleep(0.3);
    return "all 120 rows";
});
assert.equal(await work(), "all 120 rows");
""",
    )

    (run,) = runs(daemon, "nightly")
    assert (run["outcome"], run["message"]) == ("ok", "all 120 rows")
    assert len(run["run_id"]) == 8
    assert 0.3 <= run["duration"] < 120
    assert daemon.get("/api/v1/jobs/nightly").json()["running"] == 0


def test_one_that_raises_has_failed(daemon: Daemon) -> None:
    node(
        daemon,
        """
await cronitor.wrap("nightly", () => { throw new Error("the disk is gone"); })();
""",
    )

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
    assert "the disk is gone" in run["message"]


def test_every_state_and_metric_is_taken(daemon: Daemon) -> None:
    node(
        daemon,
        """
const monitor = new cronitor.Monitor("nightly");
const series = cronitor.newSeries();
assert(await monitor.ping({state: "run", series, env: "prod", host: "db 1"}));
assert(await monitor.ping({state: "complete", series, env: "prod", host: "db 1",
    message: "100% & more", metrics: {count: 4500, duration: 2.5, error_count: 0}}));
assert(await monitor.ping({state: "fail", message: "no rows"}));
assert(await monitor.ok());
""",
    )

    done, failed, ok = runs(daemon, "nightly")
    assert done["metrics"] == {"count": 4500, "error_count": 0}
    assert (done["duration"], done["message"]) == (2.5, "100% & more")
    assert done["metadata"] == {"env": "prod", "host": "db 1"}
    assert (failed["outcome"], failed["message"]) == ("fail", "no rows")
    assert ok["outcome"] == "ok"


def test_events_are_counted(daemon: Daemon) -> None:
    """A heartbeat has no state: it says that the job runs, and what it has done."""
    node(
        daemon,
        """
const event = new cronitor.Event("worker", {intervalSeconds: 30});
event.tick(3);
event.error();
await event.stop();
""",
    )

    (run,) = runs(daemon, "worker")
    assert run["outcome"] == "ok"
    assert run["metrics"] == {"count": 3, "error_count": 1}


def test_monitors_are_put_paused_and_deleted(daemon: Daemon) -> None:
    node(
        daemon,
        """
const told = {type: "job", schedule: "every 5 minutes"};
const both = await cronitor.Monitor.put([{...told, key: "one"}, {...told, key: "two"}]);
assert.deepEqual(both.map(one => one.key), ["one", "two"]);
assert(await both[1].pause(2));
assert(await both[0].delete());
""",
    )

    jobs = daemon.get("/api/v1/jobs").json()["jobs"]
    assert {job["name"]: job["state"] for job in jobs} == {"two": "paused"}
