"""Replicas that report at once, and whose connections break: some serial order results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.duplicates import key_of
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.state import JobState, Transition
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.postgres.writes import Writer
from afterrun_exporter.storage.store import Change
from tests.examples import examples
from tests.postgres import Database
from tests.storage.decisions import T0
from tests.storage.postgres.stores import replicas, stored

SETTINGS = Settings()
JOBS = ("backup", "report", "sync")

#: A replica, the jobs and the number of the run that they report to it, and how its
#: connection breaks: before the commit, after it, or not.
Report = tuple[int, list[str], int, str]

reports = st.tuples(
    st.integers(0, 2),
    st.lists(st.sampled_from(JOBS), min_size=1, max_size=4),
    st.integers(1, 6),
    st.sampled_from(["", "", "", "before", "after"]),
)
#: Rounds of reports at once; then some replicas look at the others.
rounds = st.lists(
    st.tuples(st.lists(reports, max_size=6), st.sets(st.integers(0, 2))), max_size=6
)

prefixes = (f"{number}-" for number in count())


@pytest.fixture
async def stores(postgres: Database) -> Any:
    async with replicas(postgres, 3) as opened_stores:
        yield opened_stores


@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(rounds)
async def test_each_run_counts_once_in_some_order(
    stores: list[PostgresStore],
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[list[Report], set[int]]],
) -> None:
    """Whoever got it, whatever broke, and however often the client repeats it."""
    breaking: dict[Writer, str] = {}
    commit = Writer.commit

    async def fragile(
        writer: Writer, connection: asyncpg.Connection, *args: Any
    ) -> set[int] | None:
        how = breaking.pop(writer, "")
        if how == "before":
            connection.terminate()
        ids = await commit(writer, connection, *args)
        if how == "after":
            connection.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        return ids

    prefix = next(prefixes)
    monkeypatch.setattr(Writer, "commit", fragile)
    accepted: set[tuple[str, str]] = set()
    refused: list[tuple[PostgresStore, list[Change]]] = []
    for some, looks in steps:
        for replica, _, _, how in some:
            if how:
                breaking[stores[replica]._writer] = how
        batches = [
            (stores[replica], [change(prefix, job, run) for job in jobs])
            for replica, jobs, run, _ in some
        ]
        results = await send([*refused, *batches])
        refused = [
            batch
            for batch, result in zip([*refused, *batches], results, strict=True)
            if isinstance(result, StorageError)
        ]
        for replica in looks:
            await stores[replica].replicas.look()
        accepted.update(
            (f"{prefix}{job}", f"run-{run}") for _, jobs, run, _ in some for job in jobs
        )
    monkeypatch.undo()
    assert not any(isinstance(one, Exception) for one in await send(refused))

    for store in stores:
        await store.replicas.look()
    states = [
        {name: text for name, text in stored(one).items() if name.startswith(prefix)}
        for one in stores
    ]
    assert states[0] == states[1] == states[2]
    assert {name for name, _ in accepted} == states[0].keys()
    for name in states[0]:
        runs = await stores[0].runs(name, 100)
        ids = {run.run_id for run in runs}
        assert ids == {run_id for job, run_id in accepted if job == name}
        assert [run.number for run in runs] == [*range(len(ids), 0, -1)]
        state = stores[1].states[name]
        assert state.runs_total == len(ids)
        keys = b"".join(key_of(run) for run in reversed(runs))
        assert state.run_keys == keys
        open_alerts = [one for one in await stores[2].alerts() if one.job == name]
        assert len(open_alerts) <= 1


async def send(
    batches: Sequence[tuple[PostgresStore, list[Change]]],
) -> list[object]:
    """Report all *batches* at once; return the results or the errors."""
    return await asyncio.gather(
        *(store.update_all(changes) for store, changes in batches),
        return_exceptions=True,
    )


def change(prefix: str, name: str, run: int) -> Change:
    """Return the end of a run, which is bad for some of them."""
    job = Job(name=f"{prefix}{name}")
    ping = Ping(
        job=job.name,
        kind=Kind.FINISH,
        at=T0,
        run_id=f"run-{run}",
        outcome=Outcome.OK if run % 2 else Outcome.FAIL,
    )

    def decide(state: JobState | None) -> Transition:
        return on_ping(job, state or registered(job, ping.at), ping, SETTINGS)

    return Change(job.name, decide)
