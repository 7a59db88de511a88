"""Pushed metrics that are exposed under their original names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from afterrun_exporter.clock import Clock, cooperatively
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.pushed_metrics import (
    Family,
    Group,
    Groups,
    Labels,
    after_push,
    after_refusal,
    labels_of,
)
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import PingError, StorageError
from afterrun_exporter.storage.store import Store

log = structlog.get_logger()


class PushedMetrics:
    """The groups of the jobs with `export_as: original`, on disk and in memory.

    Only stored groups are exposed. Changes are made one at a time, because a push must
    be consistent with all earlier ones.
    """

    def __init__(self, store: Store, service: Service, clock: Clock) -> None:
        self._store = store
        self._service = service
        self._clock = clock
        self._groups = Groups()
        #: False if the stored groups must be read, again or for the first time.
        self._is_loaded = False
        self._lock = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        service.pushed_changed = self._read_soon

    async def refresh(self) -> None:
        """Expose the groups of the current jobs, and remove those of others.

        The first call loads the stored groups. Only the leader removes any, and not while
        the configurations of replicas differ. Raises StorageError.
        """
        async with self._lock:
            await self._read()
            if not (self._service.leads and self._service.agrees):
                return
            for group in list(self._groups):
                if not self.is_exposed(group.job):
                    await self._drop(group.labels)

    def _read_soon(self) -> None:
        """Read the groups that another replica has changed."""
        self._is_loaded = False
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        try:
            async with self._lock:
                self._reading = None
                await self._read()
        except StorageError as error:
            # The next push or change reads them.
            log.error("pushed_metrics_not_read", error=str(error))  # noqa: TRY400

    async def _read(self) -> None:
        if not self._is_loaded:
            self._is_loaded = True
            try:
                self._groups = Groups(await self._store.pushed())
            except BaseException:
                self._is_loaded = False
                raise

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Change groups inside, with those of other replicas known; one at a time."""
        await self._service.catch_up()
        async with self._lock:
            await self._read()
            yield

    def is_exposed(self, job: str) -> bool:
        """Return True if the pushed metrics of *job* are exposed.

        This includes a job that its first push will register.
        """
        described = self.job(job)
        return described is not None and described.exposes_pushes

    def job(self, name: str) -> Job | None:
        """Return the job *name*, including one that its first push will register."""
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
        """Change a group durably; see `after_push`.

        Raises PingError for families that conflict with exposed ones, and StorageError;
        then the group is unchanged.
        """
        is_saved = False
        while not is_saved:
            async with self._changing():
                before, now = self._group(job, labels), self._clock.now()
                group = after_push(before, families, now, replacing=replacing)
                await self._check(group)
                is_saved = await self._save(group)

    async def refused(self, job: str, labels: Mapping[str, str]) -> None:
        """Record the failure of a push to a group, if the limit allows it.

        Raises StorageError.
        """
        is_done = False
        while not is_done:
            async with self._changing():
                group = after_refusal(self._group(job, labels), self._clock.now())
                is_possible = self._fits(group) and not self._groups.conflict(group)
                is_done = not is_possible or await self._save(group)

    async def delete(self, labels: Mapping[str, str]) -> None:
        """Remove a group, if there is one.

        Raises StorageError, without changes.
        """
        async with self._changing():
            await self._drop(labels_of(labels))

    def page(self) -> bytes:
        """Return all groups in the text format."""
        return self._groups.page()

    @property
    def _limit(self) -> int:
        return self._service.job_config.pushed_bytes

    def _group(self, job: str, labels: Mapping[str, str]) -> Group:
        labels_of_group = labels_of(labels)
        return self._groups.get(labels_of_group) or Group(
            labels=labels_of_group, job=job
        )

    def _fits(self, group: Group) -> bool:
        before = self._groups.get(group.labels)
        more = group.size - (before.size if before else 0)
        return more <= 0 or self._groups.size + more <= self._limit

    async def _check(self, group: Group) -> None:
        """Raise PingError if *group* conflicts with others, or is too large."""
        async for problem in cooperatively(self._groups.conflicts(group)):
            if problem:
                raise PingError(
                    "pushed metrics are invalid or inconsistent with existing "
                    f"metrics: {problem}"
                )
        if not self._fits(group):
            raise PingError(
                f"all pushed groups would exceed limits.pushed_bytes ({self._limit} "
                "bytes): delete some, or raise the limit"
            )

    async def _save(self, group: Group) -> bool:
        """Store *group*; return False if another replica has changed some meanwhile."""
        self._is_loaded = await self._store.save_pushed(group)
        if self._is_loaded:
            self._groups.put(group)
        return self._is_loaded

    async def _drop(self, labels: Labels) -> None:
        if self._groups.get(labels) is not None:
            await self._store.drop_pushed(labels)
            self._groups.drop(labels)
