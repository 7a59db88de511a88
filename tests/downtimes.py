"""Jobs that were due while the daemon was down, as several tests need them."""

from __future__ import annotations

from typing import Any, Final

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store
from tests.copies import replace
from tests.core.jobs import BACKUP, at
from tests.fakes import ManualClock
from tests.services import job_config

NIGHTLY: Final = replace(BACKUP, rules=())


def job(name: str, **more: Any) -> Job:
    """Return a job that is due each night at 02:00, until 02:30."""
    return replace(NIGHTLY, name=name, **more)


async def restarted(service: Service, clock: ManualClock, when: str) -> Service:
    """Return the service as a daemon goes on with its store that starts *when*."""
    clock.show(at(when))
    again = Service(service.store, clock, service.job_config)
    await again.start()
    return again


async def later(service: Service, clock: ManualClock, when: str) -> None:
    """Let the sweeper check the jobs *when*."""
    clock.show(at(when))
    await service.sweep()


async def after_downtime(store: Store, clock: ManualClock) -> Service:
    """Return a service of three jobs, two of which were due twice in a downtime."""
    weekly = job("weekly", schedule=parse_cron("0 2 * * 6", "UTC"))
    service = Service(store, clock, job_config(NIGHTLY, job("report"), weekly))
    await service.start()
    service = await restarted(service, clock, "23 03:00")
    await later(service, clock, "23 03:02:01")
    return service
