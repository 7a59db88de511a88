"""The life of the service: started, reconfigured, and accompanied by periodic tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, Protocol, TypeVar

import structlog

from afterrun_exporter.clock import Clock
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.engine.periodic import PeriodicTask, running
from afterrun_exporter.engine.service import Service

#: Seconds between two sweeps: a miss is noticed within this time.
SWEEP_EVERY: Final = 1.0
#: Seconds between two looks at the clocks and at the files of the database.
WATCH_EVERY: Final = 1.0
#: Seconds until old runs are removed for the first time, and between two times. Not at
#: once: after a start everything is scraped, and spooled reports arrive.
PRUNE_AFTER: Final = 300.0
#: Seconds between updates of the figures of the last 24 hours.
COUNT_EVERY: Final = 30.0
PRUNE_EVERY: Final = 3600.0
#: Seconds between attempts to retire jobs that other replicas may still have.
RETIRE_EVERY: Final = 5.0

log = structlog.get_logger()


class Configured(Protocol):
    """A configuration of the daemon, of which the service knows the jobs."""

    @property
    def job_config(self) -> JobConfig:
        """The jobs, and the policy for unknown ones."""


C = TypeVar("C", bound=Configured)


class Runtime(Generic[C]):
    """The service and the parts of the daemon that follow the configuration.

    A start and a reload take the same steps: first the service, which may refuse a
    configuration, then each of *parts* in order, which may not.
    """

    def __init__(
        self, service: Service, parts: Sequence[Callable[[C], Awaitable[None]]] = ()
    ) -> None:
        self._service = service
        self._parts = parts

    @property
    def configured_jobs(self) -> AbstractSet[str]:
        """The names of the jobs in the configuration that is in use."""
        return self._service.job_config.jobs.keys()

    async def start(self, config: C) -> None:
        """Start the service, and configure all parts.

        Raises StorageError.
        """
        await self._service.start()
        await self._configure(config)

    async def reconfigure(self, config: C) -> None:
        """Use *config* from now on.

        Raises StorageError if it could not be recorded; the configuration before it
        stays in use then.
        """
        await self._service.reconfigure(config.job_config)
        await self._configure(config)

    def note_revision(self, revision: str) -> None:
        """Use *revision* for the same configuration from now on."""
        self._service.note_revision(revision)

    async def _configure(self, config: C) -> None:
        for part in self._parts:
            await part(config)


def service_tasks(service: Service) -> list[PeriodicTask]:
    """Return the periodic tasks by which *service* follows the clock."""

    async def sweep() -> None:
        try:
            await service.sweep()
        finally:
            for job, error in service.take_failed_jobs().items():
                log.error("evaluation_failed", job=job, exc_info=error)

    async def prune() -> None:
        if removed := await service.prune():
            log.info("pruned", runs=removed)

    async def retire() -> None:
        if retired := await service.retire_removed():
            log.info("jobs_retired", jobs=retired)

    return [
        PeriodicTask(name="retire", work=retire, every=RETIRE_EVERY),
        PeriodicTask(name="watch", work=service.watch, every=WATCH_EVERY),
        # Separate: a disk that hangs stops this task alone.
        PeriodicTask(name="check", work=service.check_storage, every=WATCH_EVERY),
        PeriodicTask(name="sweep", work=sweep, every=SWEEP_EVERY),
        PeriodicTask(
            name="count", work=service.count_recent_runs, every=COUNT_EVERY, first=1.0
        ),
        PeriodicTask(name="prune", work=prune, every=PRUNE_EVERY, first=PRUNE_AFTER),
    ]


def running_service(
    service: Service, clock: Clock
) -> AbstractAsyncContextManager[None]:
    """Run the periodic tasks of *service* until the context ends."""
    return running(*(task.run(clock) for task in service_tasks(service)))
