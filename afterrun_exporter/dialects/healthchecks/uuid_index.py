"""Jobs by a UUID, as Healthchecks' clients name them."""

from __future__ import annotations

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.dialects.healthchecks.checks import made_of
from afterrun_exporter.engine.service import Service


class UuidIndex:
    """Which job a UUID names: by its `ping_uuid`, its name, or one made of its name."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: Names by the UUIDs that are made of them, of as many jobs as were looked at.
        self._made: dict[str, str] = {}
        self._seen = 0

    async def job(self, uuid: str) -> str | None:
        """Return the job that *uuid* names, None where it names none."""
        service = self._service
        if (named := service.named_by(uuid)) is not None:
            return named
        if service.job(uuid) is not None:
            return uuid
        await self._look_at_new_ones()
        named = self._made.get(uuid)
        job = service.job(named) if named is not None else None
        # One that has a UUID of its own is named by that alone.
        return None if job is None or job.ping_uuid else named

    async def _look_at_new_ones(self) -> None:
        # Of all there have been: new ones come last.
        if self._service.job_count == self._seen:
            return
        at = self._seen
        new = self._service.all_names(skip=at)
        async for name in cooperatively(new):
            self._made[made_of(name)] = name
        # Somebody else may have looked at them meanwhile.
        self._seen = max(self._seen, at + len(new))
