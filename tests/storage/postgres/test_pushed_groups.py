"""Groups of pushed metrics are consistent, whichever replicas change them."""

from __future__ import annotations

from afterrun_exporter.core.pushed_metrics import Family, Group
from tests.postgres import Database
from tests.storage.postgres.stores import replicas

EMPTY = Group(labels=(("job", "etl"),), job="etl")


def group(*families: str) -> Group:
    return Group(
        labels=EMPTY.labels,
        job=EMPTY.job,
        families={name: Family("gauge", "", {name: "1"}) for name in families},
    )


async def test_a_change_of_groups_that_another_replica_changed_has_no_effect(
    postgres: Database,
) -> None:
    """It is made again, on the groups as they are now: so no family is lost."""
    async with replicas(postgres) as (one, other):
        assert await one.pushed() == await other.pushed() == []

        assert await one.save_pushed(group("rows"))
        assert not await other.save_pushed(group("bytes"))
        assert not await other.save_pushed(group("bytes"))
        assert await other.pushed() == [group("rows")]
        assert await other.save_pushed(group("rows", "bytes"))
        assert await one.pushed() == [group("rows", "bytes")]


async def test_a_replica_goes_on_after_its_own_changes(postgres: Database) -> None:
    async with replicas(postgres) as (one, other):
        await one.pushed()
        for families in (["rows"], ["rows", "bytes"]):
            assert await one.save_pushed(group(*families))
        await one.drop_pushed(EMPTY.labels)
        await one.drop_pushed(EMPTY.labels)
        assert await one.save_pushed(group("rows"))

        await other.drop_pushed(EMPTY.labels)
        assert not await one.save_pushed(group("bytes"))
        assert await one.pushed() == []


async def test_changes_reach_the_other_replica(postgres: Database) -> None:
    async with replicas(postgres) as (one, other):
        topics = await revisions(postgres)
        await one.pushed()
        await one.save_pushed(group("rows"))
        await other.drop_pushed((("job", "unknown"),))

        assert await revisions(postgres) == topics + 1


async def revisions(database: Database) -> int:
    return int(database.psql("SELECT number FROM revisions WHERE topic = 'pushed'"))
