"""Listing, adding and removing receivers over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import response_models
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.request_models import NewReceiver, NoQuery
from afterrun_exporter.api.serializers import receiver_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownReceiverError


@dataclass(frozen=True, slots=True)
class ReceiversApi:
    """The handlers of receivers."""

    service: Service
    receivers: Receivers
    clock: Clock

    async def of_job(self, request: ApiRequest) -> response_models.JobReceivers:
        """List the receivers of a job."""
        name = request.job
        # A job that was removed from the configuration keeps its receivers.
        if not (matches := await self.receivers.of(name)):
            find_job(self.service, name)
        models = [receiver_of(one) for one in matches]
        return response_models.JobReceivers(job=name, receivers=models)

    async def every(self, _: ApiRequest) -> response_models.Receivers:
        """List the receivers of all jobs."""
        every = await self.receivers.every()
        return response_models.Receivers(receivers=[receiver_of(one) for one in every])

    async def add(
        self, request: ApiRequest[NoQuery, NewReceiver]
    ) -> response_models.AddedReceiver:
        """Add a receiver to a job."""
        job, _ = find_job(self.service, request.job)
        fields = dict(request.body)
        receiver = JobReceiver(
            job=job.name,
            type=fields.pop("alert_type"),
            created_at=self.clock.now(),
            **fields,
        )
        added, applied = await self.receivers.add(receiver)
        return response_models.AddedReceiver(
            **dict(receiver_of(added)), applied=applied, warnings=[]
        )

    async def one(self, request: ApiRequest) -> response_models.Receiver:
        """Describe one receiver."""
        return receiver_of(await self.receivers.get(_number(request.path["id"])))

    async def remove(self, request: ApiRequest) -> response_models.Nothing:
        """Remove a receiver."""
        await self.receivers.remove(_number(request.path["id"]))
        return response_models.Nothing()


def _number(text: str) -> int:
    # No id has more digits; int() would accept thousands of them.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {text[:60]!r}")
    return int(text)
