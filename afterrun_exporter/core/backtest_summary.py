"""What a backtest comes to: the same wherever it is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from afterrun_exporter.core.backtest import DIFFERENT, Backtest, BacktestRun, Change
from afterrun_exporter.core.timestamps import format_time


def newest(
    tried: Backtest, changes: Collection[Change] = DIFFERENT
) -> Iterator[BacktestRun]:
    """Yield the runs that came to one of *changes*, the newest first."""
    return (one for one in reversed(tried.shown) if one.change in changes)


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


def changed_verdicts(changes: Mapping[str, int]) -> int:
    """Return the number of runs with another verdict, from their numbers by `Change`."""
    return changes[Change.NEWLY] + changes[Change.NO_LONGER]
