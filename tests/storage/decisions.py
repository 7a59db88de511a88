"""What the storage tests let happen to a job: plain decisions, no judgement."""

from __future__ import annotations

from typing import Any, Final

from afterrun_exporter.core.model import Condition, Outcome, Run
from afterrun_exporter.core.state import (
    AlertKey,
    AlertMoved,
    AlertOpened,
    AlertResolved,
    JobState,
    LogEntry,
    OpenAlert,
    Transition,
)
from afterrun_exporter.storage.store import Decide
from tests.copies import replace

T0: Final = 1_800_000_000.0
FAILING: Final = AlertKey(Condition.FAILING)
MISSED: Final = AlertKey(Condition.MISSED)


def fresh(**facts: Any) -> JobState:
    """Return the state of a job of which nothing is known but *facts*."""
    return JobState(**{"created_at": T0, "due_after": T0, **facts})


def known() -> Decide:
    """The job becomes known; nothing else happens."""

    def decide(state: JobState | None) -> Transition:
        return Transition(state=state or fresh())

    return decide


def missed_once_more() -> Decide:
    """Another slot passed without a run."""

    def decide(state: JobState | None) -> Transition:
        before = _before(state)
        after = replace(before, missed_total=before.missed_total + 1)
        return Transition(state=after)

    return decide


def ran(at: float = T0, **facts: Any) -> Decide:
    """A run finished; *facts* are fields of it."""

    def decide(state: JobState | None) -> Transition:
        before = _before(state)
        number = before.runs_total + 1
        run = Run(
            **{
                "number": number,
                "run_id": f"run-{number}",
                "attempt": 1,
                "outcome": Outcome.OK,
                "finished_at": at,
                "received_at": at,
                **facts,
            }
        )
        after = replace(before, runs_total=number)
        return Transition(state=after, runs=(run,), run=run)

    return decide


def logged(message: str, at: float = T0) -> Decide:
    """The job said something."""

    def decide(state: JobState | None) -> Transition:
        entry = LogEntry(at, "run-1", message, '{"host": "db1"}')
        return Transition(state=_before(state), logs=(entry,))

    return decide


def opened(
    key: AlertKey = FAILING, at: float = T0, summary: str = "it broke"
) -> Decide:
    """A condition became true."""

    def decide(state: JobState | None) -> Transition:
        before = _before(state)
        alert = OpenAlert(key=key, opened_at=at, shown_at=at)
        after = replace(before, alerts=(*before.alerts, alert))
        event = AlertOpened(alert, "critical", summary, run=3)
        return Transition(state=after, alerts=(event,))

    return decide


def resolved(key: AlertKey = FAILING, at: float = T0 + 60) -> Decide:
    """A condition is over."""

    def decide(state: JobState | None) -> Transition:
        before = _before(state)
        kept = tuple(alert for alert in before.alerts if alert.key != key)
        after = replace(before, alerts=kept)
        return Transition(state=after, alerts=(AlertResolved(key, at),))

    return decide


def moved(at: float, key: AlertKey = FAILING) -> Decide:
    """A condition has been true since *at*, by a clock that was set back."""

    def decide(state: JobState | None) -> Transition:
        return Transition(state=_before(state), alerts=(AlertMoved(key, at),))

    return decide


def unreadable(state: JobState | None) -> Transition:
    """Nobody can decide this."""
    raise ValueError(f"cannot decide about {state}")


def _before(state: JobState | None) -> JobState:
    return state or fresh()
