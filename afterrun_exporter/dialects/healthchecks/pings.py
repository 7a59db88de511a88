"""Healthchecks' pinging API, as its many clients speak it.

``/ping/UUID[/SIGNAL]``, ``/UUID[/SIGNAL]`` and ``/ping/KEY/SLUG[/SIGNAL]``, as on
https://healthchecks.io/docs/http_api/. A signal is a verb or an exit status; without
one the job ran, and ran well. The key is whose job it is: any is taken as long as no
project has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.requests import BY_KEY, caller_of
from afterrun_exporter.core.model import UUID, Ping
from afterrun_exporter.core.projects import Project, by_ping_key
from afterrun_exporter.core.repeats import digest
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
from afterrun_exporter.errors import (
    ForbiddenError,
    PingError,
    UnknownJobError,
)
from afterrun_exporter.ingest import forms
from afterrun_exporter.ingest.bodies import parsed
from afterrun_exporter.ingest.readings import Readings
from afterrun_exporter.ingest.recorder import Received, ReportRecorder, sender

DIALECT: Final = "healthchecks"

#: As aiohttp's routes want it: any case is taken.
_UUID: Final = UUID.pattern.replace("a-f", "a-fA-F")

ALLOW: Final = {
    "Allow": "GET, HEAD, POST",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "*",
}


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of jobs that are named by a UUID.

    Whatever the method, it is a ping: clients use what they like.
    """
    handle = _handler(context)
    uuid = f"{{job:{_UUID}}}"
    return [
        web.route(hdrs.METH_ANY, f"{prefix}/{uuid}{rest}", handle)
        for prefix in ("/ping", "")
        for rest in ("{slash:/?}", "/{signal}{slash:/?}")
    ]


def by_slug(context: DialectContext) -> Handler:
    """Return the handler of ``/ping/KEY/SLUG`` and ``/ping/KEY/SLUG/SIGNAL``.

    What is a signal is no slug: ``/ping/JOB/SIGNAL`` is of the job of that name.
    """
    return _handler(context)


def _handler(context: DialectContext) -> Handler:
    recorder = context.recorder(DIALECT)

    async def handle(request: web.Request) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            # Browsers send it unasked: it is never a ping.
            return web.Response(status=204, headers=ALLOW)
        caller, by_key = caller_of(request), request[BY_KEY]
        named, signal, key = target = _target(request.match_info, by_key)
        text, _ = await read_text(request, context.body_limit)
        query = request.rel_url.raw_query_string
        try:
            said = _said(request, signal, query, text)
            project = _project(context, key, by_key)
            job = await _job(context, target, project)
            mark = digest(
                sender(request), signal.encode(), query.encode(), text.encode()
            )
            received = await _read(recorder, job, said, context.clock.now(), mark)
            # What is wrong with it costs no report.
            new = not context.is_known(job)
            if new and caller.may(Scope.PING, job):
                words, problems = description_of(said)
                if project is not None:
                    words["project"] = project.name
                if words or problems:
                    await describe(context, recorder, job, words, problems, caller)
        except (PingError, UnknownJobError) as error:
            # Without the address: the key in it is a secret.
            recorder.refuse(named, str(error))
            return _refusal(context, error)
        made = await recorder.take(received, caller)
        if isinstance(made, PingError | UnknownJobError | ForbiddenError):
            return _refusal(context, made)
        if isinstance(made, Exception):
            raise made
        created = new and CREATE in said.query
        return (
            _answer(context, 201, "Created") if created else _answer(context, 200, "OK")
        )

    return handle


def _said(request: web.Request, signal: str, query: str, text: str) -> SignalReport:
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
    said: SignalReport,
    at: float,
    fingerprint: bytes,
) -> Received:
    """Return what *said* stands for; raise BadAddressError where that is no ping."""
    limit = recorder.metrics_limit

    def parse() -> tuple[Ping, Readings]:
        return ping_of(job, said, at=at, fingerprint=fingerprint, metrics_limit=limit)

    try:
        return recorder.readable(*await parsed(len(said.text), parse))
    except BadAddressError:
        raise
    except PingError as error:
        return recorder.unreadable(job, at, fingerprint, error)


class Target(NamedTuple):
    """What an address names."""

    #: A UUID, or a slug.
    named: str
    signal: str
    #: Whose job it is; "" where the address does not say.
    key: str = ""


def _target(match: Mapping[str, str], by_key: bool) -> Target:
    """Return what an address names.

    With *by_key* it is known that the key is one, and no job.
    """
    if "key" not in match:
        return Target(match["job"].lower(), match.get("signal", ""))
    key, slug, signal = match["key"], match["job"], match.get("signal", "")
    # A verb after the name of a job is for that job, not a job called "start".
    if not signal and SIGNAL.fullmatch(slug) and not by_key:
        return Target(key, slug)
    return Target(slug, signal, key)


def _project(context: DialectContext, key: str, by_key: bool) -> Project | None:
    """Return the project that has this *key*; None where none has any.

    With *by_key* it may also be a token, of jobs of any project.
    """
    projects = [one for one in context.service.job_config.projects if one.ping_key]
    if not key or not projects:
        return None
    if (project := by_ping_key(projects, key)) is None and not by_key:
        raise UnknownJobError(NOT_FOUND)
    return project


async def _job(context: DialectContext, target: Target, project: Project | None) -> str:
    """Return the name of the job, where the signal is one and it is of the *project*.

    Raises errors in the peer's words.
    """
    if target.signal and not SIGNAL.fullmatch(target.signal):
        raise UnknownJobError(NOT_FOUND)
    if UUID.fullmatch(target.named):
        return await context.uuid_index.job(target.named) or target.named
    try:
        name = context.job_called(target.named, project)
    except PingError:
        raise PingError(BAD_URL) from None
    known = context.service.job(name)
    if known is not None and project is not None and known.project != project.name:
        raise UnknownJobError(NOT_FOUND)
    return name


def _refusal(context: DialectContext, error: Exception) -> web.Response:
    if isinstance(error, UnknownJobError):
        return _answer(context, 404, NOT_FOUND)
    if isinstance(error, ForbiddenError):
        return _answer(context, 403, str(error))
    return _answer(context, 400, str(error))


def refused(status: int, text: str) -> web.Response:
    """Return what whoever may not ping is told."""
    headers = {"Access-Control-Allow-Origin": "*"}
    return web.Response(status=status, text=text, headers=headers)


def _answer(context: DialectContext, status: int, text: str) -> web.Response:
    return web.Response(
        status=status,
        text=text,
        headers={
            "Ping-Body-Limit": str(context.body_limit),
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
        },
    )
