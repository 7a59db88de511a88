"""Reports are made one at a time."""

from __future__ import annotations

import asyncio

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.daily_figures import PeriodFigures
from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.core.reports import Period
from afterrun_exporter.engine.reports import report
from afterrun_exporter.engine.service import Service
from tests.core.jobs import BACKUP, at
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config


class SlowStore(MemoryStore):
    """A store that counts the reads of figures under way."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.most = 0

    async def figures(self, first: int, last: int) -> PeriodFigures:
        self.reads += 1
        self.most = max(self.most, self.reads)
        await yield_to_loop()
        self.reads -= 1
        return await super().figures(first, last)


async def test_many_requested_at_once_take_the_memory_of_one() -> None:
    store = SlowStore()
    service = Service(store, ManualClock(at("21 12:00")), job_config(BACKUP))
    await service.start()
    day = Period(20_778, 20_778)

    made = await asyncio.gather(
        *(report(service, JobQuery(), day, 9) for _ in range(5))
    )

    assert [one.total.jobs for one in made] == [1] * 5
    assert store.most == 1
