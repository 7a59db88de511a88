"""Dashboards and alerts when the configuration disables series."""

from __future__ import annotations

import re

from afterrun_exporter import conventions as names
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.rulegen.dashboards import dashboards
from afterrun_exporter.rulegen.jobs import generic_rules
from afterrun_exporter.rulegen.panels import Dashboard

ALL = frozenset(one.name for one in FAMILIES)
CHOICES = ALL - names.NEEDED_BY.keys()


def read_by(board: Dashboard) -> set[str]:
    """Return the families that *board* reads."""
    exprs = [
        query.expr for row in board.rows for p in row.panels for query in p.queries
    ]
    exprs += [variable.query for variable in board.variables]
    return set(re.findall(rf"{names.OF_JOB}\w+", " ".join(exprs)))


def test_every_family_that_the_rules_read_is_needed() -> None:
    """So that no alert is silent because of a setting."""
    read: dict[str, set[str]] = {}
    for rule in generic_rules():
        for family in re.findall(rf"{names.OF_JOB}\w+", rule["expr"]):
            condition = rule.get("labels", {}).get(names.CONDITION, "")
            alert = rule.get("alert") or names.ALERT_OF.get(condition, "")
            read.setdefault(family, set()).add(alert)

    boards = {names.INFO, names.LAST_SUCCESS}
    assert read.keys() == names.NEEDED_BY.keys() - boards
    del read[names.ALERT_DETAIL]
    silent = {
        family: alerts
        for family, alerts in read.items()
        if not all(alert in names.NEEDED_BY[family] for alert in alerts)
    }
    assert silent == {}


def test_no_dashboard_reads_what_is_disabled() -> None:
    for family in sorted(CHOICES):
        for before, board in zip(dashboards(), dashboards((), {family}), strict=True):
            assert read_by(board) <= read_by(before) - {family}, (family, board.title)
            short = family.removeprefix(names.OF_JOB)
            is_said = f"exposition.disable has: {short}." in board.description
            assert is_said is (family in read_by(before)), (family, board.title)


def test_what_is_left_does_not_depend_on_what_is_disabled() -> None:
    """The tables of open conditions, of all jobs and of one, stay."""
    every, one, exporter = dashboards(("team",), CHOICES)

    titles = [[p.title for row in b.rows for p in row.panels] for b in (every, one)]
    assert all("Broken now" in panels for panels in titles)
    assert [variable.name for variable in one.variables] == ["exporter", "job_name"]
    assert exporter == dashboards(("team",))[2]


def test_a_panel_for_each_metric_goes_with_its_variable() -> None:
    _, one, _ = dashboards((), {names.METRIC_VALUE})

    assert [panel for row in one.rows for panel in row.panels if panel.repeat] == []
    assert "Metrics" not in [row.title for row in one.rows]


def test_the_choices_are_the_families_of_jobs() -> None:
    assert {name for name in names.HELP if name.startswith(names.OF_JOB)} == ALL
