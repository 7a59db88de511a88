"""The shape of one alerting rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from afterrun_exporter import conventions as names

#: One alerting rule, or a whole rule file, as Prometheus's YAML has it.
Data = dict[str, Any]


def alert(
    name: str,
    *,
    expr: str,
    description: str,
    hold: str | None = None,
    severity: str | None = None,
    summary: str | None = None,
    carried: Iterable[str] = (),
) -> Data:
    """Return one rule; without *severity* the series bring theirs along.

    The summary is a fixed sentence, so that pagers group by it. Labels are fixed
    too: a templated one would make a new alert of each value. Those that are *carried*
    are there for the description alone: an empty label is none.
    """
    labels = dict.fromkeys(carried, "")
    if severity:
        labels[names.SEVERITY] = severity
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold else {}),
        **({"labels": labels} if labels else {}),
        "annotations": {
            "summary": summary or names.SUMMARIES[name],
            "description": description,
            "runbook_url": f"{names.RUNBOOK}#{name.lower()}",
        },
    }
