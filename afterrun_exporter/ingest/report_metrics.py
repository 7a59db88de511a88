"""The metrics of a report, with warnings about invalid ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from afterrun_exporter.core.metric_names import MAX_NAME, is_name
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.rules import DURATION

#: The most metrics of one report with a warning each.
MAX_WARNINGS: Final = 50


@dataclass(frozen=True, slots=True)
class ReportMetrics:
    """The metrics of a report."""

    values: Mapping[str, float]
    warnings: tuple[str, ...]
    #: The number of dropped metrics by reason.
    dropped: Counter[str]


NOTHING_DROPPED: Final = ReportMetrics({}, (), Counter())


def read_metrics(reported: Mapping[str, Any], limit: int) -> ReportMetrics:
    """Return the finite numbers in *reported*, at most *limit* of them.

    The others count as not reported: a rule on one of them is broken.
    """
    values: dict[str, float] = {}
    warnings: list[str] = []
    dropped: Counter[str] = Counter()
    for name, value in reported.items():
        if (problem := _problem_with_name(name)) is not None:
            dropped["name"] += 1
            _add(warnings, problem)
        elif (number := _finite(value)) is None:
            dropped["not_a_number"] += 1
            _add(
                warnings,
                f"metric {name!r} is {_show(value)}, not a finite number: "
                "it counts as missing",
            )
        elif len(values) >= limit:
            dropped["limit"] += 1
        else:
            values[name] = number
    if over := dropped["limit"]:
        warnings.append(
            f"{plural(over, 'metric is', 'metrics are')} over limits.metrics_per_job "
            f"({limit}): left out"
        )
    more = dropped["name"] + dropped["not_a_number"] - MAX_WARNINGS
    if more > 0:
        warnings.append(
            f"{plural(more, 'more metric is', 'more metrics are')} left out"
        )
    return ReportMetrics(values, tuple(warnings), dropped)


def _add(warnings: list[str], warning: str) -> None:
    if len(warnings) < MAX_WARNINGS:
        warnings.append(warning)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _problem_with_name(name: str) -> str | None:
    if name == DURATION:
        return (
            "metric 'duration' is the run's own: send duration_ms or duration_seconds"
        )
    if not is_name(name):
        return (
            f"metric {name[:MAX_NAME]!r} is left out: a name has 1 to {MAX_NAME} "
            "printable characters"
        )
    return None


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return f"{value!r:.40}"
