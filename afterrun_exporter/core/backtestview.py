"""What a backtest says, in words and rows: the same wherever it is shown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from afterrun_exporter.core.backtest import (
    DIFFERENT,
    Backtest,
    Change,
    Count,
    Tried,
    backtest,
)
from afterrun_exporter.core.model import Run
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.core.units import format_number

#: In place of a value.
NOT_REPORTED = "not reported"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule that says something else of a run than was said of it."""

    run: Run
    change: Change
    rule: str
    metric: str
    #: As people read it: ``120``, or ``not reported``.
    value: str
    #: With the threshold of then: ``>= 60 (0.5 * previous)``.
    expected: str
    #: Whether the rule is one of those that were tried, and not only recorded.
    tried: bool


@dataclass(frozen=True, slots=True)
class View:
    """A backtest as a page shows it."""

    headline: str
    #: What is odd about the rules, and what history cannot tell.
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]
    rules: tuple[Count, ...]
    #: What differs, the newest run first.
    rows: tuple[Row, ...]
    #: Runs that differ and are in no row.
    left_out: int


def view(
    rules: Sequence[Rule],
    runs: Iterable[Run],
    since: float = -math.inf,
    most_runs: int = 50,
) -> View:
    """Return what *rules* would have flagged of *runs*, the oldest of which is first."""
    tried = backtest(rules, runs, since)
    shown = [*islice(newest(tried), most_runs)]
    return View(
        headline=headline(tried),
        warnings=tuple(tried.warnings()),
        gaps=tuple(tried.gaps()),
        rules=tuple(tried.by_rule.values()),
        rows=tuple(row for one in shown for row in rows(one)),
        left_out=sum(tried.changes[change] for change in DIFFERENT) - len(shown),
    )


def newest(tried: Backtest, changes: Collection[Change] = DIFFERENT) -> Iterator[Tried]:
    """Yield the runs that came to one of *changes*, the newest first."""
    return (one for one in reversed(tried.shown) if one.change in changes)


def rows(one: Tried) -> Iterator[Row]:
    """Yield what explains the change: the rules broken now, or the recorded ones."""
    for broken in one.violations or one.run.violations:
        yield Row(
            run=one.run,
            change=one.change,
            rule=broken.rule,
            metric=broken.metric,
            value=NOT_REPORTED if broken.value is None else format_number(broken.value),
            expected=broken.expected,
            tried=bool(one.violations),
        )


def headline(tried: Backtest) -> str:
    """Return in one sentence what it comes to."""
    if tried.oldest is None:
        return "it has not run yet: there is nothing to try rules on"
    if not tried.runs:
        return f"no run ended since {format_time(tried.since)}"
    if not tried.judged:
        return f"none of {_runs(tried.runs)} said that it was ok: rules judge no other"
    newly, no_longer = tried.changes[Change.NEWLY], tried.changes[Change.NO_LONGER]
    told = (
        f"{tried.would_flag:,} of {_runs(tried.judged)} would be flagged, "
        f"{tried.was_flagged:,} {'was' if tried.was_flagged == 1 else 'were'}"
    )
    if not (newly or no_longer):
        return f"{told}: no verdict changes"
    return f"{told}: {newly:,} newly, {no_longer:,} no longer"


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"
