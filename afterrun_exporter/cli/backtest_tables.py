"""Tables of backtests: the result, the counts by rule, and the runs that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from afterrun_exporter.cli import tables, times
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.backtest import changed_verdicts
from afterrun_exporter.core.metric_names import quoted
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.units import format_number

#: The maximum number of names and warnings that are listed.
_FEW: Final = 10

_RULES: Final = (
    "RULE",
    tables.Column("WOULD FLAG", right=True),
    tables.Column("WAS FLAGGED", right=True),
    tables.Column("NOT REPORTED", right=True),
)
_JOBS: Final = (
    "JOB",
    tables.Column("RUNS", right=True),
    tables.Column("WOULD FLAG", right=True),
    tables.Column("WAS FLAGGED", right=True),
    tables.Column("NEWLY", right=True),
    tables.Column("NO LONGER", right=True),
)
_RUNS: Final = (
    "FINISHED",
    "RUN",
    "CHANGE",
    "RULE",
    tables.Column("VALUE", right=True),
    "EXPECTED",
)

Answer = dict[str, Any]


def show_one(answer: Answer) -> None:
    """Print the result for one job."""
    now = SystemClock().now()
    click.echo(f"{answer['job']}: {answer['headline']}")
    warnings = (f"warning: {warning}" for warning in answer["warnings"])
    for remark in (*_span(answer, now), *warnings, *answer["gaps"]):
        click.echo(f"  {remark}")
    if answer["judged"] and answer["rules"]:
        click.echo()
        tables.show(_RULES, map(_rule, answer["rules"]))
    if rows := [row for run in answer["flagged"] for row in _run(run, now)]:
        click.echo()
        tables.show(_RUNS, rows)
    if more := changed_verdicts(answer["changes"]) - len(answer["flagged"]):
        click.echo(f"\n{plural(more, 'older run')} more: see --limit")


def show_many(file: str, answers: Sequence[Answer], idle: Sequence[str]) -> None:
    """Print the results for many jobs; unchanged jobs are only counted."""
    now = SystemClock().now()
    different = [one for one in answers if changed_verdicts(one["changes"])]
    click.echo(f"{file}: {_total(answers, different)}")
    for remark in (*_remarks(answers), *_idle(idle)):
        click.echo(f"  {remark}")
    if not different:
        return
    click.echo()
    tables.show(_JOBS, map(_job, different))
    rows = [
        (answer["job"], *row)
        for answer in different
        for run in answer["flagged"]
        for row in _run(run, now)
    ]
    click.echo()
    tables.show(("JOB", *_RUNS), rows)
    listed_runs = sum(len(answer["flagged"]) for answer in different)
    if more := sum(changed_verdicts(one["changes"]) for one in different) - listed_runs:
        click.echo(f"\n{plural(more, 'older run')} more: see --limit and --job")


def _span(answer: Answer, now: float) -> Iterator[str]:
    if answer["runs"]:
        since, until = (times.when(answer[key], now) for key in ("since", "until"))
        yield f"{plural(answer['runs'], 'run')} from {since} to {until}"
    if answer["judged"] and (rest := answer["runs"] - answer["judged"]):
        yield f"not evaluated: {plural(rest, 'run')} that did not report ok"


def _rule(count: dict[str, Any]) -> tuple[str, ...]:
    would = str(count["would_flag"]) if count["tried"] else "not tried"
    return count["rule"], would, str(count["was_flagged"]), str(count["not_reported"])


def _run(run: dict[str, Any], now: float) -> Iterator[tuple[str, ...]]:
    """Yield a row for each rule that explains the change."""
    name = run["run_id"] or f"#{run['number']}"
    about = (
        times.happened(run["finished_at"], now),
        name,
        run["change"].replace("_", " "),
    )
    for broken in run["would_break"] or run["broke"]:
        yield (*about, broken["rule"], _value(broken), broken["expected"])


def _value(broken: dict[str, Any]) -> str:
    if (actual := broken.get("actual")) is not None:
        return str(actual)
    # Earlier versions of the daemon do not send these fields.
    if (text := broken.get("text")) is not None:
        return quoted(text)
    value = broken["value"]
    return "not reported" if value is None else format_number(value)


def _job(answer: Answer) -> tuple[str, ...]:
    changes = answer["changes"]
    numbers = (
        *(answer["judged"], answer["would_flag"], answer["was_flagged"]),
        *(changes["newly_flagged"], changes["no_longer_flagged"]),
    )
    return answer["job"], *map(str, numbers)


def _total(answers: Sequence[Answer], different: Sequence[Answer]) -> str:
    judged, would, was = (
        sum(answer[key] for answer in answers)
        for key in ("judged", "would_flag", "was_flagged")
    )
    if not judged:
        return "there are no runs to evaluate"
    summary = (
        f"{would:,} of {plural(judged, 'run')} of {plural(len(answers), 'job')} "
        f"would be flagged, {was:,} {'was' if was == 1 else 'were'}"
    )
    if not different:
        return f"{summary}: no result changes"
    runs = sum(changed_verdicts(one["changes"]) for one in answers)
    change = "result changes" if runs == 1 else "results change"
    return f"{summary}: {runs:,} {change}, of {plural(len(different), 'job')}"


def _remarks(answers: Sequence[Answer]) -> Iterator[str]:
    warnings = [
        f"{one['job']}: {warning}" for one in answers for warning in one["warnings"]
    ]
    for warning in warnings[:_FEW]:
        yield f"warning: {warning}"
    if (more := len(warnings) - _FEW) > 0:
        yield f"{plural(more, 'more warning')} like these"
    if gaps := sum(bool(answer["gaps"]) for answer in answers):
        yield f"older runs of {plural(gaps, 'job')} are no longer stored"


def _idle(jobs: Sequence[str]) -> Iterator[str]:
    if jobs:
        more = len(jobs) - _FEW
        names = ", ".join(jobs[:_FEW]) + (f" and {more:,} more" if more > 0 else "")
        yield f"no run yet: {names}"
