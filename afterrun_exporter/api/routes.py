"""``/api/v1``: what can be asked of the daemon, and what it can be told."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from afterrun_exporter.api import alerts, jobs, receivers
from afterrun_exporter.clock import Clock
from afterrun_exporter.receivers import Receivers
from afterrun_exporter.registry import Registry
from afterrun_exporter.service import Service
from afterrun_exporter.storage.store import Store

PREFIX: Final = "/api/v1"


def routes(
    service: Service, store: Store, told: Receivers, clock: Clock
) -> list[web.RouteDef]:
    """Return the routes of the JSON API."""
    registry = Registry(service, clock)
    return [
        web.get(f"{PREFIX}/jobs", jobs.jobs(service)),
        web.get(f"{PREFIX}/jobs/{{job}}", jobs.job(service)),
        web.get(f"{PREFIX}/jobs/{{job}}/runs", jobs.runs(service, store)),
        web.get(f"{PREFIX}/jobs/{{job}}/receivers", receivers.listed(service, told)),
        web.post(
            f"{PREFIX}/jobs/{{job}}/receivers", receivers.add(service, told, clock)
        ),
        web.get(f"{PREFIX}/receivers", receivers.every(told)),
        web.get(f"{PREFIX}/receivers/{{id}}", receivers.one(told)),
        web.delete(f"{PREFIX}/receivers/{{id}}", receivers.remove(told)),
        web.get(f"{PREFIX}/alerts", alerts.history(store, clock)),
        web.get(f"{PREFIX}/alerts/stats", alerts.stats(store, clock)),
        web.post(f"{PREFIX}/alerts/test", alerts.test(service, registry, store)),
    ]
