"""Rules that are tried on the past runs of a job: what was typed, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from itertools import islice
from typing import Final

from markupsafe import Markup
from multidict import MultiMapping

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.config.rule_lines import read_rules, rule_line, rules_block
from afterrun_exporter.core.backtest import (
    DIFFERENT,
    Backtest,
    BacktestRun,
    Change,
    Count,
)
from afterrun_exporter.core.backtest_summary import headline, newest
from afterrun_exporter.core.model import Job, Run
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.timestamps import instant
from afterrun_exporter.engine.backtest import try_rules
from afterrun_exporter.page.charts import Chart
from afterrun_exporter.page.context import Context, Reading
from afterrun_exporter.page.graphs import tried_charts
from afterrun_exporter.page.reasons import expected_of, value_of
from afterrun_exporter.page.times import Moment, happened, zone_of

#: How far back runs can be counted; "" is all that are kept.
SPANS: Final = {
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "": "all that are kept",
}
#: Runs that are told of, and broken rules of each.
MOST: Final = 50
FEW: Final = 5
#: Charts of metrics that rules are about.
CHARTS: Final = 4
#: Characters that fit into an address whatever they are encoded to, or nearly so.
LONGEST: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A run of which the verdict would be another."""

    run: Run
    ended: Moment | None
    newly: bool
    #: What explains it: the rule, the value and what was expected.
    why: tuple[tuple[str, str, str], ...]
    #: Broken rules that are not told.
    more: int
    #: Whether the run is in the list on the same page.
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What tried rules come to."""

    headline: str
    differs: bool
    first: Moment | None
    last: Moment | None
    runs: int
    not_judged: int
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]
    rules: tuple[Count, ...]
    unknown: bool
    rows: list[Differing]
    #: Runs that differ and are in no row.
    left_out: int
    #: Of the runs that are shown on the same page, how many, and since when.
    charts: list[tuple[Chart, Markup]]
    drawn: int
    drawn_from: Moment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The form, and what came of it if it was sent."""

    rules: str
    since: str
    spans: dict[str, str]
    #: Whether anything was asked.
    sent: bool = False
    #: Each with the line that it is about, 0 for none.
    problems: tuple[tuple[int, str], ...] = ()
    result: Result | None = None
    #: What to paste to make it so; "" where it is so.
    block: str = ""

    @property
    def lines(self) -> int:
        """How many lines there is to be room for."""
        return min(max(self.rules.count("\n") + 2, 3), 12)


async def attempt(
    context: Context,
    reading: Reading,
    job: Job,
    asked: MultiMapping[str],
    shown: Sequence[Run],
    now: float,
) -> Attempt:
    """Return what *asked* tries on the runs of *job*, of which the newest are *shown*."""
    own = "\n".join(map(rule_line, job.rules))
    typed = "\n".join(asked.getall("rules")) if "rules" in asked else own
    since = asked.get("since", "").strip()
    spans = SPANS if since in SPANS else {**SPANS, since: f"since {since[:60]}"}
    if not asked.keys() & {"rules", "since"}:
        return Attempt(rules=own, since="", spans=SPANS)
    rules, found = read_rules(typed)
    problems = [
        (one.line, f"{one.path}: {one.message}" if one.path else one.message)
        for one in found
    ]
    begin = -math.inf
    try:
        begin = instant(since, now) if since else begin
    except ValueError as error:
        problems.append((0, f"since: {error}"))
    if problems:
        return Attempt(
            rules=typed, since=since, spans=spans, sent=True, problems=(*problems,)
        )
    question = try_rules(
        context.store, context.service.settings, job.name, rules, begin
    )
    tried = await reading.or_else(question, None)
    return Attempt(
        rules=typed,
        since=since,
        spans=spans,
        sent=True,
        result=None if tried is None else await _result(job, tried, shown, now),
        block="" if rules == job.rules else rules_block(job.name, rules),
    )


async def _result(
    job: Job, tried: Backtest, shown: Sequence[Run], now: float
) -> Result:
    zone = zone_of(job)
    listed = {run.number for run in shown}
    judged = (*tried.rules, *job.rules)
    rows = [
        _differing(one, judged, listed, _ended(one.run, now, zone))
        async for one in cooperatively(islice(newest(tried), MOST))
    ]
    different = sum(tried.changes[change] for change in DIFFERENT)
    drawn = [run for run in shown if run.finished_at >= tried.since]
    charts = islice(tried_charts(tried, drawn, now), CHARTS)
    return Result(
        headline=headline(tried),
        differs=different > 0,
        first=_ended(tried.first, now, zone),
        last=_ended(tried.last, now, zone),
        runs=tried.runs,
        not_judged=tried.runs - tried.judged,
        warnings=tuple(tried.warnings()),
        gaps=tuple(tried.gaps()),
        rules=tuple(tried.by_rule.values()),
        unknown=tried.changes[Change.UNKNOWN] > 0,
        rows=rows,
        left_out=different - len(rows),
        charts=[(chart, chart.svg()) async for chart in cooperatively(charts)],
        drawn=len(drawn),
        drawn_from=_ended(drawn[-1], now, zone) if drawn else None,
    )


def _differing(
    one: BacktestRun,
    rules: Sequence[Rule],
    listed: Collection[int],
    ended: Moment | None,
) -> Differing:
    why = [*_why(one, rules)]
    return Differing(
        run=one.run,
        ended=ended,
        newly=one.change is Change.NEWLY,
        why=tuple(why[:FEW]),
        more=len(why[FEW:]),
        listed=one.run.number in listed,
    )


def _why(one: BacktestRun, rules: Sequence[Rule]) -> Iterator[tuple[str, str, str]]:
    """Yield the rules it would break, or those that it was flagged for."""
    for broken in one.violations or one.run.violations:
        yield broken.rule, value_of(broken), expected_of(rules, broken)


def _ended(run: Run | None, now: float, zone: tzinfo) -> Moment | None:
    return None if run is None else happened(run.finished_at, now, zone)
