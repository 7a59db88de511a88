"""Dashboards without the series that the configuration disables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.panels import Dashboard, Panel, Row, Variable

_FAMILY: Final = re.compile(rf"{names.OF_JOB}[a-z_]+")
#: The ends of the names of series in a family.
_PARTS: Final = ("", "_sum", "_count")


def without(board: Dashboard, disabled: Collection[str]) -> Dashboard:
    """Return *board* without queries of *disabled* families, and say so in it.

    Panels without queries, rows without panels, and variables are left out, too.
    """
    reduced = _Reduction(disabled)
    variables = tuple(reduced.variables(board))
    rows = tuple(reduced.rows(board))
    description = board.description
    if reduced.missing:
        missing = sorted(one.removeprefix(names.OF_JOB) for one in reduced.missing)
        description += (
            f" Left out, because exposition.disable has: {', '.join(missing)}."
        )
    return replace(board, description=description, variables=variables, rows=rows)


class _Reduction:
    """The reduction of one dashboard, and the families that it lacks."""

    def __init__(self, disabled: Collection[str]) -> None:
        self._disabled = {one + part: one for one in disabled for part in _PARTS}
        self._left_out: set[str] = set()
        #: Disabled families that were read.
        self.missing: set[str] = set()

    def variables(self, board: Dashboard) -> Iterator[Variable]:
        for variable in board.variables:
            if self._reads(variable.query):
                self._left_out.add(variable.name)
            else:
                yield variable

    def rows(self, board: Dashboard) -> Iterator[Row]:
        for row in board.rows:
            panels = tuple(self._panels(row))
            if panels:
                yield Row(row.title, panels)

    def _panels(self, row: Row) -> Iterator[Panel]:
        for panel in row.panels:
            queries = tuple(one for one in panel.queries if not self._reads(one.expr))
            if queries and panel.repeat not in self._left_out:
                yield replace(panel, queries=queries)

    def _reads(self, expr: str) -> bool:
        """Return True if *expr* reads a disabled family; add it to `missing`."""
        families = {
            self._disabled[name]
            for name in _FAMILY.findall(expr)
            if name in self._disabled
        }
        self.missing |= families
        return bool(families)
