"""Schedules and assertions of Cronitor as settings of afterrun.yml."""

from __future__ import annotations

import re
from typing import Any, Final

from afterrun_exporter.core.crontab import five_fields
from afterrun_exporter.core.metric_names import as_rule

#: ``every 5 minutes``; units by their first letters.
_EVERY: Final = re.compile(
    r"every\s+(?:(\d{1,6})\s*)?(sec|min|hour|day|week)[a-z]*", re.IGNORECASE
)
_UNITS: Final = {"sec": "s", "min": "m", "hour": "h", "day": "d", "week": "w"}

#: ``metric.duration < 5 min``.
_ASSERTION: Final = re.compile(
    r"(?:metric|job|heartbeat|event)\.([A-Za-z_][\w-]{0,62})\s*(<=|>=|!=|==?|<|>)\s*"
    r"(-?\d+(?:\.\d+)?)\s*(ms|millisecond|s|sec|second|m|min|minute|h|hr|hour|d|day|week)?"
    r"s?",
    re.IGNORECASE | re.ASCII,
)

#: Metrics that Cronitor computes from many reports; clients do not report them.
_COMPUTED_METRICS: Final = frozenset({"error_rate"})


def schedule_settings(schedule: str) -> dict[str, Any]:
    """Return *schedule* as ``every`` or ``schedule``; the latter is not validated."""
    text = " ".join(schedule.split())
    if every := _EVERY.fullmatch(text):
        return {"every": f"{every[1] or 1}{_UNITS[every[2].lower()]}"}
    return {"schedule": five_fields(text)}


def assertion_rule(assertion: object) -> tuple[dict[str, Any] | None, str]:
    """Return the rule for *assertion*; None and the reason if there is none."""
    match = (
        _ASSERTION.fullmatch(assertion.strip()) if isinstance(assertion, str) else None
    )
    if match is None:
        return None, "write it like 'metric.count > 0' or 'metric.duration < 5 min'"
    metric, op, value, unit = match.groups()
    if metric in _COMPUTED_METRICS:
        return (
            None,
            f"{metric} is not reported; use success_ratio in afterrun.yml instead",
        )
    expr = f"{as_rule(metric)} {'==' if op == '=' else op} {value}{_span(unit)}"
    # Cronitor does not apply assertions to metrics that are not reported.
    return {"expr": expr, "on_missing": "ignore"}, ""


def _span(unit: str | None) -> str:
    if not unit:
        return ""
    short = unit.lower()
    return "ms" if short in {"ms", "millisecond"} else short[0]
