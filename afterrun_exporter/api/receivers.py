"""Listing, adding and removing receivers over HTTP."""

from __future__ import annotations

from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.api.jobs import find_job
from afterrun_exporter.api.serializers import receiver_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownReceiverError


def of_job(
    service: Service, receivers: Receivers
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.JobReceivers]:
    """Return the handler that lists the receivers of a job."""

    async def act(
        request: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.JobReceivers:
        name = request.job
        # A job that was removed from the configuration keeps its receivers.
        if not (matches := await receivers.of(name)):
            find_job(service, name)
        models = [receiver_of(one) for one in matches]
        return response_models.JobReceivers(job=name, receivers=models)

    return act


def every(
    receivers: Receivers,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Receivers]:
    """Return the handler that lists the receivers of all jobs."""

    async def act(
        _: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Receivers:
        every = await receivers.every()
        return response_models.Receivers(receivers=[receiver_of(one) for one in every])

    return act


def add(
    service: Service, receivers: Receivers, clock: Clock
) -> Act[
    request_models.NoQuery, request_models.NewReceiver, response_models.AddedReceiver
]:
    """Return the handler that adds a receiver to a job."""

    async def act(
        request: ApiRequest[request_models.NoQuery, request_models.NewReceiver],
    ) -> response_models.AddedReceiver:
        job, _ = find_job(service, request.job)
        body = request.body
        added, applied = await receivers.add(
            JobReceiver(
                job=job.name,
                type=body.alert_type,
                target=body.target,
                on_failure=body.on_failure,
                on_timeout=body.on_timeout,
                on_violation=body.on_violation,
                on_missed=body.on_missed,
                on_success=body.on_success,
                created_at=clock.now(),
            )
        )
        return response_models.AddedReceiver(
            **dict(receiver_of(added)),
            applied=applied,
            warnings=[],
        )

    return act


def one(
    receivers: Receivers,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Receiver]:
    """Return the handler that describes one receiver."""

    async def act(
        request: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Receiver:
        return receiver_of(await receivers.get(_number(request.path["id"])))

    return act


def remove(
    receivers: Receivers,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Nothing]:
    """Return the handler that removes a receiver."""

    async def act(
        request: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Nothing:
        await receivers.remove(_number(request.path["id"]))
        return response_models.Nothing()

    return act


def _number(text: str) -> int:
    # No id has more digits; int() would accept thousands of them.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {text[:60]!r}")
    return int(text)
