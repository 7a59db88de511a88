"""A failover to a standby: nothing that was acknowledged is lost or counted twice."""

from __future__ import annotations

import pytest

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import Change
from tests.postgres import running_server
from tests.storage.decisions import ran
from tests.storage.postgres.stores import LoneClock, stored
from tests.storage.postgres.test_interleavings import change

pytestmark = pytest.mark.thorough


async def test_reports_go_on_at_a_promoted_standby() -> None:
    with running_server() as primary:
        database = primary.new_database()
        standby = primary.standby(is_synchronous=True)
        url = database.url_of(primary, standby)
        async with (
            PostgresStore.open(url, clock=LoneClock()) as first,
            PostgresStore.open(url, clock=LoneClock()) as second,
        ):
            sent = [[change("", f"job-{n % 5}", n)] for n in range(60)]
            for number, changes in enumerate(sent):
                if number == 30:
                    primary.kill()
                    standby.promote()
                await delivered(first if number % 2 else second, changes)

            # It was repeated until it was recorded.
            for store in (first, second):
                await store.replicas.look()
            assert stored(first) == stored(second)
            totals = [one.runs_total for one in first.states.values()]
            assert totals == [12] * 5
            for name in first.states:
                numbers = [run.number for run in await second.runs(name, 99)]
                assert numbers == [*range(12, 0, -1)]
            assert first.replicas.is_leader or second.replicas.is_leader


async def test_states_follow_an_asynchronous_standby_that_lacks_commits() -> None:
    """They may step back, but are the same in all replicas and in the database."""
    with running_server() as primary:
        database = primary.new_database()
        standby = primary.standby(is_synchronous=False)
        url = database.url_of(primary, standby)
        async with (
            PostgresStore.open(url, clock=LoneClock()) as first,
            PostgresStore.open(url, clock=LoneClock()) as second,
        ):
            await first.update_all([Change("backup", ran())])
            # It receives nothing from now on.
            standby.freeze()
            await first.update_all([Change("backup", ran()), Change("new", ran())])
            await second.replicas.look()
            primary.kill()
            standby.thaw()
            standby.promote()

            for store in (first, second):
                await looked(store)

            assert stored(first) == stored(second)
            async with PostgresStore.open(url, clock=LoneClock()) as third:
                assert stored(third) == stored(first)


async def delivered(store: PostgresStore, changes: list[Change]) -> None:
    """Report *changes* until they are recorded, as a client does."""
    while True:
        try:
            await store.update_all(changes)
        except StorageError:
            await yield_to_loop()
        else:
            return


async def looked(store: PostgresStore) -> None:
    """Look at the changes of others until that succeeds."""
    while True:
        try:
            await store.replicas.look()
        except Exception:  # noqa: BLE001 - the standby is being promoted
            await yield_to_loop()
        else:
            return
