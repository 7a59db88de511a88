"""Summary of a backtest, the same on the page, in the API and in the CLI."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from afterrun_exporter.core.backtest import DIFFERENT, Backtest, BacktestRun, Change
from afterrun_exporter.core.timestamps import format_time


def newest(
    result: Backtest, changes: Collection[Change] = DIFFERENT
) -> Iterator[BacktestRun]:
    """Yield the runs with one of *changes*, the newest first."""
    return (one for one in reversed(result.flagged) if one.change in changes)


def headline(result: Backtest) -> str:
    """Return the result in one sentence."""
    if result.oldest is None:
        return "no runs yet: there is nothing to test rules on"
    if not result.runs:
        return f"no run ended since {format_time(result.since)}"
    if not result.judged:
        return f"none of {_runs(result.runs)} reported ok: rules apply to no others"
    newly, no_longer = result.changes[Change.NEWLY], result.changes[Change.NO_LONGER]
    summary = (
        f"{result.would_flag:,} of {_runs(result.judged)} would be flagged, "
        f"{result.was_flagged:,} {'was' if result.was_flagged == 1 else 'were'}"
    )
    if not (newly or no_longer):
        return f"{summary}: no result changes"
    return f"{summary}: {newly:,} newly, {no_longer:,} no longer"


def _runs(count: int) -> str:
    return f"{count:,} run" if count == 1 else f"{count:,} runs"


def changed_verdicts(changes: Mapping[str, int]) -> int:
    """Return the number of runs with another verdict, from their numbers by `Change`."""
    return changes[Change.NEWLY] + changes[Change.NO_LONGER]
