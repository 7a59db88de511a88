"""``GET /-/targets``: the shards of ``/metrics`` for Prometheus' http_sd_configs."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.core.shards import parse_count
from afterrun_exporter.errors import RequestError


def targets(telemetry_path: str) -> Handler:
    """Return the handler that tells of each shard as a target of its own."""

    async def handle(request: web.Request) -> web.Response:
        try:
            count = parse_count(request.query.get("shards", "1"))
        except ValueError as error:
            raise RequestError(str(error)) from None
        # As Prometheus has reached us, so it will again.
        host = request.host
        return web.json_response(
            [
                {
                    "targets": [host],
                    "labels": {
                        "__scheme__": request.scheme,
                        "__metrics_path__": telemetry_path,
                        "__param_shard": str(number),
                        "__param_shards": str(count),
                        # Every target has an `up` of its own.
                        "instance": f"{host}/{number}",
                    },
                }
                for number in range(1, count + 1)
            ]
        )

    return handle
