"""The Pushgateway API: each push is a finished run with the pushed metrics.

https://github.com/prometheus/pushgateway#api documents the paths; the status codes are
those of Pushgateway 1.5. Metrics of jobs with `export_as: original` are exposed under
their original names, separately from all others.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final
from urllib.parse import unquote

from aiohttp import hdrs, web
from aiohttp.helpers import parse_mimetype
from aiohttp.typedefs import Handler

from afterrun_exporter import __version__
from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Caller
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.core.outcome_metrics import Push
from afterrun_exporter.core.pushed_metrics import Family
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.dialects.context import DialectContext, job_name, record_one
from afterrun_exporter.dialects.pushgateway.protobuf import protobuf_steps
from afterrun_exporter.dialects.pushgateway.samples import PushReader
from afterrun_exporter.dialects.pushgateway.text_format import (
    LABEL,
    Exposed,
    family_steps,
    text_steps,
)
from afterrun_exporter.errors import ForbiddenError, PingError
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.recorder import (
    Received,
    ReportRecorder,
    check_may_report,
    sender,
)

DIALECT: Final = "pushgateway"
PREFIX: Final = "/metrics/"
BASE64: Final = "@base64"

#: Errors that are answered without reading the pushed metrics.
REFUSED: Final = (web.HTTPRequestEntityTooLarge, web.HTTPUnsupportedMediaType)
#: The compressions that aiohttp decodes.
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
PROTOBUF: Final = "application/vnd.google.protobuf"
MESSAGE: Final = "io.prometheus.client.MetricFamily"


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of pushes and deletions."""
    recorder = context.recorder(DIALECT)
    return [
        *endpoints.PUSH.to(
            _with_error_responses(recorder, partial(push, context, recorder))
        ),
        *endpoints.DELETE_PUSHED.to(
            _with_error_responses(recorder, partial(delete, context, recorder))
        ),
        *endpoints.PUSHGATEWAY_STATUS.to(partial(status, context.clock.now())),
    ]


async def push(
    context: DialectContext, recorder: ReportRecorder, request: web.Request
) -> web.Response:
    """Record a push.

    PUT replaces the whole group of metrics that are exposed under their original names.
    """
    steps = _format_of(request)
    path = request.rel_url.raw_path.removeprefix(PREFIX)
    group = group_of(path)
    job = job_of(group)
    _check(recorder, caller_of(request), job)
    body = await read_body(request, context.body_limit)
    now, mark = context.clock.now(), digest(sender(request), path.encode(), body)
    exposed_again, exposed = context.pushed.is_exposed(job), Exposed()
    is_read = False
    try:
        async for _ in cooperatively(steps(body, exposed)):
            pass
        is_read = True
        reader = PushReader(context.pushed.job(job), job, group, recorder.metrics_limit)
        async for sample in cooperatively(exposed.samples):
            reader.read(sample)
        read = reader.ping(now, mark, exposed)
        if exposed_again:
            families: dict[str, Family] = {}
            async for _ in cooperatively(family_steps(exposed, group, families)):
                pass
            replacing = request.method == hdrs.METH_PUT
            await context.pushed.push(job, group, families, replacing=replacing)
        received: Received = recorder.readable(*read)
    except PingError as error:
        if is_read and exposed_again:
            await context.pushed.refused(job, group)
        received = recorder.unreadable(job, now, mark, error)
    await record_one(recorder, received, caller_of(request))
    return web.Response()


async def delete(
    context: DialectContext, recorder: ReportRecorder, request: web.Request
) -> web.Response:
    """Delete a group.

    It is no longer exposed; its runs are kept. If pushes are progress reports, the
    deletion ends the open run.
    """
    path = request.rel_url.raw_path.removeprefix(PREFIX)
    group = group_of(path)
    name = job_of(group)
    _check(recorder, caller_of(request), name)
    await context.pushed.delete(group)
    job = context.service.job(name)
    if job is not None and job.push is not None and job.push.progress:
        ping = Ping(
            job=job.name,
            kind=Kind.LOG,
            at=context.clock.now(),
            fingerprint=digest(sender(request), b"DELETE", path.encode()),
            push=Push(deleted=True),
        )
        await record_one(recorder, ping, caller_of(request))
    return web.Response(status=202)


async def status(started_at: float, _: web.Request) -> web.Response:
    """Return the status that some clients use as a health check."""
    return web.json_response(
        {
            "status": "success",
            "data": {
                "build_information": {"version": __version__},
                "flags": {},
                "start_time": format_time(started_at),
            },
        }
    )


def group_of(path: str) -> dict[str, str]:
    """Return the grouping labels in the percent-encoded *path*, including `job`.

    Raises PingError with Pushgateway's message for an invalid path.
    """
    parts = path.split("/")
    if len(parts) > 2 and parts[-1] == "" and len(parts) % 2:
        # Ignore a trailing slash.
        parts.pop()
    if len(parts) % 2:
        raise PingError(f"odd number of components in label string {path!r}")
    group: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        label, text = unquote(name), unquote(value)
        if label.endswith(BASE64):
            label = label.removesuffix(BASE64)
            text = _decoded(label, value)
        if not LABEL.fullmatch(label) or label.startswith("__"):
            raise PingError(f"improper label name {label!r}")
        group[label] = text
    if not group.get("job"):
        raise PingError("job name is required")
    return group


def job_of(group: Mapping[str, str]) -> str:
    """Return the job name for a group: its `job`, and the values of its other labels."""
    others = [group[label] for label in sorted(group) if label != "job"]
    return job_name(":".join([group["job"], *filter(None, others)]))


def _check(recorder: ReportRecorder, caller: Caller, job: str) -> None:
    """Raise ForbiddenError if *caller* may not report for *job*."""
    try:
        check_may_report(caller, job)
    except ForbiddenError as error:
        recorder.refuse(job, str(error))
        raise


def _decoded(label: str, value: str) -> str:
    text = unquote(value).rstrip("=")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise PingError(
            f"invalid base64 encoding for label {label}={value[:64]!r}"
        ) from None


def _format_of(
    request: web.Request,
) -> Callable[[bytes, Exposed], Iterator[None]]:
    """Return the reader of the body; raise HTTPUnsupportedMediaType if there is none."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
    if encoding not in ENCODINGS:
        raise web.HTTPUnsupportedMediaType(
            text=f"Content-Encoding {encoding[:40]!r} is not supported: push gzip, "
            "or an uncompressed body"
        )
    if "protobuf" not in request.content_type:
        return text_steps
    parameters = parse_mimetype(request.headers[hdrs.CONTENT_TYPE]).parameters
    proto, delimited = parameters.get("proto", MESSAGE), parameters.get("encoding")
    if (request.content_type, proto, delimited) != (PROTOBUF, MESSAGE, "delimited"):
        raise web.HTTPUnsupportedMediaType(
            text="of protobuf, only delimited MetricFamily messages are supported: push "
            f"{PROTOBUF}; proto={MESSAGE}; encoding=delimited, or the text format, "
            "Content-Type: text/plain; version=0.0.4"
        )
    return protobuf_steps


def refused(status: int, text: str) -> web.Response:
    """Return an error response in Pushgateway's format."""
    return web.Response(status=status, text=f"{text}\n")


def _with_error_responses(recorder: ReportRecorder, handler: Handler) -> Handler:
    """Return *handler* with error responses in plain text, like Pushgateway's."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except PingError as error:
            return web.Response(status=400, text=f"{error}\n")
        except ForbiddenError as error:
            return refused(403, str(error))
        except REFUSED as error:
            recorder.refuse("", error.text or "")
            return web.Response(status=error.status, text=f"{error.text}\n")

    return handle
