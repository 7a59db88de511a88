"""The dashboard: what Grafana reads back, and what its panels ask Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen import grafana, panels

Run = Callable[..., subprocess.CompletedProcess[str]]

QUERIES = list(panels.queries("nightly-backup", "rows_processed"))
# A histogram is read by the series it consists of.
FAMILIES = {value for value in vars(names).values() if isinstance(value, str)} | {
    f"{names.COMMIT_DURATION}_bucket"
}


@pytest.fixture(scope="module")
def built() -> Any:
    """Return the dashboard, as Grafana parses it."""
    return json.loads(grafana.dashboard_json())


def _panels(dashboard: Any) -> Iterator[Any]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def test_grafana_reads_back_what_was_written(built: Any) -> None:
    """Every field is one that Grafana's own schema knows."""
    register_default_plugins()

    again = Dashboard.from_json(built)

    assert json.loads(json.dumps(again, cls=JSONEncoder)) == built


def test_the_same_bytes_on_every_run(root: Path) -> None:
    """And they are those that are checked in."""
    first = grafana.dashboard_json()

    assert grafana.dashboard_json() == first
    assert (root / "grafana/dashboards/afterrun.json").read_text() == first


def test_promtool_can_read_every_query(run: Run, tmp_path: Path) -> None:
    """As recording rules, because promtool has no other ear for PromQL."""
    rules = [
        {"record": f"panel:{number}", "expr": expr}
        for number, (_, expr) in enumerate(QUERIES)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    result = run("promtool", "check", "rules", path)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("expr", [expr for _, expr in QUERIES])
def test_a_query_is_complete_and_reads_what_exists(expr: str) -> None:
    """No variable is left over, no metric is misspelt."""
    assert "$" not in expr
    assert set(re.findall(r"afterrun_\w+", expr)) <= FAMILIES


def test_the_dashboard_asks_what_the_panels_say(built: Any) -> None:
    """Those who run `panels.queries` have run all of the dashboard."""
    asked = [
        target["expr"]
        for panel in _panels(built)
        for target in panel.get("targets", ())
    ]

    assert asked == [
        query.expr for row in panels.ROWS for p in row.panels for query in p.queries
    ]


def test_panels_fill_the_grid_and_do_not_overlap(built: Any) -> None:
    """Grafana would move them, and the file would not be what is seen."""
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + line)
        for panel in _panels(built)
        for column in range(panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["h"])
    ]
    ids = [panel["id"] for panel in _panels(built)]

    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) == 23
    assert len(set(ids)) == len(ids)


def test_every_variable_that_is_used_is_declared(built: Any) -> None:
    """Grafana shows a misspelt one as an empty panel."""
    declared = {variable["name"] for variable in built["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z_]+)", json.dumps(built)))

    assert {name for name in used if not name.startswith("__")} == declared


def test_provisioning_files_find_the_dashboard_and_prometheus(root: Path) -> None:
    """The two files that Grafana reads at its start."""
    provisioning = root / "grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())
    boards = yaml.safe_load((provisioning / "dashboards/afterrun.yml").read_text())

    assert [entry["type"] for entry in source["datasources"]] == ["prometheus"]
    assert [entry["type"] for entry in boards["providers"]] == ["file"]
