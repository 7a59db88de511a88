"""Figures of the last 24 hours of a job."""

from __future__ import annotations

from afterrun_exporter.core.last_day import PERIOD, LastDay, last_day
from afterrun_exporter.core.model import Outcome, Run

NOW = 1_795_262_400.0


def run(outcome: Outcome, duration: float | None) -> Run:
    return Run(
        number=1,
        run_id=None,
        attempt=1,
        outcome=outcome,
        started_at=None,
        finished_at=NOW,
        received_at=NOW,
        duration=duration,
    )


def test_only_runs_of_a_day_and_durations_of_ok_runs_count() -> None:
    endings = [
        (4, Outcome.OK, NOW),
        (3, Outcome.SKIPPED, NOW - 60),
        (2, Outcome.FAIL, NOW - PERIOD + 1),
        (1, Outcome.FAIL, NOW - PERIOD),
    ]
    runs = [run(Outcome.OK, 2.0), run(Outcome.OK, None), run(Outcome.OK, 4.0)]

    assert last_day(endings, [*runs, run(Outcome.FAIL, 99.0)], NOW) == LastDay(
        runs=3, ok=1, judged=2, median=3.0, longest=4.0
    )
    assert last_day([], [], NOW) == LastDay(0, 0, 0, None, None)
