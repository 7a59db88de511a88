"""Replicas for tests: stores of one database, which look at each other when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.state import JobState
from afterrun_exporter.storage.codec import decode_state, encode_state
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.replicas import ChangedJobs, Downtime
from tests.postgres import Database


class LoneClock(SystemClock):
    """A clock that shows the time, but wakes no task: tests do that themselves.

    Time can pass, and it can be wrong.
    """

    #: Seconds that have passed besides.
    ahead = 0.0
    #: Seconds by which it is wrong.
    off = 0.0

    def now(self) -> float:
        return super().now() + self.ahead + self.off

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002
        await asyncio.Event().wait()


@asynccontextmanager
async def replicas(
    database: Database, count: int = 2
) -> AsyncIterator[list[PostgresStore]]:
    """Open so many stores of *database*, which do not look at each other by themselves."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                PostgresStore.open(database.url, clock=LoneClock())
            )
            for _ in range(count)
        ]


class RecordingFollower:
    """Implements `Follower`: it remembers what it was told."""

    def __init__(self, windows: dict[str, int] | None = None) -> None:
        self.windows = windows or {}
        self.changed: list[ChangedJobs] = []
        self.completions: list[tuple[str, int, bytes]] = []
        self.downtimes: list[Downtime] = []
        self.topics: list[str] = []

    def last_run_known(self, job: str) -> int | None:
        return self.windows.get(job)

    def completed(self, job: str, state: JobState, runs: bytes) -> JobState:
        self.completions.append((job, state.recorded, runs))
        return state

    def jobs_changed(self, changed: ChangedJobs) -> None:
        self.changed.append(changed)

    def down(self, downtime: Downtime) -> None:
        self.downtimes.append(downtime)

    def receivers_changed(self) -> None:
        self.topics.append("receivers")

    def pushed_changed(self) -> None:
        self.topics.append("pushed")


def stored(store: PostgresStore) -> dict[str, str]:
    """Return the states of *store* as another replica reads them."""
    return {
        name: encode_state(decode_state(encode_state(state), b""))
        for name, state in store.states.items()
    }
