"""SQLite databases with something in every table, to be copied."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from afterrun_exporter.core.duplicates import KEY_SIZE
from afterrun_exporter.core.durations import mark_of
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.notifications import AlertNotification, DeliveryState, Stage
from afterrun_exporter.core.pushed_metrics import Family, Group
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.rules import Violation
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.storage.outbox import Changes
from afterrun_exporter.storage.sqlite.migrations import migrate
from afterrun_exporter.storage.sqlite.outbox import save
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from afterrun_exporter.storage.store import update
from tests.copies import replace
from tests.storage import decisions, shapes
from tests.storage.decisions import FAILING, MISSED, T0, fresh

DAY: Final = 86_400.0
#: Texts that a careless copy would change.
ODD: Final = ("", "a\0b\x10\x100", "\N{SNOWMAN}\U0001f4be\r\n\t'\"\\", "\\x00 \\N")
#: A name of a rule that is longer than what an index of PostgreSQL holds.
LONG: Final = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(3000))


def empty(path: Path) -> Path:
    """Create a database without content at *path*."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection)
    return path


def insert(path: Path, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Add *rows*, as they are, to a table."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for row in rows:
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # noqa: S608


async def full(path: Path) -> Path:
    """Create a database with something in every table, as the daemon writes it."""
    async with SQLiteStore.open(path) as store:
        for number in range(70):
            at = T0 + number * DAY / 20
            await update(store, "busy", ran_with_key(at, number))
        for name, text in zip("abcd", ODD, strict=True):
            run = decisions.ran(T0, message=text, metadata=text, run_id=text or None)
            await update(store, name, run)
            await update(store, name, decisions.logged(text))
        await update(store, "whole", every_field)
        await update(store, "whole", decisions.missed_once_more())
        for key in (FAILING, MISSED):
            await update(store, "broken", decisions.opened(key, summary=ODD[2]))
        await update(store, "broken", decisions.resolved())
        await update(store, "broken", decisions.opened(at=T0 + 90))
        added = await store.add_receivers([receiver(1), receiver(2), receiver(3)])
        await store.remove_receivers([added[2].id, added[0].id])
        for label in ("x", ODD[2], LONG):
            await store.save_pushed(group(label))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        save(connection, changes())
        connection.execute("UPDATE counted SET run = 3")
        connection.execute(
            "INSERT INTO days SELECT 1, 20000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ?, 2",
            (mark_of(0.5) + mark_of(1e6),),
        )
    return path


def ran_with_key(at: float, number: int) -> Any:
    """Return a decision by which a run with an id finished: 32 of them make a row."""

    def decide(state: JobState | None) -> Transition:
        transition = decisions.ran(at, outcome=[*Outcome][number % 8])(state)
        before = state.run_keys if state else b""
        keys = before + number.to_bytes(KEY_SIZE - 1, "big") + b"k"
        return replace(transition, state=replace(transition.state, run_keys=keys))

    return decide


def every_field(state: JobState | None) -> Transition:
    """Decide on a state and a run in which nothing has its default value."""
    run = decisions.ran(
        T0 + 0.1,
        started_at=T0 - 1.5,
        duration=1.6,
        exit_code=-9,
        max_attempts=3,
        metrics={"rows": 1e300, "tiny": 5e-324, "zero": -0.0},
        violations=(Violation("rows > 5", "rows", 3.0, "> 5", ODD[2]),),
        config_commit="0123abcd-dirty",
    )(state)
    kept = replace(shapes.example(), run_keys=b"0123456789abcdef", **derived())
    return replace(run, state=kept)


def derived() -> dict[str, Any]:
    """Return the fields that are not stored, with their default values."""
    plain = fresh()
    names = ("run_keys_whole", "history", "success_ratio", "ratio_edges", "ratio_until")
    return {name: getattr(plain, name) for name in names}


def receiver(number: int) -> JobReceiver:
    """Return a receiver, not yet stored."""
    return JobReceiver(
        job="a",
        type=[*ReceiverType][number],
        target=f"to-{number}",
        on_failure=True,
        on_timeout=False,
        on_violation=number == 2,
        on_missed=True,
        on_success=False,
        created_at=T0,
    )


def group(label: str) -> Group:
    """Return pushed metrics with a label."""
    families = {"rows": Family("gauge", ODD[2], {f'rows{{l="{label[:9]}"}}': "1e3"})}
    return Group(labels=(("instance", label),), job="a", families=families)


def changes() -> Changes:
    """Return notifications, one of them delivered."""
    notices = tuple(
        AlertNotification(
            labels=f'{{"rule": "{rule}"}}',
            job="broken",
            key=replace(FAILING, rule=rule),
            summary=ODD[1],
            opened_at=T0,
            resolved_at=None if rule else T0 + 1,
            shown_until=T0 + 2,
        )
        for rule in ("", "rows > 0", LONG)
    )
    delivered = DeliveryState(T0, Stage.FIRING, T0, T0)
    return Changes(
        notices=notices, deliveries={notices[0].labels: {"http://am": delivered}}
    )
