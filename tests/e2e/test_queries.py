"""What the dashboard asks, asked of a real Prometheus that watches a real daemon."""

from __future__ import annotations

import json
import math
import re
import urllib.parse

import pytest

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import panels

from . import network
from .backup import Backup
from .chain import Chain, assemble
from .conftest import Launch

JOB = "nightly-backup"
METRIC = "rows_processed"

CONFIG = """\
jobs:
  nightly-backup:
    every: 1h
    rules: [rows_processed > 0, duration < 10m]
"""

QUERIES = list(panels.queries(JOB, METRIC, rate_interval="1m"))
LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), (?P<label>\w+)\)")

#: Two scrapes, for the rates, on a busy machine.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def prometheus(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where Prometheus is; it has seen a good run and a bad one."""
    home = tmp_path_factory.mktemp("queries")
    config = home / "afterrun.yml"
    config.write_text(CONFIG)
    chain = assemble(home, config)
    launch(chain.daemon)
    launch(chain.prometheus)
    network.wait_for(lambda: _value(chain, names.RUNS) == 0)

    backup = Backup(JOB, home, chain.daemon_url)
    backup.run()
    backup.mend(orders=0)
    backup.run()

    network.wait_for(lambda: _value(chain, names.RUNS) == 2)
    return chain.prometheus_url


def _value(chain: Chain, metric: str) -> float | None:
    found = network.query(chain.prometheus_url, metric)
    return float(found[0]["value"][1]) if found else None


def _numbers(prometheus: str, expression: str) -> list[float]:
    found = network.query(prometheus, expression)
    numbers = (float(series["value"][1]) for series in found)
    return [number for number in numbers if not math.isnan(number)]


@pytest.mark.parametrize(
    ("title", "expression"),
    QUERIES,
    ids=[f"{number}: {title}" for number, (title, _) in enumerate(QUERIES)],
)
def test_a_panel_shows_something(prometheus: str, title: str, expression: str) -> None:
    """Prometheus understands the query and has an answer that can be drawn."""
    numbers = network.wait_for(lambda: _numbers(prometheus, expression), PATIENCE)

    assert numbers, f"the panel {title!r} is empty: {expression}"


@pytest.mark.parametrize("variable", panels.VARIABLES)
def test_a_variable_offers_something(prometheus: str, variable: str) -> None:
    """The reader can choose the job and the metric that there are."""
    asked = LABEL_VALUES.fullmatch(panels.VARIABLES[variable])
    assert asked is not None, "Grafana reads label_values(series, label)"
    series = asked["series"].replace(f"${panels.JOB_VARIABLE}", JOB)
    match = urllib.parse.urlencode({"match[]": series})

    body = network.get(f"{prometheus}/api/v1/label/{asked['label']}/values?{match}")

    assert body is not None, f"Prometheus does not understand {series}"
    expected = {panels.JOB_VARIABLE: JOB, panels.METRIC_VARIABLE: METRIC}[variable]
    assert expected in json.loads(body)["data"]
