"""Figures of the last runs of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from afterrun_exporter.core.last_day import MOST, last_day
from afterrun_exporter.core.model import Job, Run
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.times import span
from afterrun_exporter.storage.store import Ended


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of the runs within a day, and durations of the last ones."""

    #: The number of runs, and the text of the share of ok ones; "" without any.
    runs: str
    ok: str
    #: The median and the longest duration; "" if unknown.
    median: str
    longest: str
    #: The duration from which on a run is slow; "" without such a limit.
    slow: str = ""


def figures_of_job(
    job: Job, state: JobState, endings: Sequence[Ended], runs: Sequence[Run], now: float
) -> Figures:
    """Return the figures of *job*, with the usual duration that its runs must keep to.

    *endings* and *runs* are as for `figures_of`.
    """
    figures = figures_of(endings, runs, now)
    if job.slower_than is None or state.slow_threshold is None:
        return figures
    usual, limit = state.slow_threshold / job.slower_than.factor, state.slow_threshold
    return replace(figures, median=span(round(usual, 3)), slow=span(round(limit, 3)))


def figures_of(endings: Sequence[Ended], runs: Sequence[Run], now: float) -> Figures:
    """Return the figures of *endings* within a day, and the durations of *runs*.

    Both are sorted newest first.
    """
    day = last_day(endings, runs, now)
    return Figures(
        runs=f"{day.runs:,}" if day.runs < MOST else f"more than {MOST:,}",
        ok=_share(day.ok, day.judged),
        median="" if day.median is None else span(day.median),
        longest="" if day.longest is None else span(day.longest),
    )


def _share(part: int, whole: int) -> str:
    if not whole:
        return ""
    share = f"{100 * part / whole:.1f}".removesuffix(".0")
    # No rounding up to all of them.
    return f"{'99.9' if share == '100' and part < whole else share}%"
