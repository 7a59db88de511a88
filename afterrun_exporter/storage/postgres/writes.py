"""The writing connection: transitions of jobs in one statement for each commit.

The statement compares the stamp of each job with the one that the decision was made on,
so no lock is held while a process decides. What another replica changed first is left
out, with all that belongs to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import asyncpg

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.core.notifications import AlertNotification
from afterrun_exporter.core.state import JobState
from afterrun_exporter.storage.group_commit import Writes
from afterrun_exporter.storage.postgres import batch as tables
from afterrun_exporter.storage.postgres.alert_changes import COLUMNS as ALERTS
from afterrun_exporter.storage.postgres.batch import Batch

#: Bits of a stamp that count the commits of one writer.
COUNTER_BITS: Final = 32

#: Commits with one number of a writer.
MOST_COMMITS: Final = (1 << COUNTER_BITS) - 1

_NAME: Final = """
INSERT INTO jobs (name) SELECT name FROM unnest($1::text[]) AS t (name) ORDER BY name
ON CONFLICT (name) DO NOTHING
"""
_IDS: Final = "SELECT name, id FROM jobs WHERE name = ANY($1::text[])"


class Writer:
    """A replica as a writer; its jobs have *ids* and *stamps* in memory."""

    def __init__(
        self, replica: str, ids: dict[str, int], stamps: dict[str, int]
    ) -> None:
        self.replica = replica
        #: The hash of the configuration in use; "" before it is announced.
        self.config = ""
        self.ids = ids
        self.names = {id_: name for name, id_ in ids.items()}
        self.stamps = stamps
        #: The number of the present connection, and of its last commit.
        self.number = 0
        self._commits = 0
        #: The start of the first commit that failed since the last one that did not,
        #: by `stopwatch`, and the reason of the last failure.
        self.failing_since: float | None = None
        self.failure = ""
        #: The last stamp that is known of each writer.
        self.heads: dict[int, int] = {}

    def begin(self, number: int) -> None:
        """Write with *number* from now on, on a new connection."""
        self.number, self._commits = number, 0
        self.heads[number] = number << COUNTER_BITS

    def failing_for(self) -> float:
        """Return the seconds for which nothing could be committed; 0 if that works."""
        since = self.failing_since
        return 0.0 if since is None else stopwatch() - since

    def failed(self, began: float, reason: str) -> None:
        """Note that a commit failed which began then, by `stopwatch`."""
        self.failure = reason
        if self.failing_since is None:
            self.failing_since = began

    def greatest_number(self) -> int:
        """Return the greatest number of a writer that is known here."""
        newest = max(self.stamps.values(), default=0) >> COUNTER_BITS
        return max(self.number, newest, *self.heads)

    def note(self, ids: Mapping[str, int]) -> None:
        """Note the *ids* of jobs."""
        self.ids.update(ids)
        self.names.update((id_, name) for name, id_ in ids.items())

    @property
    def is_exhausted(self) -> bool:
        """True if this number has no further stamps: after years, or weeks of a storm."""
        return self._commits >= MOST_COMMITS

    def next_stamp(self) -> int:
        """Return the stamp of the next commit; none is ever used twice."""
        self._commits += 1
        return self.number << COUNTER_BITS | self._commits

    def committed(self, stamp: int, jobs: Iterable[str]) -> None:
        """Note that *jobs* were written with *stamp*."""
        self.heads[stamp >> COUNTER_BITS] = stamp
        for name in jobs:
            self.stamps[name] = stamp

    async def name(self, connection: asyncpg.Connection, jobs: Collection[str]) -> None:
        """Give ids to those of *jobs* that have none."""
        unnamed = sorted({name for name in jobs if name not in self.ids})
        if unnamed:
            await connection.execute(_NAME, unnamed)
            rows = await connection.fetch(_IDS, unnamed)
            self.note({row["name"]: row["id"] for row in rows})

    def batch(
        self,
        writes: Writes,
        notices: Iterable[AlertNotification],
        states: Mapping[str, JobState],
    ) -> Batch:
        """Return the rows of *writes*; the jobs were in *states* before."""
        batch = Batch(self.ids, self.stamps, states)
        for name, transition in writes:
            batch.add(name, transition)
        batch.add_notices(notices)
        return batch

    async def commit(
        self, connection: asyncpg.Connection, stamp: int, batch: Batch, limit: float
    ) -> set[int] | None:
        """Write *batch*; return the ids of the jobs that were written.

        None if nothing was, because this writer was away for long and was removed.
        *limit* is in seconds.
        """
        values: list[Any] = [stamp, *batch.columns()]
        sql = PLAIN
        if not batch.is_plain:
            values += batch.more_columns()
            sql = FULL
        ((is_known, ids),) = await connection.fetch(sql, *values, timeout=limit)
        return {*ids} if is_known else None


class _Parameters:
    """Parameters of a statement, in the order of their tables."""

    def __init__(self) -> None:
        # The first is the stamp.
        self._count = 1

    def table(self, columns: Mapping[str, str]) -> str:
        """Return the next table, from parameters that are arrays."""
        first, self._count = self._count + 1, self._count + len(columns)
        arrays = ", ".join(
            f"${number}::{kind}[]"
            for number, kind in enumerate(columns.values(), start=first)
        )
        return f"unnest({arrays}) WITH ORDINALITY AS t ({', '.join(columns)}, place)"


#: Of a row of `t`; the parentheses have it compared by a hash table in any case.
_DONE: Final = "(t.job_id IN (SELECT id FROM done)) IS TRUE"

#: The stored alert that a change in `t` is meant for: two parts, each with its index.
#: After the clock was set back, several resolved ones may have opened at the same time.
_TARGETS: Final = """
SELECT t.place, a.id, t.opened_at, t.resolved_at FROM changes t JOIN alerts a ON a.job_id = t.job_id
    AND a.condition = t.condition AND a.rule = t.rule AND a.resolved_at IS NULL
WHERE t.is_first
UNION ALL
SELECT t.place, min(a.id), t.opened_at, t.resolved_at FROM changes t
JOIN alerts a ON a.job_id = t.job_id
    AND a.opened_at = t.at AND a.condition = t.condition AND a.rule = t.rule
    AND a.resolved_at IS NOT NULL
GROUP BY t.place, t.opened_at, t.resolved_at
"""


def _insert(table: str, source: str, columns: Mapping[str, str]) -> str:
    names = ", ".join(columns)
    # The text has only constants.
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {source} "  # noqa: S608
        f"WHERE {_DONE} ORDER BY place"
    )


def _statement(*, is_full: bool) -> str:
    """Return the statement that writes a batch, with alerts and logs if *is_full*."""
    parameters = _Parameters()
    states, runs, keys = (
        parameters.table(one) for one in (tables.STATES, tables.RUNS, tables.KEYS)
    )
    parts = {
        "input AS MATERIALIZED": f"SELECT * FROM {states}",  # noqa: S608
        # In the order of ids: otherwise two transactions could wait for each other.
        "mine AS MATERIALIZED": f"""
            SELECT i.id, i.state, i.seen FROM input i
            JOIN jobs j ON j.id = i.id AND j.stamp = i.before
            WHERE EXISTS (SELECT FROM writers WHERE id = $1::int8 >> {COUNTER_BITS})
            ORDER BY i.id FOR NO KEY UPDATE OF j
        """,  # noqa: S608
        "done AS": """
            UPDATE jobs j SET stamp = $1, state = m.state, seen = m.seen
            FROM mine m WHERE j.id = m.id RETURNING j.id
        """,
        "new_runs AS": _insert("runs", runs, tables.RUNS),
        "new_keys AS": f"""
            {_insert("run_keys", keys, tables.KEYS)}
            ON CONFLICT (job_id, chunk) DO UPDATE
            SET keys = excluded.keys, received_at = excluded.received_at
        """,  # noqa: S608
    }
    notices = "false"
    if is_full:
        alerts, logs, unpunctual, notices = (
            parameters.table(one)
            for one in (ALERTS, tables.LOGS, tables.UNPUNCTUAL, tables.NOTICES)
        )
        columns = {name: "" for name in tables.NOTICES if name != "job_id"}
        parts |= {
            "changes AS MATERIALIZED": f"SELECT * FROM {alerts} WHERE {_DONE}",  # noqa: S608
            "targets AS MATERIALIZED": _TARGETS,
            # An alert that opened after its end was opened before the clock was set
            # back.
            "changed_alerts AS": """
                UPDATE alerts a SET
                    opened_at = least(coalesce(t.opened_at, a.opened_at), t.resolved_at),
                    resolved_at = t.resolved_at
                FROM targets t WHERE a.id = t.id
            """,
            "new_alerts AS": """
                INSERT INTO alerts (job_id, condition, rule, severity, summary, run,
                    opened_at, resolved_at)
                SELECT job_id, condition, rule, severity, summary, run, opened_at,
                    resolved_at
                FROM changes t WHERE t.at IS NOT NULL
                    AND (place IN (SELECT place FROM targets)) IS NOT TRUE
                ORDER BY place
            """,
            "new_logs AS": _insert("logs", logs, tables.LOGS),
            "new_unpunctual AS": _insert("unpunctual", unpunctual, tables.UNPUNCTUAL),
            "new_notices AS": f"""
                {_insert("outbox", notices, columns)}
                ON CONFLICT (digest) DO UPDATE
                SET job = excluded.job, condition = excluded.condition,
                    rule = excluded.rule, summary = excluded.summary,
                    opened_at = excluded.opened_at, resolved_at = excluded.resolved_at,
                    shown_until = excluded.shown_until
                RETURNING 1
            """,  # noqa: S608
        }
        notices = "EXISTS (SELECT FROM new_notices)"
    parts["told AS"] = f"""
        INSERT INTO feed (stamp, ids, outbox) SELECT $1, array_agg(id), {notices}
        FROM done HAVING count(*) > 0
    """  # noqa: S608
    queries = ", ".join(f"{name} ({sql})" for name, sql in parts.items())
    return f"""
        WITH {queries} SELECT
            EXISTS (SELECT FROM writers WHERE id = $1 >> {COUNTER_BITS}),
            ARRAY(SELECT id FROM done)
    """  # noqa: S608


PLAIN: Final = " ".join(_statement(is_full=False).split())
FULL: Final = " ".join(_statement(is_full=True).split())
