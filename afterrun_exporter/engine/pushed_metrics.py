"""What jobs push and want to see again under its own names: kept, and exposed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.pushed import (
    Family,
    Group,
    Groups,
    Labels,
    after_push,
    after_refusal,
    labels_of,
)
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError
from afterrun_exporter.storage.store import Store


class PushedMetrics:
    """The groups of the jobs with `export_as: original`, on disk and in memory.

    What is on the disk is what is exposed. One change at a time: whether a push
    fits depends on all that came before it.
    """

    def __init__(self, store: Store, service: Service, clock: Clock) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._groups = Groups()
        self._is_loaded = False
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self) -> None:
        """Expose the groups of today's jobs, and remove those of others.

        The first time the stored groups are loaded. Raises StorageError.
        """
        async with self._one_at_a_time:
            if not self._is_loaded:
                self._groups = Groups(await self._store.pushed())
                self._is_loaded = True
            for group in list(self._groups):
                if not self.wanted(group.job):
                    await self._drop(group.labels)

    def wanted(self, job: str) -> bool:
        """Return whether what *job* pushes is to be exposed again.

        Also of one that its first push will register.
        """
        known = self.job(job)
        return known is not None and known.exposes_pushes

    def job(self, name: str) -> Job | None:
        """Return the job *name*, also one that its first push will register."""
        job_registry = self._service.decisions.job_registry
        return self._service.job(name) or job_registry.auto_registered((name,)).get(
            name
        )

    async def push(
        self,
        job: str,
        labels: Mapping[str, str],
        families: Mapping[str, Family],
        *,
        replacing: bool,
    ) -> None:
        """Change a group; see `after_push`. When this returns, it is on the disk.

        Raises PingError for families that do not fit what is exposed, and
        StorageError: then the group is as it was.
        """
        async with self._one_at_a_time:
            before = self._group(job, labels)
            group = after_push(before, families, self._clock.now(), replacing=replacing)
            async for problem in cooperatively(self._groups.conflicts(group)):
                if problem:
                    raise PingError(
                        "pushed metrics are invalid or inconsistent with existing "
                        f"metrics: {problem}"
                    )
            if not self._fits(group):
                raise PingError(
                    f"there is no room for what is pushed: all groups may come to "
                    f"{self._limit} bytes; delete some, or raise limits.pushed_bytes"
                )
            await self._save(group)

    async def refused(self, job: str, labels: Mapping[str, str]) -> None:
        """Expose that a push to a group has been refused, if there is room for it.

        Raises StorageError.
        """
        async with self._one_at_a_time:
            group = after_refusal(self._group(job, labels), self._clock.now())
            if self._fits(group) and not self._groups.conflict(group):
                await self._save(group)

    async def delete(self, labels: Mapping[str, str]) -> None:
        """Forget a group, if there is one.

        Raises StorageError, and then it is still there.
        """
        async with self._one_at_a_time:
            await self._drop(labels_of(labels))

    def page(self) -> bytes:
        """Return all groups in the text format."""
        return self._groups.page()

    @property
    def _limit(self) -> int:
        return self._service.job_config.pushed_bytes

    def _group(self, job: str, labels: Mapping[str, str]) -> Group:
        named = labels_of(labels)
        return self._groups.get(named) or Group(labels=named, job=job)

    def _fits(self, group: Group) -> bool:
        before = self._groups.get(group.labels)
        more = group.size - (before.size if before else 0)
        return more <= 0 or self._groups.size + more <= self._limit

    async def _save(self, group: Group) -> None:
        await self._store.save_pushed(group)
        self._groups.put(group)

    async def _drop(self, labels: Labels) -> None:
        if self._groups.get(labels) is not None:
            await self._store.drop_pushed(labels)
            self._groups.drop(labels)
