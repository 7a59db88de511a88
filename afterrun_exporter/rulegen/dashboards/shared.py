"""Queries and columns shared by several dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.model import Condition
from afterrun_exporter.rulegen.panels import VALUE, Column, Query, Text, Variable

#: Links between dashboards.
OVERVIEW_UID: Final = "afterrun"
JOB_UID: Final = "afterrun-job"
EXPORTER_UID: Final = "afterrun-exporter"

#: Grafana knows the scrape interval; what it puts in elsewhere is this.
RANGE: Final = "$__rate_interval"

_EXPORTER: Final = "exporter"
#: The matcher for the selected exporters.
OF_EXPORTER: Final = f'job=~"${_EXPORTER}"'

EXPORTER: Final = Variable(
    name=_EXPORTER,
    title="Exporter",
    query=f"label_values({names.BUILD_INFO}, job)",
    description="The name of the exporter's scrape job in Prometheus.",
    many=True,
)

#: The name of a job, with a link to its dashboard.
JOB_COLUMN: Final = Column(
    label=names.JOB,
    title="Job",
    link=(
        f"/d/{JOB_UID}?var-{names.JOB}=${{__value.raw}}"
        f"&${{datasource:queryparam}}&${{{_EXPORTER}:queryparam}}"
        "&${__url_time_range}"
    ),
    link_title="This job",
)

SEVERITY_COLUMN: Final = Column(
    label=names.SEVERITY,
    title="Severity",
    texts={
        "critical": Text("critical", "red"),
        "warning": Text("warning", "orange"),
        "info": Text("info", "blue"),
    },
)

#: Grafana counts in milliseconds; 0 is what we say for "never".
NEVER: Final = {"0": Text("never")}

#: Colours of outcomes, the same in all panels.
COLOURS: Final = {
    "ok": "green",
    "missed": "purple",
    "unobserved": "blue",
    "failed": "red",
    "violating": "orange",
}

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

# A label that jobs cannot have.
_CONDITION: Final = "alertname"


def _section(condition: Condition) -> str:
    """Return the anchor of the condition's section in the runbook."""
    return names.ALERT_OF[condition].lower()


def broken_columns(label_keys: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns for the result of `broken`, without the job."""
    return (
        Column(
            label=_CONDITION,
            title="Condition",
            texts={
                _section(condition): Text(condition.replace("_", " "), "red")
                for condition in _BROKEN
            },
            link=f"{names.RUNBOOK}#${{__value.raw}}",
            link_title="What to do",
        ),
        SEVERITY_COLUMN,
        *(label_column(key) for key in label_keys),
        Column(label=names.RULE, title="Rule"),
        Column(label=names.METRIC, title="Metric"),
        Column(label=VALUE, title="Last success", unit="dateTimeFromNow", texts=NEVER),
    )


def label_column(key: str) -> Column:
    """Return the column of a label that the configuration declares."""
    return Column(label=key, title=key.replace("_", " ").capitalize())


def broken(selector: str, label_keys: Sequence[str]) -> Query:
    """Return the open conditions, one per row, with the last success as value."""
    by = ", ".join((names.JOB, names.SEVERITY, *label_keys, names.RULE, names.METRIC))
    # Exporters of one scrape job are one: of two deadlines the later one counts.
    arms = "\nor\n".join(
        f"label_replace(max by ({by}) "
        f"(max by (job, {by}) ({metric}{{{selector}}}) {holds}), "
        f'"{_CONDITION}", "{_section(condition)}", "", "")'
        for condition, (metric, holds) in _BROKEN.items()
    )
    return Query(f"0 * (\n{arms}\n)\n{_plus_last_success()}")


def jobs_by_state(selector: str) -> Query:
    """Return the number of jobs in each state, once for an exporter and its successor."""
    each = f"max by (job, {names.STATE}) ({names.JOBS}{{{selector}}})"
    return Query(f"sum by ({names.STATE}) ({each})", f"{{{{{names.STATE}}}}}")


def upstream_unhealthy(selector: str, label_keys: Sequence[str]) -> Query:
    """Return the jobs whose alerts are suppressed, with their last success."""
    by = ", ".join((names.JOB, names.SEVERITY, *label_keys))
    suppressed = f"max by ({by}) ({names.UPSTREAM_UNHEALTHY}{{{selector}}} == 1)"
    return Query(f"0 * {suppressed}\n{_plus_last_success()}")


def _plus_last_success() -> str:
    success = f"max by ({names.JOB}) ({names.LAST_SUCCESS}{{{OF_EXPORTER}}})"
    return f"+ on ({names.JOB}) group_left ()\n{success} * 1000"
