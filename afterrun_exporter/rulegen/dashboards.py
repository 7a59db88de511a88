"""The dashboards, read from dashboards.yml: all jobs, one job, the exporter itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition
from afterrun_exporter.rulegen.disabled_series import without
from afterrun_exporter.rulegen.panels import (
    Column,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Text,
    Variable,
)
from afterrun_exporter.rulegen.render import TEMPLATES, read_yaml

#: The entry of a list in the file that stands for an entry for each declared label.
_LABELS: Final = "labels"

_OF_EXPORTER: Final = 'job=~"$exporter"'
_OF_JOB: Final = f'{_OF_EXPORTER},{names.JOB}="${names.JOB}"'

#: The conditions that call for an alert. Unlike the alerting rules, these do not
#: remember what an exporter said before it fell silent: that is the exporter's own
#: panel to tell, and would be dear to ask for every few seconds.
_BROKEN: Final = {
    Condition.MISSED: (names.DEADLINE, "< time()"),
    Condition.FAILING: (names.FAILING, "== 1"),
    Condition.VIOLATED: (names.RULE_VIOLATED, "== 1"),
    Condition.OVERRUNNING: (names.RUN_DEADLINE, "< time()"),
    Condition.OVERLAPPING: (names.OVERLAPPING, "== 1"),
    Condition.SLOW: (names.SLOW, "== 1"),
    Condition.SUCCESS_RATIO_LOW: (names.SUCCESS_RATIO_LOW, "== 1"),
}


def dashboards(
    label_keys: Sequence[str] = (), disabled: Collection[str] = ()
) -> tuple[Dashboard, ...]:
    """Return every dashboard; *label_keys* are those that the configuration declares.

    *disabled* are the families that it disables.
    """
    builder = _Builder(label_keys)
    boards = (builder.dashboard(uid, board) for uid, board in _read().items())
    return tuple(without(board, disabled) for board in boards)


@cache
def _read() -> Mapping[str, Any]:
    return read_yaml(TEMPLATES / "dashboards.yml")


class _Builder:
    """Builds dashboards of a configuration that declares *label_keys*."""

    def __init__(self, label_keys: Sequence[str]) -> None:
        self._label_keys = label_keys
        filters = "".join(f',{key}=~"$label_{key}"' for key in label_keys)
        labels = "".join(f", {key}" for key in label_keys)
        selected = (
            f'{_OF_EXPORTER},{names.JOB}=~".*(?:$jobs).*",'
            f'{names.SEVERITY}=~"${names.SEVERITY}"{filters}'
        )
        self._placeholders = {
            "@BROKEN_JOB@": _broken(_OF_JOB, labels),
            "@BROKEN_SELECTED@": _broken(selected, labels),
            "@JOB@": _OF_JOB,
            "@LABELS@": labels,
            "@SELECTED@": selected,
        }

    def dashboard(self, uid: str, board: Mapping[str, Any]) -> Dashboard:
        """Return the dashboard *board* of the file."""
        return Dashboard(
            uid=uid,
            title=board["title"],
            description=board["description"],
            variables=tuple(
                Variable(**one)
                for one in self._entries(board["variables"], _label_variable)
            ),
            rows=tuple(
                Row(title, tuple(map(self._panel, panels)))
                for title, panels in board["rows"].items()
            ),
        )

    def _panel(self, panel: Mapping[str, Any]) -> Panel:
        columns = self._entries(panel.get("columns", ()), _label_column)
        queries = panel["queries"].items()
        fields = {
            "kind": Kind(panel["kind"]),
            "queries": tuple(Query(self._filled(expr), key) for key, expr in queries),
            "texts": _texts(panel),
            "columns": tuple(
                Column(**{**column, "texts": _texts(column)}) for column in columns
            ),
        }
        return Panel(**{**panel, **fields})

    def _filled(self, expr: str) -> str:
        for name, text in self._placeholders.items():
            expr = expr.replace(name, text)
        return expr

    def _entries(
        self, entries: Iterable[Any], of_label: Callable[[str], Mapping[str, Any]]
    ) -> Iterator[Mapping[str, Any]]:
        for entry in entries:
            if entry == _LABELS:
                yield from map(of_label, self._label_keys)
            else:
                yield entry


def _texts(data: Mapping[str, Any]) -> Mapping[str, Text]:
    return {value: Text(*text) for value, text in data.get("texts", {}).items()}


def _label_column(key: str) -> Mapping[str, Any]:
    return {"label": key, "title": key.replace("_", " ").capitalize()}


def _label_variable(key: str) -> Mapping[str, Any]:
    # A declared label may have the name of another variable. A rule may have another
    # severity than its job.
    series = f"{names.INFO}|{names.RULE_VIOLATED}"
    return {
        "name": f"label_{key}",
        "title": _label_column(key)["title"],
        "query": f'label_values({{__name__=~"{series}"}}, {key})',
        "many": True,
        "everything": ".*",
    }


def _broken(selector: str, labels: str) -> str:
    """Return the query for open conditions, one per row, with the last success."""
    by = f"{names.JOB}, {names.SEVERITY}{labels}, {names.RULE}, {names.METRIC}"
    # Exporters of one scrape job are one: of two deadlines the later one counts.
    conditions = "\nor\n".join(
        f"label_replace(max by ({by}) "
        f"(max by (job, {by}) ({metric}{{{selector}}}) {holds}), "
        # A label that jobs cannot have, and the section of the runbook.
        f'"alertname", "{names.ALERT_OF[condition].lower()}", "", "")'
        for condition, (metric, holds) in _BROKEN.items()
    )
    success = f"max by ({names.JOB}) ({names.LAST_SUCCESS}{{{_OF_EXPORTER}}})"
    return f"0 * (\n{conditions}\n)\n+ on ({names.JOB}) group_left ()\n{success} * 1000"
