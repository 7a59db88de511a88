"""Backtests of rules on the stored runs of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.backtest import Backtest
from afterrun_exporter.core.model import Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.engine.stored_runs import stored_runs, without_metadata
from afterrun_exporter.storage.store import Store

#: The most runs of a job in a backtest, because all of them are held in memory.
MOST_RUNS: Final = 100_000


async def try_rules(
    store: Store,
    settings: Settings,
    job: str,
    rules: Sequence[Rule],
    since: float,
) -> Backtest:
    """Return the violations of *rules* in the stored runs of *job*, without changes."""
    limit = min(settings.runs_per_job, MOST_RUNS)
    has_texts = any(rule.assertion is not None for rule in rules)
    runs = [
        run if has_texts else without_metadata(run)
        async for run in stored_runs(store, job, limit)
    ]
    backtest = Backtest(rules, since)
    # Yield to the event loop: there may be many runs.
    async for run in cooperatively(reversed(runs)):
        backtest.add(run)
    return backtest
