"""Backtests on the page of a job: the form and the result."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from markupsafe import Markup
from multidict import MultiMapping

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.config.backtest_rules import read_rules, rule_line, rules_block
from afterrun_exporter.core.backtest import (
    DIFFERENT,
    Backtest,
    BacktestRun,
    Change,
    headline,
    newest,
)
from afterrun_exporter.core.model import Job, Run
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.timestamps import instant
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.job_charts import tried_charts
from afterrun_exporter.page.svg_chart import Chart
from afterrun_exporter.page.violations import broken_by

#: Choices for the age of runs; "" means all stored runs.
SPANS: Final = {
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "": "all stored runs",
}
#: The maximum number of listed runs, and of violations of each.
MOST: Final = 50
FEW: Final = 5
#: The maximum number of charts.
CHARTS: Final = 4
#: The maximum length of the rules, so that they fit into a URL after encoding.
LONGEST: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A run whose result would change."""

    run: Run
    newly: bool
    #: Each reason: the rule, the value and the expected value.
    why: tuple[tuple[str, str, str], ...]
    #: The number of violations that are not listed.
    more: int
    #: True if the run is in the list of runs on the same page.
    is_on_page: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a backtest."""

    backtest: Backtest
    headline: str
    #: True if a run cannot be evaluated.
    unknown: bool
    rows: list[Differing]
    #: The number of changed runs without a row.
    left_out: int
    #: Charts of the runs on the same page, and these runs, newest first.
    charts: list[tuple[Chart, Markup]]
    charted: list[Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The form, and the result if it was submitted."""

    rules: str
    since: str
    spans: dict[str, str]
    #: True if the form was submitted.
    is_submitted: bool = False
    #: Line numbers and messages; line 0 for the form as a whole.
    problems: tuple[tuple[int, str], ...] = ()
    result: Result | None = None
    #: The YAML to paste into afterrun.yml; "" if these are the current rules.
    block: str = ""

    @property
    def lines(self) -> int:
        """The number of lines in the text field."""
        return min(max(self.rules.count("\n") + 2, 3), 12)


async def attempt(
    context: Context,
    reading: Reading,
    job: Job,
    parameters: MultiMapping[str],
    runs_on_page: Sequence[Run],
    now: float,
) -> Attempt:
    """Return the form for *parameters*, with the backtest if there is one."""
    own = "\n".join(map(rule_line, job.rules))
    typed = "\n".join(parameters.getall("rules")) if "rules" in parameters else own
    since = parameters.get("since", "").strip()
    spans = SPANS if since in SPANS else {**SPANS, since: f"since {since[:60]}"}
    if not parameters.keys() & {"rules", "since"}:
        return Attempt(rules=own, since="", spans=SPANS)
    rules, findings = read_rules(typed)
    problems = [
        (one.line, f"{one.path}: {one.message}" if one.path else one.message)
        for one in findings
    ]
    begin = -math.inf
    try:
        begin = instant(since, now) if since else begin
    except ValueError as error:
        problems.append((0, f"since: {error}"))
    form = Attempt(rules=typed, since=since, spans=spans, is_submitted=True)
    if problems:
        return replace(form, problems=(*problems,))
    question = try_rules(
        context.store, context.service.settings, job.name, rules, begin
    )
    block = "" if rules == job.rules else rules_block(job.name, rules)
    if (backtest := await reading.or_else(question, None)) is None:
        return replace(form, block=block)
    result = await _result(job, backtest, runs_on_page, now)
    return replace(form, result=result, block=block)


async def _result(
    job: Job, result: Backtest, runs_on_page: Sequence[Run], now: float
) -> Result:
    numbers = {run.number for run in runs_on_page}
    judged = (*result.rules, *job.rules)
    rows = [
        _difference(one, judged, numbers)
        async for one in cooperatively(islice(newest(result), MOST))
    ]
    different = sum(result.changes[change] for change in DIFFERENT)
    charted = [run for run in runs_on_page if run.finished_at >= result.since]
    charts = islice(tried_charts(result, charted, now), CHARTS)
    return Result(
        backtest=result,
        headline=headline(result),
        unknown=result.changes[Change.UNKNOWN] > 0,
        rows=rows,
        left_out=different - len(rows),
        charts=[(chart, chart.svg()) async for chart in cooperatively(charts)],
        charted=charted,
    )


def _difference(
    one: BacktestRun, rules: Sequence[Rule], on_page: Collection[int]
) -> Differing:
    why = [*_why(one, rules)]
    return Differing(
        run=one.run,
        newly=one.change is Change.NEWLY,
        why=tuple(why[:FEW]),
        more=len(why[FEW:]),
        is_on_page=one.run.number in on_page,
    )


def _why(one: BacktestRun, rules: Sequence[Rule]) -> Iterator[tuple[str, str, str]]:
    """Yield the rules that it would violate, or did violate."""
    for violation in one.violations or one.run.violations:
        broken = broken_by(rules, violation)
        yield violation.rule, broken.value, broken.expected
