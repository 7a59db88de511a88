"""Lookup of jobs by UUID, for Healthchecks' clients."""

from __future__ import annotations

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.dialects.healthchecks.checks import derived_uuid
from afterrun_exporter.engine.service import Service


class UuidIndex:
    """Jobs by their `ping_uuid`, by a name that is a UUID, or by a derived UUID."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: Job names by derived UUID, for the first `_indexed` jobs.
        self._by_derived_uuid: dict[str, str] = {}
        self._indexed = 0

    async def job(self, uuid: str) -> str | None:
        """Return the name of the job with this *uuid*; None if there is none."""
        if (named := await self._find(uuid)) is None:
            await self._service.catch_up()
            named = await self._find(uuid)
        return named

    async def _find(self, uuid: str) -> str | None:
        service = self._service
        if (named := service.named_by(uuid)) is not None:
            return named
        if service.job(uuid) is not None:
            return uuid
        await self._index_new_jobs()
        named = self._by_derived_uuid.get(uuid)
        job = service.job(named) if named is not None else None
        # A job with its own UUID is not reachable by the derived one.
        return None if job is None or job.ping_uuid else named

    async def _index_new_jobs(self) -> None:
        # New names are at the end.
        if self._service.job_count == self._indexed:
            return
        at = self._indexed
        new = self._service.all_names(skip=at)
        async for name in cooperatively(new):
            self._by_derived_uuid[derived_uuid(name)] = name
        # A concurrent call may have indexed them in the meantime.
        self._indexed = max(self._indexed, at + len(new))
