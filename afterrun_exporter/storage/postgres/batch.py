"""The rows of one transaction, as columns for its statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from afterrun_exporter.core.daily_figures import unpunctual
from afterrun_exporter.core.duplicates import KEY_SIZE, REMEMBERED
from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.storage.codec import (
    encode_state,
)
from afterrun_exporter.storage.postgres.alert_changes import COLUMNS as ALERTS
from afterrun_exporter.storage.postgres.alert_changes import AlertChanges
from afterrun_exporter.storage.postgres.texts import columns
from afterrun_exporter.storage.rows import values_of
from afterrun_exporter.storage.run_keys import rows_of

#: Runs, and characters of their texts, that take at most a second.
ROWS: Final = 1000
CHARACTERS: Final = 10_000_000

#: Columns of the rows, and their types.
STATES: Final = {"id": "int8", "before": "int8", "state": "text", "seen": "bytea"}
RUNS: Final = {
    "job_id": "int8",
    "number": "int8",
    "run_id": "text",
    "attempt": "int8",
    "max_attempts": "int8",
    "outcome": "text",
    "started_at": "float8",
    "finished_at": "float8",
    "received_at": "float8",
    "duration": "float8",
    "exit_code": "int8",
    "metrics": "text",
    "violations": "text",
    "message": "text",
    "metadata": "text",
    "config_commit": "text",
}
KEYS: Final = {
    "job_id": "int8",
    "chunk": "int8",
    "keys": "bytea",
    "received_at": "float8",
}
LOGS: Final = {
    "job_id": "int8",
    "at": "float8",
    "run_id": "text",
    "message": "text",
    "metadata": "text",
}
UNPUNCTUAL: Final = {"job_id": "int8", "day": "int8", "missed": "int8", "late": "int8"}
NOTICES: Final = {
    "job_id": "int8",
    "labels": "text",
    "job": "text",
    "condition": "text",
    "rule": "text",
    "summary": "text",
    "opened_at": "float8",
    "resolved_at": "float8",
    "shown_until": "float8",
}


class Batch:
    """The rows for transitions of jobs, which have *ids* and were in *states* before."""

    def __init__(
        self,
        ids: Mapping[str, int],
        stamps: Mapping[str, int],
        states: Mapping[str, JobState],
    ) -> None:
        self._ids = ids
        self._stamps = stamps
        self._before = states
        self._states: dict[str, JobState] = {}
        self._missed: dict[str, int] = {}
        self._alerts: dict[str, AlertChanges] = {}
        self._characters = 0
        self._runs: list[tuple[Any, ...]] = []
        self._keys: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._logs: list[tuple[Any, ...]] = []
        self._unpunctual: list[tuple[Any, ...]] = []
        self._notices: list[tuple[Any, ...]] = []

    @property
    def seconds(self) -> float:
        """A generous estimate of the time to write it, apart from that of a commit."""
        return len(self._runs) / ROWS + self._characters / CHARACTERS

    def add(self, name: str, transition: Transition) -> None:
        """Add a transition of the job *name*, which follows those before."""
        job_id = self._ids[name]
        self._add_unpunctual(name, job_id, transition)
        self._states[name] = transition.state
        for run in transition.runs:
            self._runs.append((job_id, *values_of(run)))
            self._characters += run.size
        if transition.runs:
            for row in rows_of(job_id, transition):
                self._keys[row[:2]] = row
        if transition.alerts:
            if name not in self._alerts:
                self._alerts[name] = AlertChanges(self._before.get(name))
            self._alerts[name].add(transition.alerts)
        self._logs.extend(
            (job_id, entry.at, entry.run_id, entry.message, entry.metadata)
            for entry in transition.logs
        )

    def add_notices(self, notices: Iterable[AlertNotification]) -> None:
        """Add notifications of alerts of these jobs."""
        # In one order in all transactions: otherwise two could wait for each other.
        for one in sorted(notices, key=lambda one: one.labels):
            self._notices.append(
                (
                    self._ids[one.job],
                    one.labels,
                    one.job,
                    one.key.condition,
                    one.key.rule,
                    one.summary,
                    one.opened_at,
                    one.resolved_at,
                    one.shown_until,
                )
            )

    @property
    def is_plain(self) -> bool:
        """True if there are only states, runs and keys."""
        return not (self._alerts or self._logs or self._unpunctual or self._notices)

    def columns(self) -> list[Sequence[Any]]:
        """Return the values of each column of `STATES`, `RUNS` and `KEYS`."""
        states = [
            (
                self._ids[name],
                self._stamps.get(name, 0),
                encode_state(state),
                state.run_keys[-REMEMBERED * KEY_SIZE :],
            )
            for name, state in self._states.items()
        ]
        keys = [*self._keys.values()]
        return [*columns(STATES, states), *columns(RUNS, self._runs), *columns(KEYS, keys)]  # fmt: skip

    def more_columns(self) -> list[Sequence[Any]]:
        """Return those of `ALERTS`, `LOGS`, `UNPUNCTUAL` and `NOTICES`."""
        alerts = [
            change.row(self._ids[name])
            for name, changes in self._alerts.items()
            for change in changes
        ]
        return [
            *columns(ALERTS, alerts),
            *columns(LOGS, self._logs),
            *columns(UNPUNCTUAL, self._unpunctual),
            *columns(NOTICES, self._notices),
        ]

    def _add_unpunctual(self, name: str, job_id: int, transition: Transition) -> None:
        missed = transition.state.missed_total
        if (before := self._missed.get(name)) is None:
            state = self._before.get(name)
            before = state.missed_total if state is not None else 0
        if missed == before and not transition.alerts:
            return
        self._missed[name] = missed
        self._unpunctual += [
            (job_id, day, figures.missed, figures.late)
            for day, figures in unpunctual(transition, before)
        ]
