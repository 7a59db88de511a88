"""What the dashboard shows, as data: no Grafana here, and nothing about its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.rules import DURATION

#: The dashboard's variables that have a value for every reader.
JOB_VARIABLE: Final = names.JOB
METRIC_VARIABLE: Final = names.METRIC

_OF_JOB: Final = f'{names.JOB}="${JOB_VARIABLE}"'
# A variable that repeats panels is put in with its regular expression escaped.
_OF_METRIC: Final = f'{_OF_JOB},{names.METRIC}=~"${METRIC_VARIABLE}"'

#: Grafana knows the scrape interval; what it puts in elsewhere is this.
_RANGE: Final = "$__rate_interval"


class Kind(StrEnum):
    """How a panel shows its queries."""

    STAT = "stat"
    SERIES = "series"
    BARS = "bars"
    STATES = "states"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of Prometheus, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. A row of the dashboard is 24 wide."""

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    description: str = ""
    unit: str = ""
    width: int = 12
    height: int = 8
    #: A regular expression of the series that are red from 1 on.
    red: str = ""
    #: A variable; the panel is there once for each of its values.
    repeat: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def _counts(selector: str = "") -> tuple[Query, ...]:
    counters = {
        "missed": names.MISSED_RUNS,
        "failed": names.RUN_FAILURES,
        "violating": names.VIOLATING_RUNS,
    }
    return tuple(
        Query(f"sum(increase({metric}{selector}[{_RANGE}]))", legend)
        for legend, metric in counters.items()
    )


def _broken() -> str:
    """Return the query for what is wrong now, one row a condition of a job."""
    conditions = {
        "missed": f"{names.DEADLINE} < time()",
        "failing": f"{names.FAILING} == 1",
        "violated": f"{names.RULE_VIOLATED} == 1",
        "overrunning": f"{names.RUN_DEADLINE} < time()",
    }
    return "\nor\n".join(
        f'label_replace(max without (instance, pod, job) ({expr}), "condition", '
        f'"{condition}", "", "")'
        for condition, expr in conditions.items()
    )


def _moment(metric: str) -> tuple[Query, ...]:
    # Grafana counts in milliseconds; 0 is never.
    return (Query(f"max({metric}{{{_OF_JOB}}} > 0) * 1000"),)


OVERVIEW: Final = Row(
    "All jobs",
    (
        Panel(
            title="Jobs by state",
            kind=Kind.STAT,
            queries=(
                Query(
                    f"sum by ({names.STATE}) ({names.JOBS})", f"{{{{{names.STATE}}}}}"
                ),
            ),
            red="missed|failing|violated",
            height=4,
            width=18,
        ),
        Panel(
            title="Exporters that answer",
            kind=Kind.STAT,
            queries=(Query(f"count({names.BUILD_INFO})"),),
            height=4,
            width=6,
        ),
        Panel(
            title="Broken now",
            kind=Kind.TABLE,
            queries=(Query(_broken()),),
            description="Every condition of every job that calls for an alert.",
            width=24,
        ),
        Panel(
            title="Runs that went wrong",
            kind=Kind.BARS,
            queries=_counts(),
            description="Missed, failed, or ok and in breach of a rule.",
        ),
        Panel(
            title="Next due",
            kind=Kind.TABLE,
            queries=(
                Query(
                    f"bottomk(20, max by ({names.JOB}) ({names.NEXT_RUN} < Inf)) * 1000"
                ),
            ),
            unit="dateTimeAsIso",
        ),
        Panel(
            title="Pings",
            kind=Kind.SERIES,
            queries=(
                Query(
                    f"sum by ({names.RESULT}) (rate({names.PINGS}[{_RANGE}]))",
                    f"{{{{{names.RESULT}}}}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            title="Commits, 99th percentile",
            kind=Kind.SERIES,
            queries=(
                Query(
                    "histogram_quantile(0.99, sum by (le) "
                    f"(rate({names.COMMIT_DURATION}_bucket[{_RANGE}])))",
                    "commit",
                ),
            ),
            unit="s",
        ),
    ),
)

ONE_JOB: Final = Row(
    f"Job: ${JOB_VARIABLE}",
    (
        Panel(
            title="Last run",
            kind=Kind.STAT,
            queries=_moment(names.LAST_RUN),
            unit="dateTimeFromNow",
            width=6,
            height=4,
        ),
        Panel(
            title="Last success",
            kind=Kind.STAT,
            queries=_moment(names.LAST_SUCCESS),
            unit="dateTimeFromNow",
            width=6,
            height=4,
        ),
        Panel(
            title="Deadline of the next run",
            kind=Kind.STAT,
            queries=(Query(f"max({names.DEADLINE}{{{_OF_JOB}}} < Inf) * 1000"),),
            unit="dateTimeFromNow",
            width=6,
            height=4,
        ),
        Panel(
            title="Runs in a row that were not ok",
            kind=Kind.STAT,
            queries=(Query(f"max({names.CONSECUTIVE_FAILURES}{{{_OF_JOB}}})"),),
            red=".*",
            width=6,
            height=4,
        ),
        Panel(
            title="Runs",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"sum(increase({names.RUNS}{{{_OF_JOB}}}[{_RANGE}]))", "finished"
                ),
                *_counts(f"{{{_OF_JOB}}}"),
            ),
        ),
        Panel(
            title="Duration",
            kind=Kind.SERIES,
            queries=(
                Query(f"max({names.LAST_DURATION}{{{_OF_JOB}}})", "duration"),
                Query(
                    f"max by ({names.RULE}) ({names.RULE_THRESHOLD}"
                    f'{{{_OF_JOB},{names.METRIC}="{DURATION}"}})',
                    f"{{{{{names.RULE}}}}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            title="Rules that are violated",
            kind=Kind.STATES,
            queries=(
                Query(
                    f"max by ({names.RULE}) ({names.RULE_VIOLATED}{{{_OF_JOB}}})",
                    f"{{{{{names.RULE}}}}}",
                ),
            ),
            width=24,
            height=6,
        ),
        Panel(
            title=f"${METRIC_VARIABLE}",
            kind=Kind.SERIES,
            queries=(
                Query(f"max({names.METRIC_VALUE}{{{_OF_METRIC}}})", "reported"),
                Query(
                    f"max by ({names.RULE}, {names.OP}) "
                    f"({names.RULE_THRESHOLD}{{{_OF_METRIC}}})",
                    f"{{{{{names.RULE}}}}}",
                ),
            ),
            description="What the job reported, against its rules.",
            repeat=METRIC_VARIABLE,
        ),
    ),
)

ROWS: Final = (OVERVIEW, ONE_JOB)

#: How the values of a variable are asked for.
VARIABLES: Final[Mapping[str, str]] = {
    JOB_VARIABLE: f"label_values({names.INFO}, {names.JOB})",
    METRIC_VARIABLE: f"label_values({names.METRIC_VALUE}{{{_OF_JOB}}}, {names.METRIC})",
}


def queries(
    job_name: str, metric: str, rate_interval: str = "5m"
) -> Iterator[tuple[str, str]]:
    """Yield the title and the PromQL of every query, with the variables filled in."""
    values = {
        f"${JOB_VARIABLE}": job_name,
        f"${METRIC_VARIABLE}": metric,
        _RANGE: rate_interval,
    }
    for row in ROWS:
        for panel in row.panels:
            for query in panel.queries:
                expr = query.expr
                for variable, value in values.items():
                    expr = expr.replace(variable, value)
                yield panel.title, expr
