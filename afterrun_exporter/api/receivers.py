"""Who is told of which job: asked for, added and removed over HTTP."""

from __future__ import annotations

from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.handlers import Act, ApiRequest
from afterrun_exporter.api.jobs import known
from afterrun_exporter.api.serializers import receiver_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownReceiverError


def listed(
    service: Service, receivers: Receivers
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.JobReceivers]:
    """Return what answers with the receivers of a job."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.JobReceivers:
        name = asked.job
        # Those of a job that left the configuration still stand in alertmanager.yml.
        if not (found := await receivers.of(name)):
            known(service, name)
        told = [receiver_of(one) for one in found]
        return response_models.JobReceivers(job=name, receivers=told)

    return act


def every(
    receivers: Receivers,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Receivers]:
    """Return what answers with all receivers, whatever their jobs."""

    async def act(
        _: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Receivers:
        found = await receivers.every()
        return response_models.Receivers(receivers=[receiver_of(one) for one in found])

    return act


def add(
    service: Service, receivers: Receivers, clock: Clock
) -> Act[
    request_models.NoQuery, request_models.NewReceiver, response_models.AddedReceiver
]:
    """Return what adds a receiver to a job."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NewReceiver],
    ) -> response_models.AddedReceiver:
        job, _ = known(service, asked.job)
        body = asked.body
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
    """Return what answers with one receiver, whatever its job."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Receiver:
        return receiver_of(await receivers.get(_number(asked.path["id"])))

    return act


def remove(
    receivers: Receivers,
) -> Act[request_models.NoQuery, request_models.NoBody, response_models.Nothing]:
    """Return what removes a receiver."""

    async def act(
        asked: ApiRequest[request_models.NoQuery, request_models.NoBody],
    ) -> response_models.Nothing:
        await receivers.remove(_number(asked.path["id"]))
        return response_models.Nothing()

    return act


def _number(written: str) -> int:
    # More digits than any id has; int() would take thousands.
    if not (written.isascii() and written.isdigit() and len(written) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {written[:60]!r}")
    return int(written)
