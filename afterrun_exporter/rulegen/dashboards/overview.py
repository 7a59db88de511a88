"""The dashboard of all jobs: open conditions, bad runs, next slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.rulegen.dashboards import shared
from afterrun_exporter.rulegen.dashboards.shared import OF_EXPORTER, RANGE
from afterrun_exporter.rulegen.panels import (
    VALUE,
    Column,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Variable,
)

_NAMED: Final = "jobs"

#: The maximum number of rows of a table.
_TOP: Final = 20

_STATES: Final = Panel(
    title="Jobs by state",
    kind=Kind.STAT,
    queries=(shared.jobs_by_state(OF_EXPORTER),),
    description="All jobs of the selected exporters, regardless of other filters. "
    "A job counts once: paused, else missed, else failing, else violated.",
    red="missed|failing|violated",
    colours={"ok": "green"},
    height=4,
    width=16,
)

_EXPORTERS: Final = Panel(
    title="Exporters",
    kind=Kind.STAT,
    queries=(
        Query(f"sum(up{{{OF_EXPORTER}}})", "answer"),
        Query(f"sum(1 - up{{{OF_EXPORTER}}})", "do not answer"),
    ),
    description="While one is down, its jobs are missing below and are not monitored.",
    red="do not answer",
    height=4,
    width=8,
)


def dashboard(label_keys: Sequence[str]) -> Dashboard:
    """Return the dashboard, filtered by severity and by each declared label."""
    filters = (
        _filter(names.SEVERITY, names.SEVERITY),
        # A declared label may have the name of another variable.
        *(_filter(key, f"label_{key}") for key in label_keys),
    )
    matchers = [OF_EXPORTER, f'{names.JOB}=~".*(?:${_NAMED}).*"']
    matchers += [matcher for _, matcher in filters]
    selected = ",".join(matchers)
    return Dashboard(
        uid=shared.OVERVIEW_UID,
        title="AfterRun",
        description="All jobs: open conditions, bad runs, next slots.",
        variables=(
            shared.EXPORTER,
            *(variable for variable, _ in filters),
            Variable(
                name=_NAMED,
                title="Job",
                description="Part of the name, or a regular expression: backup|^etl-",
            ),
        ),
        rows=(
            Row(
                "Now",
                (
                    _STATES,
                    _EXPORTERS,
                    _broken(selected, label_keys),
                    _upstream(selected, label_keys),
                    _due(selected),
                ),
            ),
            Row("Lately", (*_trouble(selected), _slowest(selected), _least(selected))),
        ),
    )


def _filter(key: str, name: str) -> tuple[Variable, str]:
    """Return the variable *name*, which filters by label *key*, and its matcher."""
    # A rule may have another severity than its job.
    series = f'{{__name__=~"{names.INFO}|{names.RULE_VIOLATED}"}}'
    variable = Variable(
        name=name,
        title=shared.label_column(key).title,
        query=f"label_values({series}, {key})",
        many=True,
        # Also matches jobs without the label.
        everything=".*",
    )
    return variable, f'{key}=~"${name}"'


def _broken(selected: str, label_keys: Sequence[str]) -> Panel:
    return Panel(
        title="Broken now",
        kind=Kind.TABLE,
        queries=(shared.broken(selected, label_keys),),
        description="Every condition of every job that calls for an alert. "
        "A job leads to its own dashboard, a condition to the runbook.",
        columns=(shared.JOB_COLUMN, *shared.broken_columns(label_keys)),
        sorted_by="Severity",
        empty="Nothing is broken, if the exporters answer",
        width=24,
        height=9,
    )


def _upstream(selected: str, label_keys: Sequence[str]) -> Panel:
    return Panel(
        title="Held back by a job they require",
        kind=Kind.TABLE,
        queries=(shared.upstream_unhealthy(selected, label_keys),),
        description="A job that these require is missed, overrunning, failing or violated. "
        "Their own alerts are suppressed until that job is healthy again.",
        columns=(
            shared.JOB_COLUMN,
            shared.SEVERITY_COLUMN,
            *(shared.label_column(key) for key in label_keys),
            Column(
                label=VALUE,
                title="Last success",
                unit="dateTimeFromNow",
                texts=shared.NEVER,
            ),
        ),
        sorted_by="Job",
        empty="None",
    )


def _due(selected: str) -> Panel:
    return _top(
        "Next due",
        f"bottomk({_TOP}, {_each(names.NEXT_RUN, selected)} < Inf) * 1000",
        Column(label=VALUE, title="Due", unit="dateTimeFromNow"),
        description="The next slot of each schedule; past when it has been missed.",
        descending=False,
        empty="No job has a schedule",
    )


def _trouble(selected: str) -> tuple[Panel, Panel]:
    counters = {
        "missed": names.MISSED_RUNS,
        "failed": names.RUN_FAILURES,
        "violating": names.VIOLATING_RUNS,
    }
    misses = _of_selected(_increase(names.MISSED_RUNS), selected)
    return (
        Panel(
            title="Runs that went wrong",
            kind=Kind.BARS,
            queries=tuple(
                Query(f"sum({_of_selected(_increase(metric), selected)})", legend)
                for legend, metric in counters.items()
            ),
            description="Missed, failed, or ok with a broken rule.",
            colours=shared.COLOURS,
            decimals=0,
        ),
        Panel(
            title="Misses by job",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"topk({_TOP}, sum by ({names.JOB}) ({misses}) > 0)",
                    f"{{{{{names.JOB}}}}}",
                ),
            ),
            description="If many jobs are missed at once, check the host that they share.",
            decimals=0,
            empty="No run was missed",
        ),
    )


def _slowest(selected: str) -> Panel:
    return _top(
        "Slowest jobs",
        # The comparison drops NaN of jobs without a reported duration.
        f"topk({_TOP}, {_each(names.LAST_DURATION, selected)} >= 0)",
        Column(label=VALUE, title="Last duration", unit="s"),
        description=f"The {_TOP} longest of the jobs' last runs.",
        descending=True,
        empty="No run has told its duration",
    )


def _least(selected: str) -> Panel:
    return _top(
        "Least successful jobs",
        f"bottomk({_TOP}, {_each(names.SUCCESS_RATIO, selected)} >= 0)",
        Column(label=VALUE, title="Success ratio", unit="percentunit"),
        description="Where alerts.success_ratio is configured, over its own window.",
        descending=False,
        empty="No job has alerts.success_ratio and runs in its window",
    )


def _top(
    title: str,
    expr: str,
    value: Column,
    *,
    description: str,
    descending: bool,
    empty: str,
) -> Panel:
    return Panel(
        title=title,
        kind=Kind.TABLE,
        queries=(Query(expr),),
        description=description,
        columns=(shared.JOB_COLUMN, value),
        sorted_by=value.title,
        descending=descending,
        empty=empty,
    )


def _increase(counter: str) -> str:
    """Return the increase for each job, once for all exporters with the same counts."""
    increase = f"increase({counter}{{{OF_EXPORTER}}}[{RANGE}])"
    return f"max by (job, {names.JOB}) ({increase})"


def _each(metric: str, selected: str) -> str:
    of_selected = _of_selected(f"{metric}{{{OF_EXPORTER}}}", selected)
    return f"max by ({names.JOB}) ({of_selected})"


def _of_selected(expr: str, selected: str) -> str:
    """Return the series of *expr* whose jobs are selected."""
    return f"{expr} and on (job, {names.JOB}) {names.INFO}{{{selected}}}"
