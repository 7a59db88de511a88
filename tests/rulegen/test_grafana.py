"""The dashboards: what Grafana reads back, and what their panels ask Prometheus."""

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
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.rulegen import grafana
from afterrun_exporter.rulegen.panels import Kind, Panel
from tests.dashboards import BOARDS, VARIABLE, queries

Run = Callable[..., subprocess.CompletedProcess[str]]

VALUES = {
    "exporter": "afterrun",
    "severity": ".*",
    "label_team": ".*",
    "jobs": "",
    "job_name": "nightly-backup",
    "metric": "rows_processed",
    "__rate_interval": "5m",
    "__range": "24h",
}
QUERIES = list(queries(VALUES))
PANELS = [
    pytest.param(panel, id=f"{uid}: {panel.title}")
    for uid, board in BOARDS.items()
    for row in board.rows
    for panel in row.panels
]
# A histogram is read by the series it consists of.
FAMILIES = {value for value in vars(names).values() if isinstance(value, str)} | {
    f"{family}_{part}"
    for family in (names.COMMIT_DURATION, names.HTTP_DURATION)
    for part in ("bucket", "count")
}


@pytest.fixture(scope="module", params=BOARDS)
def built(request: pytest.FixtureRequest) -> Any:
    """Return a dashboard, as Grafana parses it."""
    return json.loads(grafana.dashboards(["team"])[f"{request.param}.json"])


def _panels(dashboard: Any) -> Iterator[Any]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _panel_of_job(title: str) -> Panel:
    rows = BOARDS["afterrun-job"].rows
    return next(one for row in rows for one in row.panels if one.title == title)


def test_grafana_reads_back_what_was_written(built: Any) -> None:
    """Every field is one that Grafana's own schema knows."""
    register_default_plugins()

    again = Dashboard.from_json(built)

    assert json.loads(json.dumps(again, cls=JSONEncoder)) == built


def test_the_same_bytes_on_every_run() -> None:
    """So that a build can compare them with those that are checked in."""
    assert grafana.dashboards() == grafana.dashboards()


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


def test_no_two_series_of_a_panel_are_called_alike() -> None:
    """Nobody could tell them apart, and tests know a query by its place."""
    places = [place for place, _ in QUERIES]

    assert sorted(set(places)) == sorted(places)


@pytest.mark.parametrize("expr", dict(QUERIES).values(), ids=dict(QUERIES))
def test_a_query_reads_what_exists(expr: str) -> None:
    """No metric is misspelt."""
    # A section of the runbook has no underscore.
    assert set(re.findall(r"afterrun_\w+", expr)) <= FAMILIES


def test_a_dashboard_asks_what_its_panels_say(built: Any) -> None:
    """Those who run the queries of the panels have run all of the dashboard."""
    asked = [
        target["expr"]
        for panel in _panels(built)
        for target in panel.get("targets", ())
    ]

    assert asked == [
        query.expr
        for row in BOARDS[built["uid"]].rows
        for panel in row.panels
        for query in panel.queries
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
    used = {found["name"] for found in VARIABLE.finditer(json.dumps(built))}

    assert {name for name in used if not name.startswith("__")} == declared


def test_a_declared_label_filters_and_is_shown() -> None:
    """Without any, nothing of the kind is left."""
    (plain, labelled) = (
        grafana.dashboards(keys)["afterrun.json"] for keys in ([], ["team"])
    )

    assert 'team=~\\"$label_team\\"' in labelled
    assert '"Team"' in labelled
    assert "team" not in plain.lower()


def test_links_lead_to_dashboards_and_variables_that_exist() -> None:
    """A job's name opens that job; nothing leads nowhere."""
    links = {
        column.link
        for board in BOARDS.values()
        for row in board.rows
        for panel in row.panels
        for column in panel.columns
        if column.link.startswith("/d/")
    }

    assert links
    for link in links:
        uid, _, arguments = link.removeprefix("/d/").partition("?")
        given = re.findall(r"var-(\w+)=|\$\{([a-z]\w*):queryparam\}", arguments)
        known = {variable.name for variable in BOARDS[uid].variables}
        assert {one or other for one, other in given} <= known | {"datasource"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_reader_sees_words_and_units(panel: Any) -> None:
    """No raw label for a heading, no series without a name, no "Value #A"."""
    if panel.kind is Kind.TABLE:
        assert len(panel.queries) == 1
        assert panel.empty
        assert {"Value"} <= {column.label for column in panel.columns}
        assert all(column.title[0].isupper() for column in panel.columns)
        assert "_" not in "".join(column.title for column in panel.columns)
        assert panel.sorted_by in {"", *(column.title for column in panel.columns)}
    elif panel.kind is not Kind.STAT or len(panel.queries) > 1:
        assert all(query.legend for query in panel.queries)


def test_every_condition_is_on_both_dashboards() -> None:
    """One that is added must be seen; of these two nothing is wrong with the job."""
    conditions = set(Condition) - {Condition.TEST, Condition.SUCCEEDED}
    overview = json.dumps(json.loads(grafana.dashboards()["afterrun.json"]))

    assert len(_panel_of_job("Conditions").queries) == len(conditions)
    for condition in conditions - {Condition.UPSTREAM_UNHEALTHY}:
        assert names.ALERT_OF[condition].lower() in overview
    assert names.UPSTREAM_UNHEALTHY in overview


def test_outcomes_are_named_as_they_are_numbered() -> None:
    """As in `afterrun_job_last_run_outcome`."""
    outcomes = _panel_of_job("Last run was").texts
    named = [(number, text.text) for number, text in outcomes.items()]

    assert named == [(str(number), one.value) for number, one in enumerate(Outcome)]


def test_provisioning_files_find_the_dashboards_and_prometheus(root: Path) -> None:
    """The two files that Grafana reads at its start."""
    provisioning = root / "grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())
    boards = yaml.safe_load((provisioning / "dashboards/afterrun.yml").read_text())

    assert [entry["type"] for entry in source["datasources"]] == ["prometheus"]
    assert [entry["type"] for entry in boards["providers"]] == ["file"]
