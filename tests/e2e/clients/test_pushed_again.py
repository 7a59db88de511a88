"""What is pushed is exposed again as a real Pushgateway would expose it.

The same pushes go to both, and one Prometheus scrapes both.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e import network
from tests.e2e.chain import prometheus, url
from tests.e2e.clients.clients import python, runs
from tests.e2e.conftest import Launch
from tests.e2e.daemon.daemon import Daemon, request
from tests.e2e.processes import Process, installed

CONFIG: Final = """\
policies:
  - {match: {name: "^(etl|sync|nightly)"}, export_as: original}
"""

CLIENT: Final = """
from prometheus_client import *
registry = CollectorRegistry()
rows = Gauge("rows_processed", "Rows.", registry=registry)
errors = Counter("errors", "Errors.", ["kind"], registry=registry)
took = Histogram("took_seconds", "How long.", buckets=(1, 5), registry=registry)
size = Summary("size_bytes", "How much.", registry=registry)
info = Info("build", "Which one.", registry=registry)
rows.set(120)
errors.labels('a "b"').inc(3)
took.observe(2)
size.observe(1e9)
info.info({"version": "1"})
for url in URLS:
    push_to_gateway(url, "etl", registry)
    push_to_gateway(url, "etl", registry, grouping_key={"region": "eu/west"})
    push_to_gateway(url, "nightly etl", registry, grouping_key={"instance": "db1"})
    push_to_gateway(url, "sync", registry, grouping_key={"to": "delete"})
    delete_from_gateway(url, "sync", {"to": "delete"})
    other = CollectorRegistry()
    Gauge("rows_processed", "Other words.", registry=other).set(7)
    pushadd_to_gateway(url, "etl", other)
    push_to_gateway(url, "etl", other, grouping_key={"region": "us"})
"""

#: All of ASCII but NUL, with which Prometheus takes a page to end.
ODD: Final = (
    "".join(map(chr, range(1, 128)))
    .replace("\\", "\\\\")
    .replace("\n", "\\n")
    .replace('"', '\\"')
)

ODD_HELP: Final = ODD.replace('\\"', '"')

#: Method, path and body of pushes as scripts do them, some of them wrong.
PUSHES: Final = [
    ("PUT", "job/sync/instance/a", "some_metric 3.14\n"),
    ("POST", "job/sync/instance/a", 'other{job="mine",x="y\\n\\"\\\\"} NaN\n'),
    ("POST", "job/sync/instance/a", "some_metric 2.72e300\nlow -Inf\nhigh +Inf\n"),
    ("PUT", "job/sync/instance/b", "# TYPE some_metric counter\nsome_metric 1\n"),
    ("PUT", "job/sync/instance/c", "some_metric 1\nsome_metric 2\n"),
    ("PUT", "job/sync/instance/d", "some_metric 1 1700000000000\n"),
    ("PUT", "job/sync/instance/e", "took_seconds_sum 1\n"),
    ("PUT", "job/sync/instance/f", "rows_processed one\n"),
    ("PUT", "job/sync/instance/g", "rows_processed 1"),
    ("PUT", "job/sync/x/1", ""),
    ("PUT", "job/sync/y/1", 'n{z="1"} 1\n'),
    ("PUT", "job/sync/y/1/z/1", "n 1\n"),
    ("PUT", "job@base64/c3luYw/path@base64/L3Zhcg==", "n 1\npush_time_seconds 1\n"),
    ("PUT", "job/sync/v/1", "# TYPE n info\nn 1\n"),
    ("POST", "job/sync/w/1", "# HELP n Of \\\\ lines\\n.\n# TYPE n untyped\nn 1\n"),
    ("DELETE", "job/sync/w/2", ""),
    ("PUT", "job/sync/u/1", f'n{{odd="{ODD}"}} 1\n'),
    ("PUT", "job/sync/t/1", f"# HELP odd {ODD_HELP}\n# TYPE odd gauge\nodd 1\n"),
    ("PUT", "job/sync/odd", "n 1\n"),
    ("PUT", "job/sync/__a/1", "n 1\n"),
]

#: What Pushgateway tells of itself.
OWN: Final = ("go_", "process_", "pushgateway_", "promhttp_")
TIMES: Final = ("push_time_seconds", "push_failure_time_seconds")

Series = dict[tuple[str, str, frozenset[tuple[str, str]]], str]


class Both:
    """A daemon, a Pushgateway, and a Prometheus that scrapes both."""

    def __init__(self, folder: Path, launch: Launch) -> None:
        self.daemon = Daemon(folder)
        self.daemon.configure(CONFIG)
        self.daemon.start()
        gateway, scraper = network.free_port(), network.free_port()
        self.gateway, self.prometheus = url(gateway), url(scraper)
        command = [
            installed("prometheus-pushgateway", "pushgateway"),
            f"--web.listen-address={network.LOOPBACK}:{gateway}",
            "--persistence.file=",
        ]
        ready = f"{self.gateway}/-/ready"
        log = folder / "pushgateway.log"
        launch(
            Process("pushgateway", command, log, lambda: network.get(ready) is not None)
        )
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._configuration(gateway)))
        launch(prometheus(folder, config, scraper))

    def _configuration(self, gateway: int) -> dict[str, object]:
        def scrape(job: str, port: int, path: str) -> dict[str, object]:
            return {
                "job_name": job,
                "metrics_path": path,
                "honor_labels": job != "afterrun",
                "static_configs": [{"targets": [f"{network.LOOPBACK}:{port}"]}],
                "metric_relabel_configs": [{"target_label": "via", "replacement": job}],
            }

        return {
            # A scrape may take as long: one that takes longer ends all series.
            "global": {"scrape_interval": "5s"},
            "scrape_configs": [
                scrape("afterrun", self.daemon.port, "/metrics"),
                scrape("pushed", self.daemon.port, "/metrics/pushed"),
                scrape("gateway", gateway, "/metrics"),
            ],
        }

    def stored(self, via: str) -> dict[frozenset[tuple[str, str]], str]:
        """Return what Prometheus has of one of them: the labels and the value."""
        found = network.query(
            self.prometheus, f'{{via="{via}",job=~"etl|sync|nightly.*"}}'
        )
        return {
            frozenset((k, v) for k, v in one["metric"].items() if k != "via"): (
                _timeless(one["metric"]["__name__"], one["value"][1])
            )
            for one in found
        }

    def found(self, expression: str) -> list[Any]:
        """Return the instant vector of *expression*, once there is anything in it."""
        return network.wait_for(lambda: network.query(self.prometheus, expression))


def _timeless(name: str, value: str) -> str:
    """Return *value*; of a time, which both cannot have alike, whether there is one."""
    return str(float(value) > 0) if name in TIMES else value


def exposed(text: str) -> Series:
    """Return the series in *text* with type and value, but for Pushgateway's own."""
    # The parser names counters anew.
    families = text_string_to_metric_families(text.replace(" counter\n", " gauge\n"))
    return {
        (sample.name, family.type, frozenset(sample.labels.items())): _timeless(
            sample.name, repr(float(sample.value))
        )
        for family in families
        for sample in family.samples
        if not sample.name.startswith(OWN)
    }


@pytest.fixture(scope="module")
def both(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both of them after the same pushes of a client."""
    both = Both(tmp_path_factory.mktemp("both"), launch)
    python(f"URLS = {[both.daemon.url, both.gateway]!r}\n{CLIENT}")
    yield both
    both.daemon.kill()


def status(port: int, method: str, path: str, body: str) -> int:
    """Return the status of a push; 400 if the connection is closed without an answer.

    Pushgateway 1.11.0 does so where it refuses metrics that contradict others.
    """
    try:
        return request(network.LOOPBACK, port, method, f"/metrics/{path}", body).status
    except RemoteDisconnected:
        return 400


def test_both_answer_and_expose_the_same(both: Both) -> None:
    gateway = int(both.gateway.rpartition(":")[2])

    for method, path, body in PUSHES:
        answer = both.daemon.request(method, f"/metrics/{path}", body).status
        assert answer == status(gateway, method, path, body), (method, path, body)

    ours = exposed(both.daemon.get("/metrics/pushed").text)
    theirs = exposed(network.get(f"{both.gateway}/metrics").decode())  # type: ignore[union-attr]
    assert ours == theirs
    assert len(ours) > 60


def test_prometheus_finds_the_names_and_labels_that_it_had(both: Both) -> None:
    """Beside the gauges by which the job is judged."""
    assert network.wait_for(
        lambda: both.stored("pushed") == both.stored("gateway") != {}
    )

    (rows,) = both.found('rows_processed{via="pushed",job="nightly etl"}')
    assert rows["metric"]["instance"] == "db1"
    (grouped,) = both.found('rows_processed{via="pushed",region="us"}')
    assert "instance" not in grouped["metric"]
    judged = 'afterrun_job_metric{job_name="etl:us",metric="rows_processed"}'
    assert both.found(judged)
    assert {one["outcome"] for one in runs(both.daemon, "etl:us")} == {"ok"}
    # What is pushed never keeps Prometheus from taking all the rest.
    assert both.found("sum(up) == 3")


def test_a_push_that_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """And so does a deletion."""
    daemon = Daemon(tmp_path)
    daemon.configure(CONFIG)
    daemon.start()
    for job in ("etl", "sync"):
        path = f"/metrics/job/{job}"
        assert daemon.request("PUT", path, "last_words 1\n").status == 200
    assert daemon.request("POST", "/metrics/job/etl", "more 2\n").status == 200
    assert daemon.request("DELETE", "/metrics/job/sync").status == 202

    daemon.kill()
    daemon.start()
    page = daemon.get("/metrics/pushed").text
    daemon.kill()

    assert 'last_words{instance="",job="etl"} 1\n' in page
    assert 'more{instance="",job="etl"} 2\n' in page
    assert "sync" not in page


def test_a_reload_forgets_what_is_not_to_be_exposed_any_more(daemon: Daemon) -> None:
    daemon.configure(CONFIG)
    daemon.stop()
    daemon.start()
    assert daemon.request("PUT", "/metrics/job/etl", "rows 1\n").status == 200
    assert "rows{" in daemon.get("/metrics/pushed").text

    daemon.configure("jobs: {etl: {}}")
    assert daemon.post("/-/reload").status == 200

    assert daemon.get("/metrics/pushed").text == ""
