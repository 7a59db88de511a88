"""Pushes to a Pushgateway: each is a run that ended, and what it pushed its metrics.

https://github.com/prometheus/pushgateway#api has the paths, the status codes are
those of Pushgateway 1.5. What jobs with `export_as: original` push is exposed again
under its own names, apart from everything else.
"""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from afterrun_exporter import __version__
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.errors import ForbiddenError, PingError
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.desk import Desk, caller_of, job_name, recorded, sender
from afterrun_exporter.ingest.fields import MAX_TIME
from afterrun_exporter.ingest.intake import Intake, Received
from afterrun_exporter.ingest.readings import Readings, read_metrics
from afterrun_exporter.ingest.textformat import (
    LABEL,
    Exposed,
    families_of,
    read_text,
)

DIALECT: Final = "pushgateway"
PREFIX: Final = "/metrics/"
BASE64: Final = "@base64"

#: What the pusher's own process is like, which client libraries push along.
PROCESS: Final = re.compile(
    r"python_(info|gc_\w+)"
    r"|process_(cpu_seconds_total|(open|max)_fds|(virtual|resident)_memory_(max_)?bytes"
    r"|start_time_seconds)"
)
#: When it succeeded: Pushgateway's own documentation pushes job_last_success_unixtime.
SUCCEEDED: Final = re.compile(r"(\w+_)?last_success(_\w+)?")
#: How long it took; any other name may be that of a part.
TOOK: Final = frozenset({"duration_seconds", "job_duration_seconds"})

#: What is answered without looking at what was pushed.
REFUSED: Final = (web.HTTPRequestEntityTooLarge, web.HTTPUnsupportedMediaType)
#: How a body may be compressed: what aiohttp undoes.
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
#: Parts of a histogram or summary, which are no value of the run.
_PARTS: Final = ("le", "quantile")


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of pushes and deletions."""
    intake = desk.intake(DIALECT)
    push, delete = _told(intake, pushed(desk, intake)), _told(intake, deleted(desk))
    path = r"/metrics/{job:job(@base64)?/.*}"
    return [
        web.put(path, push),
        web.post(path, push),
        web.delete(path, delete),
        web.get("/api/v1/status", status(desk.clock.now())),
    ]


def pushed(desk: Desk, intake: Intake) -> Handler:
    """Return the handler of PUT and POST.

    They differ in what they leave of the group where it is exposed again.
    """

    async def handle(request: web.Request) -> web.Response:
        _check_format(request)
        path = request.rel_url.raw_path.removeprefix(PREFIX)
        group = group_of(path)
        job = job_of(group)
        body = await read_body(request, desk.body_limit)
        now, mark = desk.clock.now(), digest(sender(request), path.encode(), body)
        exposed, exposed_again = None, desk.pushed.wanted(job)
        try:
            exposed = read_text(body)
            read = ping_of(job, group, exposed, now, mark, intake.metrics_limit)
            if exposed_again:
                families = families_of(exposed, group)
                replacing = request.method == hdrs.METH_PUT
                await desk.pushed.push(job, group, families, replacing=replacing)
            received: Received = intake.readable(*read)
        except PingError as error:
            if exposed and exposed_again:
                await desk.pushed.refused(job, group)
            received = intake.unreadable(job, now, mark, error)
        await recorded(intake, received, caller_of(request))
        return web.Response()

    return handle


def deleted(desk: Desk) -> Handler:
    """Return the handler of DELETE.

    The group is exposed no longer; the runs of the job are not forgotten for it.
    """

    async def handle(request: web.Request) -> web.Response:
        group = group_of(request.rel_url.raw_path.removeprefix(PREFIX))
        await desk.pushed.delete(group)
        return web.Response(status=202)

    return handle


def status(started_at: float) -> Handler:
    """Return the handler of what some clients ask to see whether we are there."""
    told = {
        "status": "success",
        "data": {
            "build_information": {"version": __version__},
            "flags": {},
            "start_time": format_time(started_at),
        },
    }

    async def handle(_: web.Request) -> web.Response:
        return web.json_response(told)

    return handle


def group_of(path: str) -> dict[str, str]:
    """Return the grouping labels in *path*, percent-encoded, `job` among them.

    Raises PingError as Pushgateway would refuse it.
    """
    parts = path.split("/")
    if len(parts) > 2 and parts[-1] == "" and len(parts) % 2:
        # A trailing slash ends nothing.
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
    """Return the job of a group: its `job`, and the values of its other labels."""
    others = [group[label] for label in sorted(group) if label != "job"]
    return job_name(":".join([group["job"], *filter(None, others)]))


def ping_of(
    job: str,
    group: Mapping[str, str],
    exposed: Exposed,
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
) -> tuple[Ping, Readings]:
    """Return the ping that a push is, and what became of its metrics.

    Raises PingError for metrics that say when they were taken.
    """
    values: dict[str, float] = {}
    ended = duration = None
    for sample in exposed.samples:
        if sample.timestamp is not None:
            raise PingError("pushed metrics must not have timestamps")
        labels = {k: v for k, v in sample.labels.items() if k not in group}
        if not _is_of_the_run(sample.name, labels):
            continue
        values[_named(sample.name, labels)] = sample.value
        if not labels and SUCCEEDED.fullmatch(sample.name):
            ended = _instant(sample.value)
        if not labels and sample.name in TOOK and 0 <= sample.value < MAX_TIME:
            duration = float(sample.value)
    readings = read_metrics(values, metrics_limit)
    ping = Ping(
        job=job,
        kind=Kind.FINISH,
        at=at,
        ended_at=ended,
        duration=duration,
        metrics=readings.values,
        fingerprint=fingerprint,
        warnings=readings.warnings,
    )
    return ping, readings


def _is_of_the_run(name: str, labels: Mapping[str, str]) -> bool:
    return not (
        PROCESS.fullmatch(name)
        or name.endswith("_created")
        or any(part in labels for part in _PARTS)
    )


def _named(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    told = (f'{key}="{labels[key].translate(_ESCAPES)}"' for key in sorted(labels))
    return f"{name}{{{','.join(told)}}}"


def _instant(value: float) -> float | None:
    # JavaScript's clocks count milliseconds.
    seconds = value / 1000 if value >= MAX_TIME else value
    return seconds if math.isfinite(seconds) and 0 < seconds < MAX_TIME else None


def _decoded(label: str, value: str) -> str:
    text = unquote(value).rstrip("=")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise PingError(
            f"invalid base64 encoding for label {label}={value[:64]!r}"
        ) from None


def _check_format(request: web.Request) -> None:
    """Refuse a body that is in another format than we read."""
    if "protobuf" in request.content_type:
        raise web.HTTPUnsupportedMediaType(
            text="the protobuf format is not read here: push the text format, "
            "Content-Type: text/plain; version=0.0.4"
        )
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
    if encoding not in ENCODINGS:
        raise web.HTTPUnsupportedMediaType(
            text=f"Content-Encoding {encoding[:40]!r} is not read here: push gzip, "
            "or what is not compressed"
        )


def refused(status: int, text: str) -> web.Response:
    """Return what whoever may not push is told."""
    return web.Response(status=status, text=f"{text}\n")


def _told(intake: Intake, handler: Handler) -> Handler:
    """Return *handler*, with errors in plain text, as Pushgateway has them."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except PingError as error:
            return web.Response(status=400, text=f"{error}\n")
        except ForbiddenError as error:
            return refused(403, str(error))
        except REFUSED as error:
            intake.refuse("", error.text or "")
            return web.Response(status=error.status, text=f"{error.text}\n")

    return handle
