"""Rules tried on the runs that are kept of a job, while pings are answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.backtest import Backtest
from afterrun_exporter.core.model import Settings
from afterrun_exporter.core.rules import Rule
from afterrun_exporter.storage.store import Store

#: Runs of a job that are looked at, whatever the retention: they are all in memory.
MOST_RUNS: Final = 100_000


async def try_rules(
    store: Store,
    settings: Settings,
    job: str,
    rules: Sequence[Rule],
    since: float = -math.inf,
) -> Backtest:
    """Return what *rules* would have flagged of the runs of *job*; nothing is changed."""
    runs = await store.runs(job, min(settings.runs_per_job, MOST_RUNS))
    tried = Backtest(rules, since)
    # There may be many, and pings are to be answered meanwhile.
    async for run in cooperatively(reversed(runs)):
        tried.add(run)
    return tried
