"""Work of the whole service that one of its replicas does: the leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.engine.service import Service

#: Seconds between two looks at who leads.
LOOK_EVERY: Final = 1.0


class LeaderWork:
    """Work that is done again when this replica becomes the leader.

    Also when it is requested, and when replicas with different configurations agree
    again. Before that, the work may have been done by an older configuration.
    """

    def __init__(self, service: Service, work: Callable[[], Awaitable[object]]) -> None:
        self._service = service
        self._work = work
        #: True if all replicas agreed when the work was done; None while it is pending.
        self._state: bool | None = None

    def request(self) -> None:
        """Do the work at the next look."""
        self._state = None

    async def now(self) -> None:
        """Do the work now if this replica leads, and otherwise when it does."""
        self.request()
        await self.look()

    async def look(self) -> None:
        """Do the work if it is pending and this replica leads."""
        if not self._service.leads:
            self._state = None
        elif self._state is not (agrees := self._service.agrees):
            self._state = agrees
            await self._work()

    def task(self) -> PeriodicTask:
        """Return the task that looks."""
        return PeriodicTask(name="leader", work=self.look, every=LOOK_EVERY)


def leader_works(
    service: Service, *works: Callable[[], Awaitable[object]]
) -> tuple[LeaderWork, ...]:
    """Return each of *works* as work of the leader."""
    return tuple(LeaderWork(service, work) for work in works)
