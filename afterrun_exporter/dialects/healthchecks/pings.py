"""Healthchecks' pinging API.

``/ping/UUID[/SIGNAL]``, ``/UUID[/SIGNAL]`` and ``/ping/KEY/SLUG[/SIGNAL]``, as on
https://healthchecks.io/docs/http_api/. A signal is a verb or an exit status; a ping
without a signal reports a success. The key names the project: any key is accepted as
long as no project has a ping key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.request_caller import BY_KEY, caller_of
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import UUID, Ping
from afterrun_exporter.core.projects import Project, by_ping_key
from afterrun_exporter.dialects.context import DialectContext, describe, read_text
from afterrun_exporter.dialects.healthchecks.signals import (
    BAD_URL,
    CREATE,
    NOT_FOUND,
    SIGNAL,
    BadAddressError,
    SignalReport,
    description_of,
    ping_of,
)
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest import forms
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.recorder import Received, ReportRecorder, sender
from afterrun_exporter.ingest.report_metrics import ReportMetrics

DIALECT: Final = "healthchecks"

ALLOW: Final = {
    "Allow": "GET, HEAD, POST",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "*",
}


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of jobs named by a UUID.

    A request with any method is a ping, because clients use various methods.
    """
    return endpoints.BY_UUID.to(handler(context))


def handler(context: DialectContext) -> Handler:
    """Return the handler of all addresses.

    A signal is never a slug: ``/ping/JOB/SIGNAL`` is a ping of the job of that name.
    """
    recorder = context.recorder(DIALECT)

    async def handle(request: web.Request) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            # Browsers send OPTIONS on their own: it is never a ping.
            return web.Response(status=204, headers=ALLOW)
        caller, by_key = caller_of(request), request[BY_KEY]
        name, signal, key = target = _target(request.match_info, by_key)
        text, _ = await read_text(request, context.body_limit)
        query = request.rel_url.raw_query_string
        try:
            report = _report_of(request, signal, query, text)
            project = _project(context, key, by_key)
            job = await _job(context, target, project)
            mark = digest(
                sender(request), signal.encode(), query.encode(), text.encode()
            )
            received = await _read(recorder, job, report, context.clock.now(), mark)
            # An invalid description does not reject the report.
            new = not context.is_known(job)
            if new and caller.may(Scope.PING, job):
                description, problems = description_of(report)
                if project is not None:
                    description["project"] = project.name
                if description or problems:
                    await describe(
                        context, recorder, job, description, problems, caller
                    )
        except (PingError, UnknownJobError) as error:
            # Do not log the address: the key in it is a secret.
            recorder.refuse(name, str(error))
            return _refusal(context, error)
        result = await recorder.record(received, caller)
        if isinstance(result, PingError | UnknownJobError | ForbiddenError):
            return _refusal(context, result)
        if isinstance(result, Exception):
            raise result
        if new and CREATE in report.query:
            return _response(context, 201, "Created")
        return _response(context, 200, "OK")

    return handle


def _report_of(
    request: web.Request, signal: str, query: str, text: str
) -> SignalReport:
    kind = request.content_type
    return SignalReport(
        signal,
        tuple(forms.urlencoded(query)),
        text,
        form=kind in {forms.URLENCODED, forms.MULTIPART},
        multipart=request.headers["Content-Type"] if kind == forms.MULTIPART else "",
    )


async def _read(
    recorder: ReportRecorder,
    job: str,
    report: SignalReport,
    at: float,
    fingerprint: bytes,
) -> Received:
    """Return the ping in *report*; raise BadAddressError for an invalid address."""
    limit = recorder.metrics_limit

    def parse() -> tuple[Ping, ReportMetrics]:
        return ping_of(job, report, at=at, fingerprint=fingerprint, metrics_limit=limit)

    try:
        return recorder.readable(*await parsed(len(report.text), parse))
    except BadAddressError:
        raise
    except PingError as error:
        return recorder.unreadable(job, at, fingerprint, error)


class Target(NamedTuple):
    """The job, the signal and the key in an address."""

    #: A UUID, or a slug.
    name: str
    signal: str
    #: The project's ping key; "" if the address has none.
    key: str = ""


def _target(match: Mapping[str, str], by_key: bool) -> Target:
    """Return the target of an address.

    If *by_key*, authentication has verified that the first segment is a key.
    """
    if "key" not in match:
        return Target(match["job"].lower(), match.get("signal", ""))
    key, slug, signal = match["key"], match["job"], match.get("signal", "")
    # A verb after the name of a job is its signal, not a job named "start".
    if not signal and SIGNAL.fullmatch(slug) and not by_key:
        return Target(key, slug)
    return Target(slug, signal, key)


def _project(context: DialectContext, key: str, by_key: bool) -> Project | None:
    """Return the project with this ping key; None if no project has a ping key.

    If *by_key*, the key may also be a token, which is not tied to a project.
    """
    projects = [one for one in context.service.job_config.projects if one.ping_key]
    if not key or not projects:
        return None
    if (project := by_ping_key(projects, key)) is None and not by_key:
        raise UnknownJobError(NOT_FOUND)
    return project


async def _job(context: DialectContext, target: Target, project: Project | None) -> str:
    """Return the name of the job.

    Raises errors with Healthchecks' messages for an invalid signal or name, and for a
    job of another project.
    """
    if target.signal and not SIGNAL.fullmatch(target.signal):
        raise UnknownJobError(NOT_FOUND)
    if UUID.fullmatch(target.name):
        return await context.uuid_index.job(target.name) or target.name
    try:
        name = context.job_called(target.name, project)
    except PingError:
        raise PingError(BAD_URL) from None
    job = context.service.job(name)
    if job is not None and project is not None and job.project != project.name:
        raise UnknownJobError(NOT_FOUND)
    return name


def _refusal(context: DialectContext, error: Exception) -> web.Response:
    if isinstance(error, UnknownJobError):
        return _response(context, 404, NOT_FOUND)
    if isinstance(error, ForbiddenError):
        return _response(context, 403, str(error))
    return _response(context, 400, str(error))


def refused(status: int, text: str) -> web.Response:
    """Return an error response in Healthchecks' format."""
    headers = {"Access-Control-Allow-Origin": "*"}
    return web.Response(status=status, text=text, headers=headers)


def _response(context: DialectContext, status: int, text: str) -> web.Response:
    return web.Response(
        status=status,
        text=text,
        headers={
            "Ping-Body-Limit": str(context.body_limit),
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
        },
    )
