"""The native API: ``/ping/{job}`` for one report, ``/ping`` for batches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter import http_problems
from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Caller
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import Ping
from afterrun_exporter.errors import HistoryError, PingError
from afterrun_exporter.ingest import batches, fast_parser, reports
from afterrun_exporter.ingest.bodies import LARGE, parsed, read_body
from afterrun_exporter.ingest.fields import flag
from afterrun_exporter.ingest.recorder import Received, ReportRecorder, sender
from afterrun_exporter.ingest.report_metrics import NOTHING_DROPPED, ReportMetrics
from afterrun_exporter.ingest.report_parsing import read_report
from afterrun_exporter.ingest.responses import on_one_line, result_or_problem

DIALECT: Final = "native"
KEY_HEADER: Final = "Idempotency-Key"
ONE: Final = "GET, HEAD, OPTIONS, POST"
MANY: Final = "OPTIONS, POST"


#: Records single reports, for the fast path.
REPORTS: Final[web.AppKey[Reports]] = web.AppKey("reports")


def routes(
    recorder: ReportRecorder, clock: Clock, single: Reports
) -> list[web.RouteDef]:
    """Return the routes of the native API; *single* handles single reports."""
    return [
        *endpoints.PING.to(counting_refusals(recorder, single.handle)),
        *endpoints.REPORT.to(counting_refusals(recorder, single.handle)),
        *endpoints.REPORT_MANY.to(
            counting_refusals(recorder, partial(batch, recorder, clock))
        ),
        *endpoints.ASK_ONE.to(partial(allowed, ONE)),
        *endpoints.ASK_MANY.to(partial(allowed, MANY)),
    ]


def counting_refusals(recorder: ReportRecorder, handler: Handler) -> Handler:
    """Wrap *handler* to count and log requests that are refused as a whole.

    `ReportRecorder` counts the reports that reach it.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (PingError, web.HTTPRequestEntityTooLarge) as error:
            recorder.refuse(request.match_info.get("job", ""), _reason(error))
            raise

    return handle


class Reports:
    """Handles single reports; an empty report is a success."""

    def __init__(self, recorder: ReportRecorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock

    @property
    def body_limit(self) -> int:
        """The maximum number of bytes in a report."""
        return self._recorder.body_limit

    def refuse(self, reason: str) -> None:
        """Count and log an unreadable request."""
        self._recorder.refuse("", reason)

    async def handle(self, request: web.Request) -> web.Response:
        """Handle a *request* source route names the job."""
        job = reports.check_name(request.match_info["job"])
        source, caller = sender(request), caller_of(request)
        query = request.rel_url.raw_query_string
        body = b""
        if request.method == hdrs.METH_POST:
            try:
                body = await read_body(request, self.body_limit)
            except PingError as error:
                mark = digest(source, str(error).encode())
                now = self._clock.now()
                received = self._recorder.unreadable(job, now, mark, error)
                return _response(
                    result_or_problem(
                        received, await self._recorder.record(received, caller)
                    )
                )
        return _response(
            await self.record(job, body, source, request.headers, caller, query)
        )

    async def record(
        self,
        job: str,
        body: bytes,
        source: bytes,
        headers: Mapping[str, str],
        caller: Caller,
        query: str = "",
    ) -> dict[str, Any]:
        """Record the report in *body* from *caller*; return a result, or a problem.

        *job* must be a valid name. Raises StorageError if nothing could be recorded.
        """
        received = await self._read(job, body, source, headers, query)
        return result_or_problem(
            received, await self._recorder.record(received, caller)
        )

    async def _read(
        self,
        job: str,
        body: bytes,
        source: bytes,
        headers: Mapping[str, str],
        query: str,
    ) -> Received:
        recorder, at, key = self._recorder, self._clock.now(), headers.get(KEY_HEADER)
        limit = recorder.metrics_limit
        is_plain = not query and key is None
        if query:
            mark = digest(source, body, query.encode("utf-8", "surrogateescape"))
        else:
            mark = digest(source, body)
            if is_plain and len(body) <= LARGE:
                if ping := fast_parser.read(job, body, at, mark, limit):
                    return ping
                is_plain = False
        content_type = headers.get(hdrs.CONTENT_TYPE, "")

        def parse() -> tuple[Ping, ReportMetrics]:
            if is_plain and (ping := fast_parser.read(job, body, at, mark, limit)):
                return ping, NOTHING_DROPPED
            fields = read_report(body, content_type, query)
            return reports.ping_of(
                job, fields, at=at, fingerprint=mark, metrics_limit=limit, key=key
            )

        try:
            return recorder.readable(*await parsed(len(body), parse))
        except PingError as error:
            is_past = query and reports.HISTORY in parse_qs(query)
            unread = HistoryError(str(error)) if is_past else error
            return recorder.unreadable(job, at, mark, unread)


async def batch(
    recorder: ReportRecorder, clock: Clock, request: web.Request
) -> web.Response:
    """Record a batch: a JSON array, or one report per line.

    All reports are recorded in one transaction, and an invalid one does not affect the
    others: the response has a result for each, in order. An Idempotency-Key is
    ignored, because repeated reports are recognized by their run_id or contents. With
    ``?history=true`` the reports describe past runs.
    """
    body = await read_body(request, recorder.body_limit)
    try:
        history = flag(request.query.get(reports.HISTORY, False))
    except ValueError as error:
        raise PingError(f"{error}, not {request.query[reports.HISTORY]!r}") from None
    received = await batches.read_all(
        recorder, body, clock.now(), sender(request), history=history
    )
    results = await recorder.record_all(received, caller_of(request))
    return await batches.batch_response(received, results)


async def allowed(methods: str, _: web.Request) -> web.Response:
    """Respond to OPTIONS. It is never a ping: browsers send it unasked."""
    return web.Response(status=204, headers={"Allow": methods})


def _reason(error: Exception) -> str:
    return (error.text or "") if isinstance(error, web.HTTPException) else str(error)


def _response(body_object: dict[str, Any]) -> web.Response:
    if "title" in body_object:
        return http_problems.response(body_object)
    return web.Response(body=on_one_line(body_object), content_type="application/json")
