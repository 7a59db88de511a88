"""Replicas that share a database: each takes any report, and none counts twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from afterrun_exporter.core.history import unpack
from afterrun_exporter.core.model import Job, Kind, Outcome, Ping, Settings
from afterrun_exporter.core.notifications import (
    AlertNotification,
    DeliveryState,
    Stage,
)
from afterrun_exporter.core.state import AlertOpened, JobState, Transition
from afterrun_exporter.core.transitions import on_ping, registered
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.postgres.writes import MOST_COMMITS, Writer
from afterrun_exporter.storage.store import Change, Decide, update
from tests.postgres import Database
from tests.storage.decisions import (
    FAILING,
    T0,
    logged,
    missed_once_more,
    opened,
    ran,
    resolved,
)
from tests.storage.postgres.stores import RecordingFollower, replicas, stored

SETTINGS = Settings()


def reported(run_id: str, at: float = T0) -> Decide:
    """The job reports the end of a run."""
    job = Job(name="backup")
    ping = Ping(job="backup", kind=Kind.FINISH, at=at, run_id=run_id)

    def decide(state: JobState | None) -> Transition:
        return on_ping(job, state or registered(job, ping.at), ping, SETTINGS)

    return decide


async def look_at_each_other(stores: Sequence[PostgresStore]) -> None:
    for store in stores:
        await store.replicas.look()


def transitions(results: list[Transition | Exception]) -> list[Transition]:
    return [one for one in results if isinstance(one, Transition)]


@pytest.mark.parametrize("is_known", [False, True])
async def test_one_report_to_all_replicas_at_once_counts_once(
    postgres: Database, is_known: bool
) -> None:
    """A load balancer or a client sends it again while the first is being committed."""
    async with replicas(postgres, 3) as stores:
        if is_known:
            await update(stores[0], "backup", reported("before"))
            await look_at_each_other(stores)
        for number in range(5):
            decide = reported(f"run-{number}")

            results = await asyncio.gather(
                *(update(store, "backup", decide) for store in stores)
            )

            assert sorted(one.duplicate for one in results) == [False, True, True]
        await look_at_each_other(stores)

        runs = await stores[0].runs("backup", 10)

        assert [one.number for one in runs] == [*range(5 + is_known, 0, -1)]
        assert {store.states["backup"].runs_total for store in stores} == {5 + is_known}


async def test_changes_of_replicas_reach_each_other(postgres: Database) -> None:
    async with replicas(postgres) as (first, second):
        followers = RecordingFollower(), RecordingFollower()
        first.replicas.follow(followers[0])
        second.replicas.follow(followers[1])
        await update(first, "backup", ran())
        before = second.states.get("backup")

        await second.replicas.catch_up()
        await update(second, "report", ran())
        await update(second, "backup", ran())
        await first.replicas.catch_up()

        assert before is None
        assert stored(first) == stored(second)
        assert first.states["backup"].runs_total == 2
        assert [[*one] for one in followers[1].changed] == [["backup"]]
        assert followers[1].changed[0]["backup"] is None
        assert sorted(name for one in followers[0].changed for name in one) == [
            "backup",
            "report",
        ]
        assert followers[0].changed[0]["backup"] is not None
        assert second.replicas.conflicts == 0


async def test_a_decision_on_an_old_state_is_made_again(postgres: Database) -> None:
    """The follower learns the state before that, and other jobs are not delayed."""
    async with replicas(postgres) as (first, second):
        await update(first, "backup", ran())
        await second.replicas.catch_up()
        follower = RecordingFollower(windows={"backup": 1})
        second.replicas.follow(follower)
        await update(first, "backup", ran(outcome=Outcome.FAIL))
        await update(first, "backup", opened())

        results = await second.update_all(
            [Change("report", ran()), Change("backup", ran()), Change("backup", ran())]
        )

        assert [one.run and one.run.number for one in transitions(results)] == [1, 3, 4]
        assert second.states["backup"].alerts == first.states["backup"].alerts
        assert second.replicas.conflicts == 2
        ((job, recorded, runs),) = follower.completions
        assert (job, recorded) == ("backup", 2)
        assert [(one.number, one.ok) for one in unpack(runs)] == [(2, False)]
        assert len(follower.changed) == 1


async def test_nothing_of_a_lost_decision_is_written(postgres: Database) -> None:
    """Alerts, logs, runs and figures belong to the state that they were decided with."""
    async with replicas(postgres) as (first, second):
        await update(first, "backup", ran())
        await second.replicas.catch_up()
        await update(first, "backup", missed_once_more())

        await second.update_all(
            [
                Change("backup", opened()),
                Change("backup", logged("a message")),
                Change("backup", missed_once_more()),
                Change("backup", resolved()),
            ]
        )

        assert second.states["backup"].missed_total == 2
        assert len(await first.alerts()) == 1
        assert len(await first.logs("backup")) == 1
        assert postgres.psql("SELECT sum(missed) FROM unpunctual") == "2"


async def test_reports_to_several_replicas_are_numbered_without_a_gap(
    postgres: Database,
) -> None:
    async with replicas(postgres, 3) as stores:
        jobs = ["a", "b", "c", "d"]
        await asyncio.gather(
            *(
                store.update_all([Change(job, ran()) for job in order])
                for _ in range(8)
                for store, order in zip(
                    stores, (jobs, jobs[::-1], jobs[2:] + jobs[:2]), strict=True
                )
            )
        )
        await look_at_each_other(stores)

        for job in jobs:
            numbers = [run.number for run in await stores[0].runs(job, 100)]
            assert numbers == [*range(24, 0, -1)]
            assert {store.states[job].runs_total for store in stores} == {24}


async def test_a_commit_whose_outcome_is_unknown_is_found_out(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats its report, which is recognised."""
    commit = Writer.commit

    async def cut(
        writer: Writer, connection: asyncpg.Connection, *args: Any
    ) -> set[int]:
        await commit(writer, connection, *args)
        connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    async with replicas(postgres) as (first, second):
        await update(first, "backup", reported("before"))
        monkeypatch.setattr(Writer, "commit", cut)
        with pytest.raises(StorageError, match=r"connection lost; nothing is known"):
            await update(first, "backup", reported("run-1"))
        monkeypatch.undo()

        repeated = await update(first, "backup", reported("run-1"))
        await look_at_each_other([first, second])

        assert repeated.duplicate
        assert first.states["backup"].runs_total == 2
        assert second.states["backup"].runs_total == 2


async def test_a_commit_of_unknown_outcome_appears_without_another_report(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Writer.commit

    async def cut(
        writer: Writer, connection: asyncpg.Connection, *args: Any
    ) -> set[int]:
        await commit(writer, connection, *args)
        raise TimeoutError

    async with replicas(postgres, 1) as (store,):
        monkeypatch.setattr(Writer, "commit", cut)
        with pytest.raises(StorageError, match="no answer in time"):
            await update(store, "backup", ran())
        monkeypatch.undo()
        # Another number is used from now on, so the old one is followed.
        await update(store, "other", ran())

        await store.replicas.look()

        assert store.states["backup"].runs_total == 1


async def test_connections_that_the_server_ends_are_replaced(
    postgres: Database,
) -> None:
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
        postgres.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'afterrun'"
        )

        runs = await store.runs("backup", 1)
        await store.replicas.catch_up()
        await store.replicas.look()
        # Whether the driver has noticed by now is a matter of speed.
        try:
            await update(store, "backup", ran())
        except StorageError:
            await update(store, "backup", ran())

        assert len(runs) == 1
        assert store.states["backup"].runs_total == 2
        assert store.replicas.outdated() == ""


async def test_a_writer_that_was_removed_takes_a_new_number(
    postgres: Database,
) -> None:
    """A replica that stood still for long is forgotten by the others."""
    async with replicas(postgres) as (first, second):
        await update(first, "backup", ran())
        postgres.psql("DELETE FROM writers")

        await update(first, "backup", ran())
        await look_at_each_other([first, second])

        assert second.states["backup"].runs_total == 2


async def test_a_writer_whose_stamps_are_used_up_takes_a_new_number(
    postgres: Database,
) -> None:
    """After four billion commits on one connection."""
    async with replicas(postgres) as (first, second):
        await update(first, "backup", ran())
        first._writer._commits = MOST_COMMITS - 1

        await update(first, "backup", ran())
        await second.replicas.look()
        await update(first, "backup", ran())
        await second.replicas.look()

        assert second.states["backup"].runs_total == 3
        stamp = int(postgres.psql("SELECT stamp FROM jobs"))
        assert divmod(stamp, MOST_COMMITS + 1) == (3, 1)


async def test_changes_in_flight_are_read_again(postgres: Database) -> None:
    """A state from another replica does not slip below a decision that is being made."""
    async with replicas(postgres) as (first, second):
        await update(first, "backup", ran())
        await second.replicas.catch_up()
        await update(first, "backup", ran())
        looks: list[asyncio.Task[None]] = []

        def decide(state: JobState | None) -> Transition:
            looks.append(asyncio.create_task(second.replicas.catch_up()))
            return ran()(state)

        await update(second, "backup", decide)
        await asyncio.gather(*looks)
        await look_at_each_other([first, second])

        assert stored(first) == stored(second)
        assert first.states["backup"].runs_total == 3


async def test_all_stamps_are_compared_after_a_reconnection(
    postgres: Database,
) -> None:
    """A server that was replaced may lack commits: its states are the truth."""
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
        text = postgres.psql("SELECT stamp, state FROM jobs")
        await update(store, "backup", ran())
        stamp, _, state = text.partition("|")
        # As a standby that had not received the last commit.
        postgres.psql(f"UPDATE jobs SET stamp = {stamp}, state = '{state}'")  # noqa: S608
        postgres.psql("DELETE FROM runs WHERE number = 2")

        store._connections.poller.drop()
        await store.replicas.look()

        assert store.states["backup"].runs_total == 1


@pytest.mark.parametrize("text", ["it broke", "a\0b", "\x10\0", "x" * 100_000])
async def test_notifications_reach_the_other_replicas_with_their_jobs(
    postgres: Database, text: str
) -> None:
    """And what the leader has delivered, when another one takes over."""

    def announced(job: str, event: AlertOpened) -> AlertNotification:
        return AlertNotification(
            labels=json.dumps({"job": job, "text": text}),
            job=job,
            key=event.key,
            summary=event.summary,
            opened_at=event.alert.opened_at,
        )

    async with replicas(postgres) as (first, second):
        for store in (first, second):
            store.outbox.record(announced)
        await update(first, "backup", opened(summary=text))
        await second.replicas.catch_up()
        (labels,) = second.outbox.notices

        await update(second, "backup", resolved())
        await first.replicas.catch_up()
        delivered = DeliveryState(T0, Stage.RESOLVED, T0, T0)
        await first.outbox.note("one", {labels: delivered}, lambda _: False)
        await first.replicas.leave()
        second.replicas._beat_at = -1e9
        await second.replicas.look()

        assert first.outbox.notices == second.outbox.notices
        assert second.outbox.notices[labels].summary == text
        assert second.outbox.notices[labels].resolved_at == T0 + 60
        assert second.outbox.delivery(labels, "one") == delivered
        await second.outbox.note("one", {labels: delivered}, lambda _: True)
        async with replicas(postgres, 1) as (third,):
            assert not third.outbox.notices


async def test_notifications_of_lost_decisions_are_those_of_the_winner(
    postgres: Database,
) -> None:
    def announced(job: str, event: AlertOpened) -> AlertNotification:
        return AlertNotification(
            labels=json.dumps({"job": job}),
            job=job,
            key=event.key,
            summary=event.summary,
            opened_at=event.alert.opened_at,
        )

    async with replicas(postgres) as (first, second):
        for store in (first, second):
            store.outbox.record(announced)
        await update(first, "backup", opened(summary="the first"))

        await update(second, "backup", known_open("the second"))

        assert second.replicas.conflicts == 1
        assert [one.summary for one in second.outbox.notices.values()] == ["the first"]


async def test_an_alert_that_another_replica_resolved_is_not_opened_again(
    postgres: Database,
) -> None:
    """With the labels of a new configuration, before the leader has heard of its end."""

    def with_team(team: str, at: float = T0) -> AlertNotification:
        labels = json.dumps({"job": "backup", "team": team})
        return AlertNotification(labels=labels, job="backup", key=FAILING, opened_at=at)

    async with replicas(postgres) as (first, second):
        for store in (first, second):
            store.outbox.record(
                lambda _job, event: with_team("a", event.alert.opened_at)
            )
        await update(first, "backup", opened())
        await second.replicas.look()
        await update(second, "backup", resolved())

        overtaken = await first.outbox.reconcile(
            ["backup"], lambda _: [with_team("b")], lambda: T0 + 90
        )

        assert overtaken == {"backup"}
        assert first.outbox.notices.keys() == {with_team("a").labels}
        await first.replicas.look()
        assert not await first.outbox.reconcile(
            ["backup"], lambda _: [], lambda: T0 + 90
        )
        async with replicas(postgres, 1) as (third,):
            (notice,) = third.outbox.notices.values()
            assert notice == first.outbox.notices[notice.labels]
            assert notice.resolved_at == T0 + 60


def known_open(summary: str) -> Decide:
    """A condition becomes true, unless it is."""

    def decide(state: JobState | None) -> Transition:
        if state is not None and state.alerts:
            return Transition(state=state)
        return opened(summary=summary)(state)

    return decide
