"""Figures of the last 24 hours: which runs count, and their sentence."""

from __future__ import annotations

from typing import Final

import pytest

from afterrun_exporter.core.daily_figures import DAY, FinishedRun
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.recent_runs import SLICE, RecentFigures, RecentRuns

NOON: Final = 1_795_262_400.0


def ended(
    seconds_ago: float = 60.0, outcome: str = "ok", duration: float | None = 2.0
) -> FinishedRun:
    return FinishedRun(outcome, NOON - seconds_ago, duration)


def counted(*runs: FinishedRun) -> RecentRuns:
    recent = RecentRuns()
    for run in runs:
        recent.add(run, NOON)
    return recent


def test_ok_runs_and_durations_are_counted() -> None:
    figures = counted(
        ended(), ended(duration=10.0), ended(outcome="fail"), ended(duration=None)
    ).figures(NOON)

    assert figures == RecentFigures(4, 3, 2.0, 10.0, 10.0)
    assert figures.ok_ratio == 0.75


@pytest.mark.parametrize("outcome", [Outcome.CANCELED, Outcome.SKIPPED])
def test_neutral_runs_do_not_count(outcome: Outcome) -> None:
    assert counted(ended(outcome=outcome)).figures(NOON).runs == 0


def test_runs_of_more_than_a_day_ago_do_not_count() -> None:
    """Neither late reports of them, nor those that were counted before."""
    recent = counted(ended(DAY - 1), ended(DAY + SLICE), ended(0))

    assert recent.figures(NOON).runs == 2
    assert recent.figures(NOON + DAY / 2).runs == 1
    assert recent.figures(NOON + DAY + SLICE).runs == 0


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([ended(duration=None)], "1 run in the last 24 hours, 100% ok."),
        (
            [ended(), ended(outcome="fail")],
            "2 runs in the last 24 hours, 50.0% ok, p50 2s, p95 2s, p99 2s.",
        ),
    ],
)
def test_the_figures_in_a_sentence(runs: list[FinishedRun], text: str) -> None:
    assert str(counted(*runs).figures(NOON)) == text
