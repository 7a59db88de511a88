"""The history of alerts, and an alert for a test."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.api.bodies import read_object
from afterrun_exporter.api.jobs import MOST, known
from afterrun_exporter.api.queries import choice, moment, number, read_query
from afterrun_exporter.api.shapes import alert_object, stats_object
from afterrun_exporter.clock import Clock
from afterrun_exporter.conventions import NO_SEVERITY, TEST_JOB
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.core.units import format_duration, parse_duration
from afterrun_exporter.errors import RequestError, UnknownJobError
from afterrun_exporter.registry import Registry
from afterrun_exporter.service import Service
from afterrun_exporter.storage.store import AlertFilter, Store

#: No id is larger.
LAST: Final = 2**63 - 1

WEEK: Final = parse_duration("7d")
#: Jobs that the statistics name.
TOP: Final = 10

#: How long a test alert may last.
SHORTEST: Final = parse_duration("10s")
LONGEST: Final = parse_duration("1h")
USUAL: Final = "2m"

_SEVERITY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def history(store: Store, clock: Clock) -> Handler:
    """Return the handler for recorded alerts, the newest first, a page at a time."""

    async def handle(request: web.Request) -> web.Response:
        query = read_query(
            request.query,
            *("job", "state", "kind", "severity", "since", "limit", "before"),
        )
        if (job := query.get("job")) is not None and job not in store.states:
            # One that left the configuration still has its history.
            raise UnknownJobError(f"unknown job {job[:128]!r}: nothing is known of it")
        state = choice(query, "state", ("open", "resolved"))
        kind = choice(query, "kind", Condition)
        since = moment(query, "since", clock.now())
        limit = number(query, "limit", 100, MOST)
        which = AlertFilter(
            job=job,
            conditions=(Condition(kind),) if kind else (),
            severity=query.get("severity"),
            open=None if state is None else state == "open",
            before=number(query, "before", 1, LAST) if "before" in query else None,
            limit=limit + 1,
        )
        if since is not None:
            which = replace(which, since=since)
        found = await store.alerts(which)
        page = found[:limit]
        answer = {
            "alerts": [alert_object(alert) for alert in page],
            "next": page[-1].id if len(found) > limit else None,
        }
        return web.json_response(answer)

    return handle


def stats(store: Store, clock: Clock) -> Handler:
    """Return the handler for what the alerts of a time come to."""

    async def handle(request: web.Request) -> web.Response:
        query = read_query(request.query, "since")
        now = clock.now()
        since = moment(query, "since", now)
        since = now - WEEK if since is None else since
        found = await store.alert_stats(since, TOP)
        return web.json_response(stats_object(found, since))

    return handle


def test(service: Service, registry: Registry, store: Store) -> Handler:
    """Return the handler that opens an alert to see whether it arrives.

    It is one of the job that is named, or of one that is made for tests. While one
    of the same severity is open, another only makes it last longer; one of another
    severity ends.
    """

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        body = await read_object(request, {"job": str, "severity": str, "for": str})
        name = body.get("job")
        if name is not None:
            known(service, name)
        seconds = _duration(body.get("for", USUAL))
        severity = _severity(body.get("severity", ""))
        await registry.test_alert(name, seconds, severity)
        job = name or TEST_JOB
        _, state = known(service, job)
        which = AlertFilter(job=job, conditions=(Condition.TEST,), limit=1)
        (opened,) = await store.alerts(which)
        until = {"until": format_time(state.test_until)}
        return web.json_response(alert_object(opened) | until, status=202)

    return handle


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise RequestError(f"for: {error}") from None
    if not SHORTEST <= seconds <= LONGEST:
        span = f"{format_duration(SHORTEST)} to {format_duration(LONGEST)}"
        raise RequestError(f"for: {text[:60]!r} is out of range: use {span}")
    return seconds


def _severity(text: str) -> str:
    if text and (text == NO_SEVERITY or not _SEVERITY.fullmatch(text)):
        raise RequestError(
            f"severity: {text[:64]!r} is not a severity: use one that your routes "
            "know, such as critical, warning or info"
        )
    return text
