"""What the dashboards ask, with Grafana's variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from afterrun_exporter.rulegen.dashboards import dashboards

#: A configuration that declares one label.
BOARDS = {board.uid: board for board in dashboards(["team"])}

VARIABLE = re.compile(r"\$\{?(?P<name>\w+)\}?")


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with every variable replaced; KeyError for an unknown one."""
    return VARIABLE.sub(lambda found: values[found["name"]], text)


def queries(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the place and the PromQL of every query of every panel."""
    for uid, board in BOARDS.items():
        for row in board.rows:
            for panel in row.panels:
                for query in panel.queries:
                    place = f"{uid}: {panel.title}: {query.legend}"
                    yield place, filled(query.expr, values)
