"""What is exposed again under its own names: every store keeps it alike."""

from __future__ import annotations

from afterrun_exporter.core.pushed_metrics import Family, Group, after_push
from afterrun_exporter.storage.store import Store

ROWS = Family("gauge", 'Rows "ä".\n', {'rows{instance="",job="etl",x="\\n"}': "1.0"})
ETL = after_push(
    Group(labels=(("job", "etl"), ("region", "eu")), job="etl:eu"),
    {"rows": ROWS},
    5.0,
    replacing=True,
)
SYNC = Group(labels=(("job", "sync"),), job="sync")


async def test_a_group_is_kept_as_it_was_last_saved(store: Store) -> None:
    later = after_push(ETL, {}, 6.0, replacing=True)
    await store.pushed()
    assert await store.save_pushed(ETL)
    assert await store.save_pushed(SYNC)
    assert await store.save_pushed(later)

    assert await store.pushed() == [later, SYNC]


async def test_a_group_is_dropped_and_its_like_stay(store: Store) -> None:
    await store.pushed()
    await store.save_pushed(ETL)
    await store.save_pushed(SYNC)

    await store.drop_pushed(ETL.labels)
    await store.drop_pushed(ETL.labels)

    assert await store.pushed() == [SYNC]
