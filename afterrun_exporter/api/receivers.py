"""Who is told of which job: asked for, added and removed over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.api.bodies import read_object
from afterrun_exporter.api.jobs import known
from afterrun_exporter.api.queries import read_query
from afterrun_exporter.api.shapes import receiver_object
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.core.targets import check_target
from afterrun_exporter.errors import RequestError, UnknownReceiverError
from afterrun_exporter.receivers import Receivers
from afterrun_exporter.service import Service

FLAGS: Final = ("on_failure", "on_timeout", "on_violation", "on_missed")
FIELDS: Final = {"alert_type": str, "target": str, **dict.fromkeys(FLAGS, bool)}

TIMEOUT_ALONE: Final = (
    "a timeout that the job itself reports is a failure: set on_failure too"
)


def listed(service: Service, receivers: Receivers) -> Handler:
    """Return the handler for the receivers of a job."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        name = request.match_info["job"]
        # Those of a job that left the configuration still stand in alertmanager.yml.
        if not (found := await receivers.of(name)):
            known(service, name)
        return web.json_response({"job": name, "receivers": _objects(found)})

    return handle


def every(receivers: Receivers) -> Handler:
    """Return the handler for all receivers, whatever their jobs."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        return web.json_response({"receivers": _objects(await receivers.every())})

    return handle


def add(service: Service, receivers: Receivers, clock: Clock) -> Handler:
    """Return the handler that adds a receiver to a job."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        job, _ = known(service, request.match_info["job"])
        wanted = receiver_of(job.name, await read_object(request, FIELDS), clock.now())
        added, applied = await receivers.add(wanted)
        alone = added.on_timeout and not added.on_failure
        answer: dict[str, Any] = {
            **receiver_object(added),
            "applied": applied,
            "warnings": [TIMEOUT_ALONE] if alone else [],
        }
        where = {"Location": f"/api/v1/receivers/{added.id}"}
        return web.json_response(answer, status=201, headers=where)

    return handle


def one(receivers: Receivers) -> Handler:
    """Return the handler for one receiver, whatever its job."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        found = await receivers.get(_number(request))
        return web.json_response(receiver_object(found))

    return handle


def remove(receivers: Receivers) -> Handler:
    """Return the handler that removes a receiver."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        await receivers.remove(_number(request))
        return web.Response(status=204)

    return handle


def receiver_of(job: str, body: dict[str, Any], now: float) -> JobReceiver:
    """Return the receiver that *body* describes; raise RequestError if it does not."""
    for name in ("alert_type", "target"):
        if name not in body:
            raise RequestError(f"{name!r} is missing: send alert_type and target")
    try:
        kind = ReceiverType(body["alert_type"])
    except ValueError:
        raise RequestError(
            f"unknown alert_type {body['alert_type'][:60]!r}: use one of "
            f"{', '.join(ReceiverType)}"
        ) from None
    try:
        check_target(kind, body["target"])
    except ValueError as error:
        raise RequestError(f"target: {error}") from None
    flags = {name: body.get(name, True) for name in FLAGS}
    if not any(flags.values()):
        raise RequestError(
            f"{', '.join(FLAGS)} are all false: nobody would ever be told; set one"
        )
    return JobReceiver(
        job=job, type=kind, target=body["target"], created_at=now, **flags
    )


def _objects(receivers: Iterable[JobReceiver]) -> list[dict[str, Any]]:
    return [receiver_object(one) for one in receivers]


def _number(request: web.Request) -> int:
    written = request.match_info["id"]
    # More digits than any id has; int() would take thousands.
    if not (written.isascii() and written.isdigit() and len(written) <= 18):
        raise UnknownReceiverError(f"no receiver has the id {written[:60]!r}")
    return int(written)
