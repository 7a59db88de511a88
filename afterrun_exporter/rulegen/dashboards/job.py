"""The dashboard of one job: its state, its history, its metrics and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from afterrun_exporter import conventions as names
from afterrun_exporter.core.rules import DURATION
from afterrun_exporter.rulegen.dashboards import shared
from afterrun_exporter.rulegen.dashboards.jobstate import (
    CONDITIONS,
    OF_JOB,
    OUTCOMES,
    STATES,
    SWITCH,
    of_job,
    state,
)
from afterrun_exporter.rulegen.dashboards.shared import OF_EXPORTER, RANGE
from afterrun_exporter.rulegen.panels import (
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Text,
    Variable,
)

_METRIC: Final = names.METRIC
# A variable that repeats panels is put in with its regular expression escaped.
_OF_METRIC: Final = f'{OF_JOB},{names.METRIC}=~"${_METRIC}"'


def _by_rule(metric: str, selector: str) -> Query:
    rules = f"max by ({names.RULE}, {names.OP}) ({metric}{{{selector}}})"
    return Query(rules, f"{{{{{names.RULE}}}}}")


def _stat(
    title: str,
    expr: str,
    *,
    unit: str = "",
    texts: dict[str, Text] | None = None,
    description: str = "",
    empty: str = "",
    red: str = "",
) -> Panel:
    return Panel(
        title=title,
        kind=Kind.STAT,
        queries=(Query(expr),),
        description=description,
        unit=unit,
        texts=texts or {},
        empty=empty,
        red=red,
        width=3,
        height=4,
    )


def _moment(title: str, metric: str, description: str = "") -> Panel:
    return _stat(
        title,
        f"{of_job(metric)} * 1000",
        unit="dateTimeFromNow",
        texts=shared.NEVER,
        description=description,
    )


def _future(title: str, metric: str, description: str) -> Panel:
    return _stat(
        title,
        f"({of_job(metric)} < Inf) * 1000",
        unit="dateTimeFromNow",
        description=description,
        empty="no schedule",
    )


def _now(label_keys: Sequence[str]) -> Row:
    return Row(
        f"${names.JOB}",
        (
            _stat(
                "State",
                state(),
                texts=STATES,
                description="The first that applies: paused, missed, failing, "
                "violated, new, ok.",
            ),
            _stat(
                "Last run was",
                of_job(names.LAST_OUTCOME),
                texts=OUTCOMES,
                empty="never",
            ),
            _moment("Last run", names.LAST_RUN, "When a run last finished."),
            _moment("Last success", names.LAST_SUCCESS),
            _future("Next due", names.NEXT_RUN, "The next slot of the schedule."),
            _future(
                "Deadline", names.DEADLINE, "From then on it is missed: slot and grace."
            ),
            _stat("Not ok in a row", of_job(names.CONSECUTIVE_FAILURES), red=".*"),
            _stat(
                "Open runs",
                of_job(names.RUNNING),
                description="Runs that have started and not finished.",
            ),
            Panel(
                title="Broken now",
                kind=Kind.TABLE,
                queries=(shared.broken(OF_JOB, label_keys),),
                description="A condition leads to the runbook.",
                columns=shared.broken_columns(label_keys),
                empty="Nothing is broken, if the exporter answers",
                width=24,
                height=6,
            ),
        ),
    )


_HISTORY: Final = Row(
    "History",
    (
        Panel(
            title="Conditions",
            kind=Kind.STATES,
            queries=tuple(Query(expr, name) for name, expr in CONDITIONS.items()),
            description="Red while it held. Those that are not configured are not "
            "listed.",
            texts=SWITCH,
            width=24,
            height=9,
        ),
        Panel(
            title="Rules that are violated",
            kind=Kind.STATES,
            queries=(_by_rule(names.RULE_VIOLATED, OF_JOB),),
            texts=SWITCH,
            empty="This job has no rules",
            width=24,
            height=6,
        ),
    ),
)


def _increase(metric: str) -> str:
    """Return the increase of the job's counter, also across successive exporters."""
    each = f"max by (job) ({metric}{{{OF_JOB}}})"
    return f"sum(increase(({each})[{RANGE}:]))"


_RUNS: Final = Row(
    "Runs",
    (
        Panel(
            title="Runs",
            kind=Kind.BARS,
            queries=(
                Query(
                    f"{_increase(names.RUNS)}\n- {_increase(names.RUN_FAILURES)}\n"
                    f"- {_increase(names.VIOLATING_RUNS)}",
                    "ok",
                ),
                Query(_increase(names.RUN_FAILURES), "failed"),
                Query(_increase(names.VIOLATING_RUNS), "violating"),
                Query(_increase(names.MISSED_RUNS), "missed"),
                Query(_increase(names.UNOBSERVED_SLOTS), "unobserved"),
            ),
            description="Canceled runs are among those that are ok. Unobserved: the job "
            "was due while AfterRun was down.",
            colours=shared.COLOURS,
            decimals=0,
        ),
        Panel(
            title="Duration",
            kind=Kind.LINES,
            queries=(
                Query(of_job(names.LAST_DURATION), "last run"),
                Query(of_job(names.SLOW_THRESHOLD), "slow from here on"),
                _by_rule(names.RULE_THRESHOLD, f'{OF_JOB},{names.METRIC}="{DURATION}"'),
            ),
            description="Against the rules on it and against what is usual.",
            unit="s",
            limits="(?!last run$).*",
        ),
        Panel(
            title="Success ratio",
            kind=Kind.LINES,
            queries=(Query(of_job(names.SUCCESS_RATIO), "ok"),),
            description="Ratio of ok runs in the configured window.",
            unit="percentunit",
            low=0,
            high=1,
            empty="alerts.success_ratio is not configured",
        ),
        Panel(
            title="Open runs and runs in a row that were not ok",
            kind=Kind.LINES,
            queries=(
                Query(of_job(names.RUNNING), "open"),
                Query(of_job(names.CONSECUTIVE_FAILURES), "not ok in a row"),
            ),
            colours={"not ok in a row": "red"},
            low=0,
            decimals=0,
        ),
    ),
)

_METRICS: Final = Row(
    "Metrics",
    (
        Panel(
            title=f"${_METRIC}",
            kind=Kind.LINES,
            queries=(
                Query(of_job(names.METRIC_VALUE, _OF_METRIC), "reported"),
                _by_rule(names.RULE_THRESHOLD, _OF_METRIC),
            ),
            description="What the job reported, against its rules.",
            limits="(?!reported$).*",
            repeat=_METRIC,
        ),
    ),
)


def dashboard(label_keys: Sequence[str]) -> Dashboard:
    """Return the dashboard of the job that the reader chooses."""
    metrics = f"{names.METRIC_VALUE}{{{OF_JOB}}}"
    return Dashboard(
        uid=shared.JOB_UID,
        title="AfterRun job",
        description="One job: its state, its runs, its metrics against their rules.",
        variables=(
            shared.EXPORTER,
            Variable(
                name=names.JOB,
                title="Job",
                query=f"label_values({names.INFO}{{{OF_EXPORTER}}}, {names.JOB})",
            ),
            Variable(
                name=_METRIC,
                title="Metric",
                query=f"label_values({metrics}, {names.METRIC})",
                many=True,
            ),
        ),
        rows=(_now(label_keys), _HISTORY, _RUNS, _METRICS),
    )
