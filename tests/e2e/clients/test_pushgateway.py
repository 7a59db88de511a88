"""prometheus_client and curl push to us as to a Pushgateway."""

from __future__ import annotations

import subprocess

from tests.e2e.clients.clients import python, runs
from tests.e2e.clients.dropping import DroppingProxy
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

CLIENT = """
import time
from prometheus_client import *
from prometheus_client.exposition import basic_auth_handler
registry = CollectorRegistry()
rows = Gauge("rows_processed", "Rows.", registry=registry)
errors = Counter("errors", "Errors.", registry=registry)
sizes = Gauge("size_bytes", "Sizes.", ["table"], registry=registry)
done = Gauge("job_last_success_unixtime", "When it worked.", registry=registry)
rows.set(120)
errors.inc(3)
sizes.labels("a").set(5)
URL = "{url}"
"""


def push(daemon: Daemon, code: str, url: str = "") -> None:
    python(CLIENT.format(url=url or daemon.url) + code)


def test_push_to_gateway_is_a_run_with_its_metrics(daemon: Daemon) -> None:
    push(daemon, "done.set(time.time() - 60); push_to_gateway(URL, 'etl', registry)\n")

    (run,) = runs(daemon, "etl")
    assert run["outcome"] == "ok"
    metrics = run["metrics"]
    succeeded = metrics.pop("job_last_success_unixtime")
    assert metrics == {
        "rows_processed": 120,
        "errors_total": 3,
        'size_bytes{table="a"}': 5,
    }
    last_run = daemon.series()["afterrun_job_last_run_timestamp_seconds", "etl"]
    assert abs(last_run - succeeded) < 0.01


#: The example of the manual, https://prometheus.io/docs/instrumenting/pushing/ and
#: "Prometheus: Up & Running": the success is in the registry only if there was one.
MANUAL = """
import sys
from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway
registry = CollectorRegistry()
duration = Gauge("my_job_duration_seconds", "Duration of my batch job.", registry=registry)
try:
    with duration.time():
        if len(sys.argv) > 2:
            raise SystemExit("the batch job failed")
    done = Gauge("my_job_last_success_seconds", "Last success.", registry=registry)
    done.set_to_current_time()
finally:
    pushadd_to_gateway(sys.argv[1], job="batch", registry=registry)
"""


def test_the_example_of_the_manual_fails_and_succeeds(daemon: Daemon) -> None:
    python(MANUAL, daemon.url)
    succeeded = daemon.series()["afterrun_job_last_success_timestamp_seconds", "batch"]
    python(MANUAL, daemon.url, "fail", ok=False)
    series = daemon.series()
    daemon.kill()
    daemon.start()
    python(MANUAL, daemon.url, "fail", ok=False)
    python(MANUAL, daemon.url)

    found = runs(daemon, "batch")
    assert [run["outcome"] for run in found] == ["ok", "fail", "fail", "ok"]
    assert "my_job_last_success_seconds is missing" in found[1]["message"]
    assert series["afterrun_job_last_success_timestamp_seconds", "batch"] == succeeded
    # On a busy machine it may be more than a moment.
    assert all(0 <= run["duration"] < PATIENCE for run in found)


def test_progress_that_is_pushed_is_one_run(daemon: Daemon) -> None:
    daemon.configure("jobs: {etl: {push: {progress: true}}}")
    daemon.stop()
    daemon.start()
    push(
        daemon,
        """
for count in (1, 2):
    rows.set(count)
    pushadd_to_gateway(URL, "etl", registry)
done.set_to_current_time()
pushadd_to_gateway(URL, "etl", registry)
""",
    )

    (run,) = runs(daemon, "etl")
    assert run["outcome"] == "ok"
    assert run["started_at"] is not None


def test_every_way_to_push_is_taken(daemon: Daemon) -> None:
    push(
        daemon,
        """
push_to_gateway(URL, "nightly etl", registry, grouping_key={"region": "eu/west"})
pushadd_to_gateway(URL, "added", registry)
pushadd_to_gateway(URL, "grouped", registry, grouping_key=instance_ip_grouping_key())
def auth(**told):
    return basic_auth_handler(**told, username="user", password="secret")
push_to_gateway(URL, "auth", registry, handler=auth)
push_to_gateway(URL, "process", REGISTRY)
delete_from_gateway(URL, "added")
delete_from_gateway(URL, "never-there", {"a": "b"})
""",
    )

    names = {job["name"] for job in daemon.get("/api/v1/jobs").json()["jobs"]}
    assert {"nightly-etl:eu-west", "added", "auth", "process"} < names
    assert any(name.startswith("grouped:") for name in names)
    assert len(names) == 5
    assert len(runs(daemon, "added")) == 1
    # What its process is like is not what the run came to.
    assert runs(daemon, "process")[0]["metrics"] == {}


def test_a_push_that_is_sent_again_is_one_run(daemon: Daemon) -> None:
    with DroppingProxy(daemon, drops=2) as proxy:
        push(
            daemon,
            """
for attempt in range(3):
    try:
        push_to_gateway(URL, "etl", registry)
    except OSError:
        continue
    break
""",
            proxy.url,
        )

    assert len(runs(daemon, "etl")) == 1
    assert daemon.series()["afterrun_job_duplicate_pings_total", "etl"] == 2


def test_curl_pushes_as_the_manual_says(daemon: Daemon) -> None:
    url = f"{daemon.url}/metrics/job/some_job/instance/some_instance"
    command = ["curl", "-fsS", "--data-binary", "@-", url]
    subprocess.run(command, input=b"some_metric 3.14\n", check=True)

    (run,) = runs(daemon, "some_job:some_instance")
    assert run["metrics"] == {"some_metric": 3.14}
