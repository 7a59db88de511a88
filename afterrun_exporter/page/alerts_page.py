"""The page of open and past alerts of all jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.did_you_mean import unknown_value
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.core.state import AlertKey
from afterrun_exporter.core.timestamps import instant
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.job_index import held_back
from afterrun_exporter.page.parameters import id_of, values_of
from afterrun_exporter.page.reasons import TITLES
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.times import Moment, happened, span, zone_of
from afterrun_exporter.page.violations import summary_in_words
from afterrun_exporter.storage.store import AlertFilter, AlertRecord

#: Alerts on a page.
PER_PAGE: Final = 50
#: Alerts that are searched for a condition or a severity by one request.
WINDOW: Final = 20_000
#: Ages that the form offers; "" for all stored alerts.
SPANS: Final = {
    "1d": "the last day",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "": "all stored",
}
#: The states that the form offers; "" for the open ones, then those that resolved.
STATES: Final = {"": "open and resolved", "open": "open", "resolved": "resolved"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertQuery:
    """The filters in the address; an alert must match all of them."""

    state: str = ""
    kind: str = ""
    severity: str = ""
    job: str = ""
    since: str = ""
    #: Only alerts after the one with this id; 0 for the first page.
    before: int = 0

    @property
    def narrows(self) -> bool:
        """True if any filter is set."""
        return replace(self, before=0) != AlertQuery()

    def address(self, **changes: object) -> str:
        """Return the relative address of the page with *changes*."""
        own = {name: getattr(self, name) for name in PARAMETERS}
        parameters = {
            name: value for name, value in {**own, **changes}.items() if value
        }
        return f"?{urlencode(parameters)}"


PARAMETERS: Final = ("state", "kind", "severity", "job", "since", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An alert in the list."""

    alert: AlertRecord
    title: str
    opening: Moment | None
    ending: Moment | None
    lasted: str
    #: The reason in words.
    summary: str
    #: Its receivers; [] for none.
    recipients: Sequence[str]
    #: True if a required job holds it back.
    is_held_back: bool
    #: None for a job that was removed.
    job: Job | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A list of alerts."""

    title: str
    rows: Sequence[Row]
    #: The address of the following alerts; "" without any.
    more: str
    #: True if only the newest alerts were searched, as many as `WINDOW`.
    is_searched: bool


async def alerts_page(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/alerts``."""
    query, now, reading = read(request.query), context.clock.now(), Reading()
    try:
        since = instant(query.since, now) if query.since else None
    except ValueError as error:
        raise RequestError(f"since: {error}") from None
    selection = AlertFilter(
        job=query.job or None,
        conditions=(Condition(query.kind),) if query.kind else (),
        severity=query.severity or None,
        before=query.before or None,
        window=WINDOW,
        limit=PER_PAGE + 1,
    )
    if since is not None:
        selection = replace(selection, since=since)
    receivers = await _receivers(context, reading)
    states = (query.state,) if query.state else ("open", "resolved")
    parts = [
        await _part(context, reading, query, selection, state, receivers, now)
        for state in states
    ]
    severities = sorted(
        {row.alert.severity for part in parts for row in part.rows} | {query.severity}
    )
    return await page(
        "alerts.html",
        **context.site.common(request, now),
        query=query,
        parts=parts,
        window=WINDOW,
        kinds={one.value: title for one, title in TITLES.items()},
        states=STATES,
        severities=[one for one in severities if one],
        spans=SPANS if query.since in SPANS else {**SPANS, query.since: query.since},
        has_receivers=context.receivers.recipients.has_receivers or any(receivers),
        unreadable=reading.failed,
    )


def read(parameters: MultiMapping[str]) -> AlertQuery:
    """Return the query for the parameters of an address; raise RequestError."""
    values = values_of(parameters, PARAMETERS)
    before = id_of(values.pop("before", ""), "an alert")
    query = AlertQuery(**values, before=before)
    if query.state not in STATES:
        raise RequestError(unknown_value("state", query.state, [*filter(None, STATES)]))
    kinds = [one.value for one in Condition]
    if query.kind and query.kind not in kinds:
        raise RequestError(unknown_value("kind", query.kind, kinds))
    return query


async def _receivers(
    context: Context, reading: Reading
) -> Mapping[str, list[JobReceiver]]:
    by_job: dict[str, list[JobReceiver]] = defaultdict(list)
    for one in await reading.or_else(context.receivers.every(), []):
        by_job[one.job].append(one)
    return by_job


async def _part(
    context: Context,
    reading: Reading,
    query: AlertQuery,
    selection: AlertFilter,
    state: str,
    receivers: Mapping[str, list[JobReceiver]],
    now: float,
) -> Part:
    selection = replace(selection, open=state == "open")
    alerts = await reading.or_else(context.store.alerts(selection), [])
    rows = [
        _row(context, alert, receivers.get(alert.job, []), now)
        async for alert in cooperatively(alerts[:PER_PAGE])
    ]
    last = rows[-1].alert.id if len(alerts) > PER_PAGE else 0
    is_searched = not last and bool(query.kind or query.severity)
    if is_searched:
        beyond = replace(
            selection, conditions=(), severity=None, skip=WINDOW - 1, limit=1
        )
        last = next(
            (one.id for one in await reading.or_else(context.store.alerts(beyond), [])),
            0,
        )
    return Part(
        title="Open" if state == "open" else "Resolved",
        rows=rows,
        more=query.address(state=state, before=last) if last else "",
        is_searched=is_searched and bool(last),
    )


def _row(
    context: Context, alert: AlertRecord, receivers: Sequence[JobReceiver], now: float
) -> Row:
    job_and_state = context.service.job_and_state(alert.job)
    job = None if job_and_state is None else job_and_state[0]
    zone = None if job is None else zone_of(job)
    times = {} if zone is None else {"zone": zone}
    is_open = alert.resolved_at is None
    recipients: list[str] = []
    is_held_back = timed_out = False
    if job_and_state is not None:
        job, state = job_and_state
        timed_out = any(one.timed_out for one in state.alerts if one.key == alert.key)
        is_held_back = is_open and held_back(state) and alert.key != _HOLDS_BACK
        recipients = context.receivers.recipients.of(
            job, alert.key.condition, alert.severity, receivers, timed_out=timed_out
        )
    return Row(
        alert=alert,
        title=TITLES[alert.key.condition],
        opening=happened(alert.opened_at, now, **times),
        ending=happened(alert.resolved_at or 0.0, now, **times),
        lasted=span((alert.resolved_at or now) - alert.opened_at),
        summary=summary_in_words(job, alert, now),
        recipients=recipients,
        is_held_back=is_held_back,
        job=job,
    )


_HOLDS_BACK: Final = AlertKey(Condition.UPSTREAM_UNHEALTHY)
