"""Signs of life: one replica leads, and downtimes are those of all replicas together."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from afterrun_exporter.clock import stopwatch
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres import beat, commits, replica
from afterrun_exporter.storage.postgres.beat import Pulse
from afterrun_exporter.storage.postgres.clock_offset import LEADING
from afterrun_exporter.storage.postgres.replica import STUCK
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import update
from tests.copies import replace
from tests.postgres import Database
from tests.storage.decisions import T0, ran
from tests.storage.postgres.stores import LoneClock, RecordingFollower, replicas


async def test_the_first_replica_leads_and_another_takes_over(
    postgres: Database,
) -> None:
    """When the leader stops, at once; when it stands still, after its lease."""
    async with replicas(postgres, 3) as stores:
        first, second, third = (store.replicas for store in stores)
        assert [one.is_leader for one in (first, second, third)] == [True, False, False]

        await first.leave()
        second._beat_at = third._beat_at = -1e9
        await second.look()
        await third.look()

        assert [one.is_leader for one in (first, second, third)] == [False, True, False]
        # It stands still meanwhile.
        postgres.psql("UPDATE leader SET until = until - interval '1 hour'")
        third._beat_at = -1e9
        await third.look()
        second._beat_at = -1e9
        await second.look()

        assert (second.is_leader, third.is_leader) == (False, True)
        assert postgres.psql("SELECT term FROM leader") == "3"


async def test_a_lease_of_a_clock_that_was_ahead_does_not_last(
    postgres: Database,
) -> None:
    """The clock of the database may be corrected, or that of a standby is behind."""
    async with replicas(postgres, 2) as stores:
        first, second = (store.replicas for store in stores)
        postgres.psql("UPDATE leader SET until = until + interval '1 hour'")
        first._lead_until = -1e9

        second._beat_at = -1e9
        await second.look()

        assert (first.is_leader, second.is_leader) == (False, True)


async def test_the_log_has_the_begin_and_end_of_the_lead(postgres: Database) -> None:
    async with replicas(postgres, 1) as (store,):
        with capture_logs() as logs:
            for offset in (10.0, 10.0, 0.0, 0.0):
                clock_of(store).off = offset
                lease = Pulse(0.0, is_known=True, is_leader=True, last_downtime=None)
                await store.replicas._note_lease(lease, 0.0)

        assert [one["event"] for one in logs] == ["leading_ended", "leading"]


async def test_a_leader_that_stood_still_knows_that_its_lease_is_over(
    postgres: Database,
) -> None:
    """Without asking the database: another one may lead by now."""
    async with replicas(postgres, 1) as (store,):
        assert store.replicas.is_leader

        clock_of(store).ahead = beat.LEASE

        assert not store.replicas.is_leader


async def test_states_are_out_of_date_if_the_database_was_not_read_for_long(
    postgres: Database,
) -> None:
    async with replicas(postgres, 1) as (store,):
        assert store.replicas.outdated() == ""
        clock_of(store).ahead = replica.FRESH

        assert re.match(
            r"the database was last read \d+ s ago", store.replicas.outdated()
        )
        clock_of(store).ahead = 0.0
        await store.replicas.look()
        assert store.replicas.outdated() == ""


@pytest.mark.parametrize(
    ("ahead", "problem"),
    [
        (4.0, ""),
        (-4.0, ""),
        (30.0, "the clock of this machine is 30 s ahead of that of the database"),
        (-30.0, "the clock of this machine is 30 s behind that of the database"),
    ],
)
async def test_a_wrong_clock_does_not_lead_and_a_very_wrong_one_does_not_serve(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, ahead: float, problem: str
) -> None:
    ask = beat.beat

    async def at_once(*args: Any, **named: Any) -> beat.Pulse:
        return replace(await ask(*args, **named), now=T0)

    async with replicas(postgres, 1) as (store,):
        # Clocks that stand still: the time of an answer is part of a difference.
        monkeypatch.setattr(beat, "beat", at_once)
        monkeypatch.setattr(LoneClock, "now", lambda _: T0 + ahead)
        monkeypatch.setattr(LoneClock, "elapsed", lambda _: 0.0)
        store.replicas._beat_at = -1e9
        await store.replicas.look()

        assert not store.replicas.is_leader
        assert store.replicas.clock_offset == pytest.approx(ahead)
        assert store.replicas.outdated() == problem


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (0.5, ""),
        (-0.5, ""),
        (3.0, ""),
        (-3.0, ""),
        (8.0, "the clock of this machine is 8 s ahead of that of the database"),
        (3600.0, "the clock of this machine is 3600 s ahead of that of the database"),
        (-3600.0, "the clock of this machine is 3600 s behind that of the database"),
    ],
)
async def test_a_clock_that_is_set_is_noticed_before_the_next_sign_of_life(
    postgres: Database, step: float, problem: str
) -> None:
    """Seen: a leader led, and a replica served, for up to a second after a look."""
    may_lead = abs(step) < LEADING
    async with replicas(postgres, 1) as (store,):
        assert store.replicas.is_leader
        clock_of(store).off = step
        store.replicas._beat_at = 1e9

        assert store.replicas.is_leader == may_lead
        await store.replicas.look()

        assert store.replicas.is_leader == may_lead
        assert store.replicas.outdated() == problem
        clock_of(store).off = 0.0
        await store.replicas.look()
        assert store.replicas.is_leader
        assert store.replicas.outdated() == ""


async def test_a_slow_answer_of_the_database_is_no_wrong_clock(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(postgres, 1) as (store,):
        ask = beat.beat

        async def slowly(*args: Any, **named: Any) -> beat.Pulse:
            pulse = await ask(*args, **named)
            clock_of(store).off = 1.9
            return pulse

        monkeypatch.setattr(beat, "beat", slowly)
        clock_of(store).off = -1.9
        store.replicas._beat_at = -1e9
        await store.replicas.look()

        assert store.replicas.clock_offset == pytest.approx(0, abs=0.5)
        assert store.replicas.outdated() == ""


async def test_a_downtime_is_one_of_all_replicas(postgres: Database) -> None:
    """The first one that is back records it, and all learn of it before they serve."""
    async with replicas(postgres) as stores:
        first, second = (store.replicas for store in stores)
        followers = RecordingFollower(), RecordingFollower()
        first.follow(followers[0])
        second.follow(followers[1])
        before = first.last_downtime
        seconds = beat.DOWN + 50
        since = postgres.psql(
            f"UPDATE service SET alive_at = alive_at - {seconds} RETURNING alive_at"  # noqa: S608
        )
        first._beat_at = second._beat_at = -1e9

        began = now_of(postgres)
        await first.look()
        ended = now_of(postgres)
        await second.look()

        assert before is None
        (downtime,) = followers[0].downtimes
        assert followers[1].downtimes == [downtime]
        assert first.last_downtime == second.last_downtime == downtime
        assert downtime.since == pytest.approx(float(since), abs=0.01)
        assert began <= downtime.until <= ended
        async with replicas(postgres, 1) as (third,):
            assert third.replicas.last_downtime == downtime


async def test_the_restart_of_one_replica_is_no_downtime(postgres: Database) -> None:
    async with replicas(postgres):
        async with replicas(postgres, 1):
            pass
        async with replicas(postgres, 1) as (store,):
            assert store.replicas.last_downtime is None


async def test_replicas_agree_once_all_have_announced_one_configuration(
    postgres: Database,
) -> None:
    async with replicas(postgres) as stores:
        first, second = (store.replicas for store in stores)
        agreements = [first.agree()]
        for one, config in ((first, "a"), (second, "b"), (second, "a")):
            one.announce(config)
            await one.look()
            await first.look()
            agreements.append(first.agree())

        # The second one is still starting at the time of the first announcement.
        assert agreements == [False, True, False, True]
        assert first.count == 2
        await second.leave()
        await first.look()
        assert first.count == 1


async def test_old_changes_and_writers_are_deleted(postgres: Database) -> None:
    async with replicas(postgres, 1) as (store,):
        await update(store, "backup", ran())
        postgres.psql("UPDATE feed SET at = at - interval '1 hour'")
        postgres.psql(
            "INSERT INTO writers VALUES (99, 'x', '', now() - interval '1 h')"
        )

        await store._upkeep()

        assert postgres.psql("SELECT count(*) FROM feed") == "0"
        assert postgres.psql("SELECT count(*) FROM writers") == "1"
        assert store.size() > 1_000_000


async def test_a_table_that_is_locked_for_long_is_a_downtime(
    postgres: Database,
) -> None:
    """The database answers, but nothing can be recorded: overdue runs are not missed."""
    async with replicas(postgres) as stores:
        first, second = (store.replicas for store in stores)
        for store in stores:
            # Only commits wait for the lock: both know the job.
            await update(store, "backup", ran())
        for store in stores:
            await store.replicas.look()
        follower = RecordingFollower()
        second.follow(follower)
        maintenance = await asyncpg.connect(postgres.url)
        with pytest.MonkeyPatch.context() as impatient:
            async with maintenance.transaction():
                await maintenance.execute("LOCK TABLE jobs")
                impatient.setattr(commits, "SHORT", 0.5)
                for store in stores:
                    with pytest.raises(StorageError):
                        await update(store, "backup", ran())
                    store._writer.failing_since = stopwatch() - STUCK
                    store.replicas._beat_at = -1e9
                    await store.replicas.look()
                    assert "nothing could be recorded for " in store.replicas.outdated()
                    with pytest.raises(StorageError):
                        await store.probe()
                assert not first.is_leader
                postgres.psql(f"UPDATE service SET alive_at = alive_at - {beat.DOWN}")  # noqa: S608
                before = postgres.psql("SELECT alive_at FROM service")
                second._beat_at = -1e9
                await second.look()
                assert postgres.psql("SELECT alive_at FROM service") == before
        await maintenance.close()

        assert second.outdated()
        second._beat_at = -1e9
        await second.look()

        assert len(follower.downtimes) == 1
        assert second.outdated() == ""
        await update(stores[1], "backup", ran())


async def test_no_number_of_a_writer_is_used_twice_after_a_failover(
    postgres: Database,
) -> None:
    """A standby may lack the last numbers, and stamps with them are in memory."""
    async with replicas(postgres) as (first, second):
        await update(second, "backup", ran())
        await first.replicas.look()
        postgres.psql("UPDATE counters SET value = 0")
        postgres.psql("DELETE FROM writers")
        first._connections.writer.drop()
        second._connections.writer.drop()

        await update(first, "report", ran())
        await update(second, "import", ran())

        stamps = first.replicas._commits.stamps | second.replicas._commits.stamps
        numbers = [stamps[job] >> 32 for job in ("backup", "report", "import")]
        assert numbers == [2, 3, 4]


def now_of(database: Database) -> float:
    """Return the time of a database."""
    return float(database.psql("SELECT extract(epoch FROM clock_timestamp())"))


def clock_of(store: PostgresStore) -> LoneClock:
    clock = store.replicas._clock
    assert isinstance(clock, LoneClock)
    return clock
