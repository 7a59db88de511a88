"""The writer thread: writing transitions as rows, and pruning old rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeVar

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.core.daily_figures import DayFigures, unpunctual
from afterrun_exporter.core.duplicates import KEY_SIZE, REMEMBERED
from afterrun_exporter.core.model import Condition, Run
from afterrun_exporter.core.state import (
    AlertEvent,
    AlertMoved,
    AlertOpened,
    JobState,
    LogEntry,
    Transition,
)
from afterrun_exporter.storage.codec import (
    encode_state,
)
from afterrun_exporter.storage.daily_rows import Key
from afterrun_exporter.storage.group_commit import Writes
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.rows import values_of
from afterrun_exporter.storage.run_keys import CHUNK, rows_of
from afterrun_exporter.storage.sqlite import daily_figures, outbox, run_keys
from afterrun_exporter.storage.sqlite.checkpoints import CHECKPOINT

#: The maximum of rows in one statement: SQLite allows 32,766 values.
MAX_ROWS: Final = 256


def insert(
    connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], then: str
) -> None:
    """Execute ``INSERT INTO into VALUES rows then``, in steps of powers of two.

    So the number of different statements is small, and all stay prepared.
    """
    for step in _steps(rows):
        sql = _statement(into, len(step), len(step[0]), then)
        connection.execute(sql, tuple(chain.from_iterable(step)))


def _steps(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    at = 0
    while remaining := len(rows) - at:
        size = min(MAX_ROWS, 1 << (remaining.bit_length() - 1))
        yield rows[at : at + size]
        at += size


@lru_cache(maxsize=256)
def _statement(into: str, rows: int, columns: int, then: str) -> str:
    row = f"({','.join('?' * columns)})"
    # The text has only placeholders and constants.
    return f"INSERT INTO {into} VALUES {','.join([row] * rows)} {then}"  # noqa: S608


T = TypeVar("T")
R = TypeVar("R")

#: Rows to check in one step of pruning, so that commits do not wait long.
STEP: Final = 1000

_JOBS = "jobs (id, name, last_run, state, seen)"
_OR_UPDATE = """
ON CONFLICT (id) DO UPDATE
SET last_run = excluded.last_run, state = excluded.state, seen = excluded.seen
"""
_OPEN_ALERT = """
INSERT INTO alerts (job_id, condition, rule, severity, summary, run, opened_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_REOPEN_ALERT = """
UPDATE OR IGNORE alerts SET resolved_at = NULL
WHERE job_id = ? AND condition = ? AND rule = ? AND opened_at = ?
    AND resolved_at IS NOT NULL
"""
# An alert that opened after its end was opened before the clock was set back.
_RESOLVE_ALERT = """
UPDATE alerts SET resolved_at = ?1, opened_at = min(opened_at, ?1)
WHERE job_id = ?2 AND condition = ?3 AND rule = ?4 AND resolved_at IS NULL
"""
_MOVE_ALERT = """
UPDATE alerts SET opened_at = ?
WHERE job_id = ? AND condition = ? AND rule = ? AND resolved_at IS NULL
"""
_ADD_LOG = """
INSERT INTO logs (job_id, at, run_id, message, metadata) VALUES (?, ?, ?, ?, ?)
"""
_PRUNE_LOGS = """
DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE at < ? LIMIT ?)
"""
_PRUNE_ALERTS = """
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE resolved_at < ? LIMIT ?)
"""


class Writer:
    """Owns the writing connection; used by one thread at a time."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        ids: dict[str, int],
        last_runs: dict[str, int | None],
        newest_run: int,
        missed: dict[str, int],
    ) -> None:
        self._connection = connection
        #: The missed slots of each job that has some, as committed.
        self._missed = missed
        self._ids = ids
        self._last_runs = last_runs
        self._newest_run = newest_run
        self._newest_job = max(ids.values(), default=0)

    def commit(self, writes: Writes, news: Changes) -> float:
        """Write *writes* and *news* in one transaction; return the seconds it took."""
        began = stopwatch()
        ids = {name: self._ids.get(name) for name, _ in writes}
        new = (name for name, id_ in ids.items() if id_ is None)
        fresh = {name: self._newest_job + n for n, name in enumerate(new, start=1)}
        batch = _Batch(
            {**self._ids_of(ids), **fresh},
            self._last_runs,
            self._newest_run,
            self._missed,
        )
        for name, transition in writes:
            batch.add_unpunctual(name, transition)
            batch.states[name] = transition.state
            for run in transition.runs:
                batch.add_run(name, run)
            if transition.runs:
                batch.add_keys(name, transition)
            for event in transition.alerts:
                batch.add_event(name, event)
            for entry in transition.logs:
                batch.add_log(name, entry)

        with self._transaction():
            execute = self._connection.execute
            insert(self._connection, "runs", batch.runs, "")
            for sql, values in batch.alerts:
                execute(sql, values)
            self._connection.executemany(_ADD_LOG, batch.logs)
            self._connection.executemany(run_keys.INSERT, batch.keys)
            daily_figures.add(self._connection, batch.figures)
            insert(self._connection, _JOBS, [*batch.jobs()], _OR_UPDATE)
            outbox.save(self._connection, news)

        self._ids.update(fresh)
        self._newest_job += len(fresh)
        self._newest_run = batch.newest_run
        self._last_runs.update(batch.last_runs)
        self._missed.update(batch.missed)
        return stopwatch() - began

    def prune_runs(
        self, cursor: int, newest: Mapping[str, int], before: float, runs_per_job: int
    ) -> tuple[int | None, int]:
        """Check the next rows after *cursor*, and delete those to prune.

        Returns the next cursor, None at the end, and the number of deleted rows.
        *newest* has the number of each job's last run.
        """
        rows = self._connection.execute(
            "SELECT r.id, j.name, r.number, r.received_at FROM runs r "
            "JOIN jobs j ON j.id = r.job_id WHERE r.id > ? ORDER BY r.id LIMIT ?",
            (cursor, STEP),
        ).fetchall()
        old = [
            (id_,)
            for id_, name, number, received_at in rows
            if number != newest.get(name)
            and (
                received_at < before
                or number <= newest.get(name, number) - runs_per_job
            )
        ]
        if old:
            with self._transaction():
                self._connection.executemany("DELETE FROM runs WHERE id = ?", old)
        return rows[-1][0] if len(rows) == STEP else None, len(old)

    def prune_keys(
        self,
        cursor: run_keys.Place,
        newest: Mapping[str, int],
        before: float,
        runs_per_job: int,
    ) -> tuple[run_keys.Place | None, set[str]]:
        """Delete the next rows after *cursor* whose runs are all pruned.

        Returns the next cursor, None at the end, and the jobs of the rows.
        """
        rows = run_keys.next_rows(self._connection, cursor, STEP)
        old = [
            (place, name)
            for place, received_at, name in rows
            if received_at < before
            or place[1] * CHUNK <= newest.get(name, 0) - runs_per_job
        ]
        if old:
            with self._transaction():
                run_keys.delete(self._connection, [place for place, _ in old])
        jobs = {name for _, name in old}
        return rows[-1][0] if len(rows) == STEP else None, jobs

    def prune_rest(self, logs_before: float, alerts_before: float) -> int:
        """Delete some old logs and resolved alerts; return the count."""
        old = (_PRUNE_LOGS, logs_before), (_PRUNE_ALERTS, alerts_before)
        with self._transaction():
            return sum(
                self._connection.execute(sql, (before, STEP)).rowcount
                for sql, before in old
            )

    def probe(self) -> None:
        """Write the existing version, in a separate transaction."""
        ((version,),) = self._connection.execute("PRAGMA user_version").fetchall()
        with self._transaction():
            self._connection.execute(f"PRAGMA user_version = {int(version)}")

    def names(self, jobs: Collection[str] | None = None) -> dict[int, str]:
        """Return the names of *jobs*, or of all ones, by id."""
        ids = self._ids
        if jobs is None:
            return {id_: name for name, id_ in list(ids.items())}
        return {ids[name]: name for name in jobs if name in ids}

    @property
    def rows_changed(self) -> int:
        """The number of changed rows since the connection was opened."""
        return self._connection.total_changes

    def checkpoint(self) -> None:
        """Copy the log back as far as readers permit."""
        self._connection.execute(CHECKPOINT).fetchone()

    def do(self, act: Callable[[sqlite3.Connection, T], R], argument: T) -> R:
        """Return the result of the one statement of *act* for *argument*."""
        return act(self._connection, argument)

    def do_at_once(self, act: Callable[[sqlite3.Connection, T], R], argument: T) -> R:
        """Return the result of *act* for *argument*, in one transaction."""
        with self._transaction():
            return act(self._connection, argument)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @staticmethod
    def _ids_of(ids: Mapping[str, int | None]) -> dict[str, int]:
        return {name: id_ for name, id_ in ids.items() if id_ is not None}


class _Batch:
    """The rows of one transaction."""

    def __init__(
        self,
        ids: Mapping[str, int],
        committed_last_runs: Mapping[str, int | None],
        newest_run: int,
        committed_missed: Mapping[str, int],
    ) -> None:
        self._ids = ids
        self._committed = committed_last_runs
        self._committed_missed = committed_missed
        self.missed: dict[str, int] = {}
        self.figures: list[tuple[Key, DayFigures]] = []
        self.newest_run = newest_run
        self.last_runs: dict[str, int | None] = {}
        self.states: dict[str, JobState] = {}
        self.runs: list[tuple[Any, ...]] = []
        self.alerts: list[tuple[str, tuple[Any, ...]]] = []
        self.logs: list[tuple[Any, ...]] = []
        self.keys: list[tuple[Any, ...]] = []

    def add_unpunctual(self, name: str, transition: Transition) -> None:
        missed = transition.state.missed_total
        before = self.missed.get(name, self._committed_missed.get(name, 0))
        if missed == before and not transition.alerts:
            return
        self.missed[name] = missed
        self.figures += [
            ((self._ids[name], day), figures)
            for day, figures in unpunctual(transition, before)
        ]

    def add_run(self, name: str, run: Run) -> None:
        previous = self._last_run(name)
        self.newest_run += 1
        self.last_runs[name] = self.newest_run
        places = self.newest_run, self._ids[name], previous
        self.runs.append((*places, *values_of(run)))

    def add_keys(self, name: str, transition: Transition) -> None:
        self.keys.extend(rows_of(self._ids[name], transition))

    def add_event(self, name: str, event: AlertEvent) -> None:
        if event.key.condition is Condition.SUCCEEDED:
            # The run is its record.
            return
        job_id = self._ids[name]
        if isinstance(event, AlertOpened):
            alert, key = event.alert, event.alert.key
            values = (job_id, key.condition, key.rule, event.severity, event.summary)
            alert_id = (job_id, key.condition, key.rule, alert.opened_at)
            self.alerts.append((_REOPEN_ALERT, alert_id))
            self.alerts.append((_OPEN_ALERT, (*values, event.run, alert.opened_at)))
            return
        alert_key = (job_id, event.key.condition, event.key.rule)
        if isinstance(event, AlertMoved):
            self.alerts.append((_MOVE_ALERT, (event.opened_at, *alert_key)))
        else:
            self.alerts.append((_RESOLVE_ALERT, (event.at, *alert_key)))

    def add_log(self, name: str, entry: LogEntry) -> None:
        self.logs.append(
            (self._ids[name], entry.at, entry.run_id, entry.message, entry.metadata)
        )

    def jobs(self) -> Iterator[tuple[Any, ...]]:
        for name, state in self.states.items():
            yield (
                self._ids[name],
                name,
                self._last_run(name),
                encode_state(state),
                state.run_keys[-REMEMBERED * KEY_SIZE :],
            )

    def _last_run(self, name: str) -> int | None:
        return self.last_runs.get(name, self._committed.get(name))
