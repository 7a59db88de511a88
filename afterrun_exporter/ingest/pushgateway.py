"""Pushes to a Pushgateway: each is a run that ended, and what it pushed its metrics.

https://github.com/prometheus/pushgateway#api has the paths, the status codes are
those of Pushgateway 1.5. What is pushed is not exposed again under its own names.
"""

from __future__ import annotations

import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.errors import ForbiddenError, PingError
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.desk import Desk, caller_of, job_name, recorded, sender
from afterrun_exporter.ingest.fields import MAX_TIME
from afterrun_exporter.ingest.intake import Intake, Received
from afterrun_exporter.ingest.readings import Readings, read_metrics

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

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
#: Parts of a histogram or summary, which are no value of the run.
_PARTS: Final = ("le", "quantile")


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of pushes and deletions."""
    intake = desk.intake(DIALECT)
    push, delete = _told(intake, pushed(desk, intake)), _told(intake, deleted)
    path = r"/metrics/{job:job(@base64)?/.*}"
    return [web.put(path, push), web.post(path, push), web.delete(path, delete)]


def pushed(desk: Desk, intake: Intake) -> Handler:
    """Return the handler of PUT and POST, which mean the same here."""

    async def handle(request: web.Request) -> web.Response:
        path = request.rel_url.raw_path.removeprefix(PREFIX)
        group = group_of(path)
        job = job_of(group)
        body = await read_body(request, desk.body_limit)
        now, mark = desk.clock.now(), digest(sender(request), path.encode(), body)
        try:
            received: Received = intake.readable(
                *ping_of(job, group, body, now, mark, intake.metrics_limit)
            )
        except PingError as error:
            received = intake.unreadable(job, now, mark, error)
        await recorded(intake, received, caller_of(request))
        return web.Response()

    return handle


async def deleted(request: web.Request) -> web.Response:
    """Answer DELETE. What a job has reported is not forgotten for it."""
    group_of(request.rel_url.raw_path.removeprefix(PREFIX))
    return web.Response(status=202)


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
        if not _LABEL.fullmatch(label) or label.startswith("__"):
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
    body: bytes,
    at: float,
    fingerprint: bytes,
    metrics_limit: int,
) -> tuple[Ping, Readings]:
    """Return the ping that a push is, and what became of its metrics.

    Raises PingError for a body that is not in the text format.
    """
    values: dict[str, float] = {}
    ended = duration = None
    for sample in _samples(body):
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


def _samples(body: bytes) -> Iterator[Sample]:
    text = body.decode("utf-8", "replace")
    if text and not text.endswith("\n"):
        line = text.count("\n") + 1
        raise PingError(
            f"text format parsing error in line {line}: unexpected end of input stream"
        )
    families = iter(text_string_to_metric_families(text))
    while (family := _next(families)) is not None:
        yield from family.samples


def _next(families: Iterator[Metric]) -> Metric | None:
    try:
        return next(families, None)
    # The parser checks less than it relies on.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise PingError(f"text format parsing error: {error!s:.200}") from None


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
        except web.HTTPRequestEntityTooLarge as error:
            intake.refuse("", error.text or "")
            return web.Response(status=413, text=f"{error.text}\n")

    return handle
