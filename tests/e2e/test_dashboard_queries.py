"""What the dashboards ask, asked of a real Prometheus that watches a real daemon."""

from __future__ import annotations

import json
import math
import re
import urllib.parse

import pytest

from afterrun_exporter import conventions as names
from tests.dashboards import BOARDS, filled, queries
from tests.postgres import Server

from . import network
from .backup import Backup
from .chain import Chain, assemble
from .conftest import Launch

JOB = "nightly-backup"
METRIC = "rows_processed"

#: One job has everything that can be configured; another is missed, a third fails.
#: Nobody listens where alerts are pushed to: they wait.
CONFIG = """\
labels: [team]
settle: 1s
alertmanager: {{push_to: ["{alertmanager}"]}}
jobs:
  nightly-backup:
    every: 1h
    max_runtime: 30m
    severity: critical
    labels: {{team: data}}
    rules: [rows_processed > 0, duration < 10m]
    alerts:
      success_ratio: {{below: 80%, over: 7d, min_runs: 1}}
      slower_than: {{factor: 2, than: median, over: 7d, min_runs: 1}}
    concurrency: {{max: 1}}
    depends_on: [{{job: ingest, requires_success: true}}]
  ingest: {{}}
  stopped: {{every: 2s, grace: 1s}}
"""

VALUES = {
    "exporter": "afterrun",
    "severity": "(critical|warning)",
    "label_team": ".*",
    "jobs": "backup|^stop|ingest",
    "job_name": JOB,
    "metric": METRIC,
    "__rate_interval": "1m",
    "__range": "1h",
}
#: What the reader is to be offered, among others.
OFFERED = {
    "exporter": "afterrun",
    "severity": "critical",
    "label_team": "data",
    "job_name": JOB,
    "metric": METRIC,
}
VARIABLES = {
    f"{uid}: {variable.name}": variable
    for uid, board in BOARDS.items()
    for variable in board.variables
    if variable.query
}
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")
QUERIES = dict(queries(VALUES))


@pytest.fixture(scope="module")
def chain(
    launch: Launch, tmp_path_factory: pytest.TempPathFactory, postgres_server: Server
) -> Chain:
    """A daemon and a Prometheus, which has seen all that can go wrong.

    The daemon is a replica: it has all metrics.
    """
    home = tmp_path_factory.mktemp("queries")
    config = home / "afterrun.yml"
    nobody = f"http://{network.LOOPBACK}:{network.free_port()}"
    config.write_text(CONFIG.format(alertmanager=nobody))
    chain = assemble(home, config, storage=postgres_server.new_database().url)
    launch(chain.daemon)
    launch(chain.prometheus)
    network.wait_for(lambda: _value(chain, names.RUNS, JOB) == 0)

    backup = Backup(JOB, home, chain.daemon_url)
    backup.run()
    backup.mend(orders=0)
    backup.run()
    ingest = Backup("ingest", home, chain.daemon_url)
    ingest.lose_table()
    ingest.run()

    network.wait_for(lambda: _value(chain, names.RUNS, JOB) == 2)
    network.wait_for(lambda: _value(chain, names.FAILING, "ingest") == 1)
    network.wait_for(lambda: _value(chain, names.STALE, "stopped") == 1)
    return chain


@pytest.fixture(scope="module")
def prometheus(chain: Chain) -> str:
    """The URL of Prometheus."""
    return chain.prometheus_url


def _value(chain: Chain, metric: str, job: str) -> float | None:
    found = network.query(chain.prometheus_url, f'{metric}{{{names.JOB}="{job}"}}')
    return float(found[0]["value"][1]) if found else None


def _numbers(prometheus: str, expression: str) -> list[float]:
    found = network.query(prometheus, expression)
    numbers = (float(series["value"][1]) for series in found)
    return [number for number in numbers if not math.isnan(number)]


@pytest.mark.parametrize("place", QUERIES)
def test_a_panel_shows_something(chain: Chain, place: str) -> None:
    """Prometheus understands the query and has an answer that can be drawn."""
    expression = QUERIES[place]

    def numbers_after_a_refusal() -> list[float]:
        # An increase is one between two scrapes.
        network.get(f"{chain.daemon_url}/nowhere")
        return _numbers(chain.prometheus_url, expression)

    numbers = network.wait_for(numbers_after_a_refusal)

    assert numbers, f"{place!r} is empty: {expression}"


@pytest.mark.parametrize("place", VARIABLES)
def test_a_variable_offers_something(prometheus: str, place: str) -> None:
    """The reader can choose the exporter, the job and the metric that there are."""
    variable = VARIABLES[place]
    asked = LABEL_VALUES.fullmatch(variable.query)
    assert asked is not None, "Grafana reads label_values(series, label)"
    series = filled(asked["series"], VALUES)
    match = urllib.parse.urlencode({"match[]": series})

    def values() -> list[str]:
        body = network.get(f"{prometheus}/api/v1/label/{asked['label']}/values?{match}")
        assert body is not None, f"Prometheus does not understand {series}"
        found: list[str] = json.loads(body)["data"]
        return found

    expected = OFFERED[variable.name]
    assert network.wait_for(lambda: expected in values()), values()


def test_what_is_broken_is_told_with_its_last_success(prometheus: str) -> None:
    """A row for each condition of each job, whoever has never succeeded too."""
    (expression,) = (
        QUERIES[place] for place in QUERIES if place.startswith("afterrun: Broken")
    )

    expected = {
        (JOB, "afterrunjobruleviolated"),
        (JOB, "afterrunjobsuccessratiolow"),
        ("ingest", "afterrunjobfailing"),
        ("stopped", "afterrunjobmissed"),
    }
    rows: dict[tuple[str, str], float] = {}

    def all_are_told() -> bool:
        """Ask; after a scrape that takes too long, there are no rows for a while."""
        rows.clear()
        for row in network.query(prometheus, expression):
            labels = row["metric"]
            rows[labels[names.JOB], labels["alertname"]] = float(row["value"][1])
        return rows.keys() >= expected

    network.wait_for(all_are_told)
    assert rows.keys() >= expected
    assert rows[JOB, "afterrunjobruleviolated"] > 1e12, "milliseconds"
    assert rows["ingest", "afterrunjobfailing"] == 0
