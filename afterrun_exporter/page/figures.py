"""Figures of the last runs of a job."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core.model import NEUTRAL, Outcome, Run
from afterrun_exporter.page.times import span
from afterrun_exporter.storage.store import Ended

#: The period of the figures, in seconds.
PERIOD: Final = 86400.0
#: The maximum number of runs that are counted: one a minute.
MOST: Final = 1440


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of the runs within a day, and durations of the last ones."""

    #: The number of runs, and the text of the share of ok ones; "" without any.
    runs: str
    ok: str
    #: The median and the longest duration; "" if unknown.
    median: str
    longest: str


def figures_of(endings: Sequence[Ended], runs: Sequence[Run], now: float) -> Figures:
    """Return the figures of *endings* within a day, and the durations of *runs*.

    Both are sorted newest first.
    """
    recent = [one.outcome for one in endings if one.finished_at > now - PERIOD]
    judged = [outcome for outcome in recent if outcome not in NEUTRAL]
    durations = [
        run.duration
        for run in runs
        if run.duration is not None and run.outcome is Outcome.OK
    ]
    return Figures(
        runs=f"{len(recent):,}" if len(recent) < MOST else f"more than {MOST:,}",
        ok=_share(judged.count(Outcome.OK), len(judged)),
        median=span(statistics.median(durations)) if durations else "",
        longest=span(max(durations)) if durations else "",
    )


def _share(part: int, whole: int) -> str:
    if not whole:
        return ""
    share = f"{100 * part / whole:.1f}".removesuffix(".0")
    # No rounding up to all of them.
    return f"{'99.9' if share == '100' and part < whole else share}%"
