"""The tables that move from one database to another, and checksums of their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from afterrun_exporter.core.duplicates import KEY_SIZE
from afterrun_exporter.core.model import Condition, Outcome
from afterrun_exporter.core.notifications import Stage
from afterrun_exporter.core.pushed_metrics import Family
from afterrun_exporter.core.routing import ReceiverType
from afterrun_exporter.storage.codec import (
    decode_metrics,
    decode_state,
    decode_violations,
)
from afterrun_exporter.storage.run_keys import CHUNK

Row = tuple[Any, ...]

#: The stamp of a job that no replica has changed yet; those of replicas are higher.
COPIED: Final = 1

_RUN: Final = (
    *("id", "job_id", "number", "run_id", "attempt", "max_attempts", "outcome"),
    *("started_at", "finished_at", "received_at", "duration", "exit_code", "metrics"),
    *("violations", "message", "metadata", "config_commit"),
)
_ALERT: Final = (
    *("id", "job_id", "condition", "rule", "severity", "summary", "run"),
    *("opened_at", "resolved_at"),
)
_NOTICE: Final = (
    *("labels", "job", "condition", "rule", "summary", "opened_at", "resolved_at"),
    *("shown_until", "told"),
)
_RECEIVER: Final = (
    *("id", "job", "type", "target", "on_failure", "on_timeout", "on_violation"),
    *("on_missed", "on_success", "created_at"),
)
_DAY: Final = (
    *("job_id", "day", *(one.value for one in Outcome), "missed", "late"),
    *("durations", "weight"),
)


class CopiedTable(NamedTuple):
    """A table with the same columns in both databases."""

    name: str
    columns: tuple[str, ...]
    #: The number of the first columns that identify a row.
    key: int
    #: Raises an error for a row that this program could not read.
    check: Callable[[Row], object]
    #: The noun for a row, for messages.
    noun: str
    #: Columns that have True or False, as 1 or 0 in SQLite.
    flags: tuple[str, ...] = ()
    #: The column of a number that the database gives out; "" without one.
    identity: str = ""
    #: The place of the id, or the name, of the job of a row.
    job: int = 1

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return self.columns[: self.key]


def _check_job(row: Row) -> None:
    _, _, state, keys, _ = row
    if len(keys) % KEY_SIZE:
        raise ValueError(f"its run keys have {len(keys)} bytes")
    decode_state(state, keys)


def _check_run(row: Row) -> None:
    Outcome(row[6])
    decode_metrics(row[12])
    decode_violations(row[13])


def _check_alert(row: Row) -> None:
    Condition(row[2])


def _check_notice(row: Row) -> None:
    Condition(row[2])
    for _, stage, _ in json.loads(row[8]).values():
        Stage(stage)


def _check_receiver(row: Row) -> None:
    ReceiverType(row[2])


def _check_pushed(row: Row) -> None:
    dict(json.loads(row[1]).items())
    for family in json.loads(row[3]).values():
        Family(*family)


def _check_keys(row: Row) -> None:
    if len(row[2]) != CHUNK * KEY_SIZE:
        raise ValueError(f"it has {len(row[2])} bytes instead of {CHUNK * KEY_SIZE}")


def _readable(row: Row) -> None:
    """Do nothing: such rows have plain texts and numbers."""


#: In the order in which they are copied.
TABLES: Final = (
    CopiedTable(
        "jobs",
        ("id", "name", "state", "seen", "stamp"),
        1,
        _check_job,
        "the state of job",
        identity="id",
    ),
    CopiedTable("runs", _RUN, 1, _check_run, "a run of job", identity="id"),
    CopiedTable(
        "run_keys", ("job_id", "chunk", "keys", "received_at"), 2, _check_keys,
        "run keys of job", job=0,
    ),
    CopiedTable("alerts", _ALERT, 1, _check_alert, "an alert of job", identity="id"),
    CopiedTable(
        "logs", ("id", "job_id", "at", "run_id", "message", "metadata"), 1, _readable,
        "a log message of job", identity="id",
    ),
    CopiedTable("outbox", _NOTICE, 1, _check_notice, "a notification of job"),
    CopiedTable(
        "receivers", _RECEIVER, 1, _check_receiver, "a receiver of job",
        flags=tuple(name for name in _RECEIVER if name.startswith("on_")),
        identity="id",
    ),
    CopiedTable(
        "pushed", ("id", "labels", "job", "families"), 1, _check_pushed,
        "pushed metrics of job", identity="id", job=2,
    ),
    CopiedTable("days", _DAY, 2, _readable, "figures of job", job=0),
)  # fmt: skip


class Summary(NamedTuple):
    """The number of rows of a table, and their checksum."""

    rows: int
    checksum: str


class Checksum:
    """A checksum of rows in any order: the sum of their hashes."""

    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def add(self, row: Sequence[Any]) -> None:
        """Add a row."""
        text = repr(tuple(row)).encode("utf-8", "surrogatepass")
        self._rows += 1
        self._sum += int.from_bytes(blake2b(text, digest_size=16).digest(), "big")

    def add_all(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows."""
        for row in rows:
            self.add(row)

    def summary(self) -> Summary:
        """Return the checksum of all rows so far."""
        return Summary(self._rows, f"{self._sum % (1 << 128):032x}")
