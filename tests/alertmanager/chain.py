"""A service whose alerts are posted, on a clock that is turned by hand."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from afterrun_exporter.alertmanager.notifier import AlertNotifier
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.routing import Alertmanager as Configured
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Store
from tests.alertmanager.alertmanagers import Alertmanager, Alertmanagers
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

A, B = "http://a:9093", "http://b:9093"
WARNING, CRITICAL = "backup warning", "backup critical"
DELAY = 150.0
#: What a group waits between two messages, and a bit.
LATE = 330.0
MIN_VISIBLE = 60.0


class Chain:
    """A service whose alerts are posted, on a clock that is turned by hand."""

    def __init__(self, store: Store | None = None, *jobs: Job) -> None:
        self.clock = ManualClock(at("21 12:00"))
        self.store = store or MemoryStore()
        self.alertmanagers = Alertmanagers(self.clock)
        self.configured = Configured(push_to=(A, B), resolve_delay=DELAY)
        self.jobs = jobs or (BACKUP,)
        self.reports = 0
        self._stack = AsyncExitStack()

    async def start(self) -> Chain:
        """Start as the daemon does."""
        self.service = Service(self.store, self.clock, job_config(*self.jobs))
        self.notifier = AlertNotifier(
            self.service,
            self.store.outbox,
            self.clock,
            self.alertmanagers.post,
            lambda longest: longest,
        )
        self.notifier.configure(self.configured)
        await self.service.start()
        await self.notifier.refresh()
        await self._stack.enter_async_context(self.notifier.running())
        await calm()
        return self

    async def stop(self) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def reload(self, *jobs: Job, **alertmanager: Any) -> None:
        """Reload as the daemon does."""
        self.configured = replace(self.configured, **alertmanager)
        self.jobs = jobs or self.jobs
        await self.service.reconfigure(job_config(*self.jobs))
        self.notifier.configure(self.configured)
        await self.notifier.refresh()
        await calm()

    async def report(self, outcome: Outcome, job: str = "backup") -> None:
        """Let a run end now."""
        self.reports += 1
        this = str(self.reports).encode()
        made = ping("21 12:00", job=job, outcome=outcome, fingerprint=this)
        await self.service.record(replace(made, at=self.clock.now()))
        await calm()

    async def fail(self, job: str = "backup") -> None:
        await self.report(Outcome.FAIL, job)

    async def succeed(self) -> None:
        await self.report(Outcome.OK)

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await self.clock.advance(seconds)
        await self.service.sweep()
        await calm()

    @property
    def a(self) -> Alertmanager:
        return self.alertmanagers[A]

    @property
    def b(self) -> Alertmanager:
        return self.alertmanagers[B]


async def calm() -> None:
    """Return when everybody has done what there was to do."""
    for _ in range(60):
        await yield_to_loop()
