"""Databases and states that earlier versions wrote are read by this one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.core.model import Condition, Job, Kind, Outcome, Ping
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.codec import decode_state, encode_state
from afterrun_exporter.storage.sqlite.migrations import newest
from afterrun_exporter.storage.sqlite.state_formats import CHANGES
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.fakes import ManualClock
from tests.services import job_config
from tests.storage import shapes
from tests.storage.files import ask

#: Written by the daemon of the commit that each is named after, given the same reports.
DATABASES = sorted((Path(__file__).parent / "formats").glob("*.sql"))

JOBS = job_config(
    Job(name="fine", schedule=Every(3600), rules=(parse_rule("rows > 0"),)),
    Job(name="failing", schedule=Every(3600)),
    Job(name="violated", rules=(parse_rule("rows > 0"),)),
    Job(name="missed", schedule=Every(2), grace=1.0),
    Job(name="healed", rules=(parse_rule("rows > 0"),)),
    Job(name="running", max_runtime=3600.0),
    Job(name="overrunning", max_runtime=1.0),
    settle=1.0,
)


@pytest.fixture(params=DATABASES, ids=lambda file: file.stem)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database of an earlier version."""
    made = tmp_path / "afterrun.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript(request.param.read_text("utf-8"))
    return made


def conditions(store: SQLiteStore) -> set[tuple[str, Condition]]:
    return {
        (name, alert.key.condition)
        for name, state in store.states.items()
        for alert in state.alerts
    }


OPEN = {
    ("failing", Condition.FAILING),
    ("violated", Condition.VIOLATED),
    ("missed", Condition.MISSED),
    ("overrunning", Condition.OVERRUNNING),
}


class TestADatabaseOfAnEarlierVersion:
    async def test_is_opened_with_all_that_it_has(self, path: Path) -> None:
        """Seen: one with an open alert could not be opened."""
        async with SQLiteStore.open(path) as store:
            states = store.states
            recorded = {one.job for one in await store.alerts()}
            runs = await store.runs("failing", 9)

        assert conditions(store) == OPEN
        assert {name: state.runs_total for name, state in states.items()} == {
            "fine": 2,
            "failing": 2,
            "violated": 1,
            "missed": 0,
            "healed": 2,
            "running": 0,
            "overrunning": 0,
            "unknown": 1,
        }
        assert states["fine"].metrics == {"rows": 7.0}
        assert [run.run_id for run in states["running"].open_runs] == ["r1"]
        assert [one.key.rule for one in states["healed"].healed] == ["rows > 0"]
        assert states["failing"].last_outcome is Outcome.FAIL
        assert recorded == {"failing", "violated", "missed", "overrunning", "healed"}
        assert [run.run_id for run in runs] == ["x2", "x1"]
        assert ask(path, "PRAGMA user_version") == [(newest(),)]

    async def test_is_opened_again(self, path: Path) -> None:
        """It is of this version now."""
        async with SQLiteStore.open(path) as store:
            before = dict(store.states)

        async with SQLiteStore.open(path) as store:
            assert store.states == before

    async def test_is_gone_on_with(self, path: Path) -> None:
        """A repeat is recognised, a job that is well again is so."""
        async with SQLiteStore.open(path) as store:
            now = store.states["unknown"].last_ping_at + 10
            service = Service(store, ManualClock(now), JOBS)
            await service.start()
            repeat = await service.record(
                Ping(job="failing", kind=Kind.FINISH, at=now, run_id="x2")
            )
            await service.record(
                Ping(job="failing", kind=Kind.FINISH, at=now, run_id="x3")
            )
            await service.record(
                Ping(job="running", kind=Kind.FINISH, at=now, run_id="r1")
            )

            assert repeat.transition.duplicate
            assert ("failing", Condition.FAILING) not in conditions(store)
            assert ("violated", Condition.VIOLATED) in conditions(store)
            assert not store.states["running"].open_runs
            assert store.states["running"].last_duration == pytest.approx(10, abs=1)


async def test_reports_without_an_id_are_still_recognised(tmp_path: Path) -> None:
    """What an earlier version remembered of them is kept."""
    made = tmp_path / "afterrun.db"
    seen = set()
    for file in DATABASES:
        made.unlink(missing_ok=True)
        with closing(sqlite3.connect(made)) as connection:
            connection.executescript(file.read_text("utf-8"))
        async with SQLiteStore.open(made) as store:
            unnamed = store.states["fine"].unnamed_seen
        assert len(unnamed) == 24
        seen.add(unnamed[:8])

    # The same report, written in hex or in base64.
    assert len(seen) == 1


# --- Shapes of states


def covers(new: Any, old: Any) -> bool:
    """Return True if all that is in *old* is in *new*; lists may have become longer."""
    if isinstance(old, dict):
        return all(name in new and covers(new[name], old[name]) for name in old)
    if isinstance(old, list):
        return len(new) >= len(old) and all(
            covers(*pair) for pair in zip(new, old, strict=False)
        )
    return bool(new == old)


@pytest.mark.parametrize("file", shapes.stored(), ids=lambda file: file.stem)
def test_a_state_of_an_earlier_shape_is_read(file: Path) -> None:
    """After the migrations that came since."""
    found = json.loads(file.read_text("utf-8"))
    state = found["state"]
    for number, change in CHANGES.items():
        if number > found["version"]:
            change(state)

    read = decode_state(json.dumps(state), b"")

    assert covers(json.loads(encode_state(read)), state)


def test_the_newest_example_has_the_shape_that_states_have_now() -> None:
    """Add one by `python -m tests.storage.shapes`.

    If a field was added at the end and has a default, that is all. Otherwise write a
    migration: afterrun_exporter/storage/sqlite/state_formats.py.
    """
    found = json.loads(shapes.stored()[-1].read_text("utf-8"))

    assert found["shape"] == shapes.shape()
    assert found["state"] == json.loads(encode_state(shapes.example()))


async def test_a_state_that_cannot_be_migrated_is_named(tmp_path: Path) -> None:
    """And the database stays as it is."""
    made = tmp_path / "afterrun.db"
    with closing(sqlite3.connect(made)) as connection:
        connection.executescript(DATABASES[0].read_text("utf-8"))
    ask(made, """UPDATE jobs SET state = '{"alerts":[[]]}' WHERE name = 'missed'""")

    with pytest.raises(StorageError) as caught:
        async with SQLiteStore.open(made):
            pass

    assert str(caught.value).startswith(
        f"cannot use database '{made}': the stored state of job 'missed' cannot be "
        "decoded: "
    )
    assert ask(made, "SELECT state FROM jobs WHERE name = 'missed'") == [
        ('{"alerts":[[]]}',)
    ]
