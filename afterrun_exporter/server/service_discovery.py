"""``GET /-/targets``: the shards of ``/metrics`` for Prometheus' http_sd_configs."""

from __future__ import annotations

from aiohttp import web

from afterrun_exporter.auth.route_prefix import prefix_of
from afterrun_exporter.core.scrape_shards import parse_count
from afterrun_exporter.errors import RequestError


async def targets(telemetry_path: str, request: web.Request) -> web.Response:
    """Return each shard as a separate target."""
    try:
        count = parse_count(request.query.get("shards", "1"))
    except ValueError as error:
        raise RequestError(str(error)) from None
    # Use the host name by which Prometheus reached this daemon.
    host = request.host
    return web.json_response(
        [
            {
                "targets": [host],
                "labels": {
                    "__scheme__": request.scheme,
                    "__metrics_path__": f"{prefix_of(request)}{telemetry_path}",
                    "__param_shard": str(number),
                    "__param_shards": str(count),
                    # Every target has its own `up` metric.
                    "instance": f"{host}/{number}",
                },
            }
            for number in range(1, count + 1)
        ]
    )
