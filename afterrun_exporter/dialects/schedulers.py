"""Run records and worker events of schedulers, posted unchanged.

``POST /runs`` takes rows of a table of runs, ``POST /events`` the events of a worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import FAILURES, NEUTRAL, Kind
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.dialects.context import DialectContext, batch_response, job_name
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import reports, unknown_fields
from afterrun_exporter.ingest.batches import BrokenItem, split
from afterrun_exporter.ingest.bodies import LARGE_BATCH, parsed, read_body
from afterrun_exporter.ingest.fields import instant
from afterrun_exporter.ingest.native import counting_refusals
from afterrun_exporter.ingest.recorder import (
    Read,
    ReportRecorder,
    Unread,
    read_fields,
    sender,
)
from afterrun_exporter.ingest.vocabulary import meaning, meaning_of_event

RUNS: Final = "runs"
EVENTS: Final = "events"

#: Field names of run records, with the native field of each.
FIELD_NAMES: Final = {"error": "message", "error_message": "message", "id": "run_id"}
#: Field names in several schedulers for the time at which a run was due.
SCHEDULED: Final = (
    "scheduled_time",
    "scheduled_at",
    "scheduled_for",
    "scheduledTime",
    "scheduledAt",
    "scheduledFor",
)
#: Fields of a run record with a meaning; other numbers are metrics.
RECORD_FIELDS: Final = {
    *reports.Report.model_fields,
    *FIELD_NAMES,
    *SCHEDULED,
    "job_id",
    "job",
    "project",
}

#: The fields of those for which a native report has no field.
NO_FIELDS: Final = (
    RECORD_FIELDS - reports.Report.model_fields.keys() - FIELD_NAMES.keys()
)

#: Fields of an event with a meaning of their own.
EVENT_FIELDS: Final = {
    *("type", "event", "timestamp", "payload", "sourceApp", "source", "id"),
    *("jobId", "executionId", "runId", "durationMs", "attempt", "maxAttempts"),
    *("status", "result", "error", *SCHEDULED),
}

#: Statuses of canceled or skipped runs.
CANCELED: Final = {(Kind.FINISH, outcome) for outcome in NEUTRAL}

OUTCOMES: Final = {"job.started": "start", "job.completed": "ok", "job.failed": "fail"}


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of records and of events."""
    runs, events = context.recorder(RUNS), context.recorder(EVENTS)
    return [
        *endpoints.RUN_RECORDS.to(
            counting_refusals(runs, partial(record, context, runs, run_report))
        ),
        *endpoints.EVENTS.to(
            counting_refusals(events, partial(record, context, events, event_report))
        ),
    ]


#: Returns the job and the report fields of one record; None if it is no report.
Reading = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]] | None]


async def record(
    context: DialectContext,
    recorder: ReportRecorder,
    reading: Reading,
    request: web.Request,
) -> web.Response:
    """Record each item of a request for which *reading* returns a report.

    The body is one object, an array, or one object a line. It is recorded in one
    transaction, with one result per item.
    """
    body = await read_body(request, context.body_limit)
    now, source = context.clock.now(), sender(request)
    limit = recorder.metrics_limit

    def parse() -> list[Read]:
        return [*read_all(split(body), reading, now, source, limit)]

    items = await parsed(len(body), parse, LARGE_BATCH)
    received = [recorder.resolve(one, now) async for one in cooperatively(items)]
    results = await recorder.record_all(received, caller_of(request))
    return await batch_response(received, results)


def read_all(
    items: Sequence[object], reading: Reading, at: float, source: bytes, limit: int
) -> Iterator[Read]:
    """Yield the reports among *items*."""
    for item in items:
        if isinstance(item, BrokenItem):
            yield Unread("", digest(source, item.text), item.error)
            continue
        mark = digest(source, repr(item).encode("utf-8", "surrogatepass"))
        try:
            read = reading(_object(item))
        except PingError as error:
            yield Unread("", mark, error)
            continue
        if read is not None:
            yield read_fields(*read, at, mark, limit)


def run_report(record: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return job and report fields of a row of runs; raise PingError without a job."""
    job = record.get("job_id") or record.get("job")
    if not isinstance(job, str):
        raise PingError('"job_id" is missing in the record: name the job of the run')
    fields: dict[str, Any] = {}
    reported = record.get("metrics")
    metrics = {**reported} if isinstance(reported, dict) else {}
    others: dict[str, Any] = {}
    for name, value in record.items():
        if name in RECORD_FIELDS:
            if value is not None and name not in NO_FIELDS:
                fields[FIELD_NAMES.get(name, name)] = value
        elif value is not None:
            others[name] = value
    fields |= unknown_fields.distributed(others, metrics, fields)
    if "message" in fields and not isinstance(fields["message"], str):
        fields["message"] = json.dumps(fields["message"])
    error = record.get("error") or record.get("error_message")
    # The error of a canceled run is its reason.
    if error and meaning(str(record.get("status"))) not in CANCELED:
        fields["error"] = error
    if "run_id" not in fields and (run_id := _run_id(record)):
        fields["run_id"] = run_id
    return job_name(job), {**fields, "metrics": metrics}


def event_report(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the job and the report fields of an event; None for other event types.

    Raises PingError if it names no job.
    """
    kind = event.get("type") or event.get("event")
    status = _status_of(str(kind))
    if status is None:
        return None
    payload = event.get("payload")
    event_data = payload if isinstance(payload, dict) else event
    job = event_data.get("jobId")
    if not isinstance(job, str):
        if kind not in OUTCOMES:
            return None
        raise PingError(f'"jobId" is missing in the event {kind}: name the job')
    result = event_data.get("result")
    reported = result if isinstance(result, dict) else {}
    metrics = {
        name: value
        for name, value in reported.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    others = {name: event_data[name] for name in event_data.keys() - EVENT_FIELDS}
    if isinstance(event_data.get("status"), str):
        others["state"] = event_data["status"]
    fields = {
        **unknown_fields.distributed(others, metrics, {}),
        "status": status,
        "run_id": event_data.get("executionId")
        or event_data.get("runId")
        or _scheduled(event_data),
        "duration_ms": event_data.get("durationMs"),
        "attempt": event_data.get("attempt"),
        "max_attempts": event_data.get("maxAttempts"),
        "message": _words(event_data.get("error")),
        # Both may claim a failure.
        "error": event_data.get("error"),
        "result": result,
        "ended_at": None if status == "start" else event.get("timestamp"),
        "started_at": event.get("timestamp") if status == "start" else None,
        "metrics": metrics,
    }
    return job_name(job), {k: v for k, v in fields.items() if v not in (None, {})}


def _status_of(kind: str) -> str | None:
    """Return the status that an event of this type reports; None for other types."""
    if (status := OUTCOMES.get(kind)) is not None:
        return status
    # Workers use their own spellings: JOB_FAILED, jobFailed, task.failed.
    verb = meaning_of_event(kind)
    return "fail" if verb is not None and verb[1] in FAILURES else None


def _run_id(record: Mapping[str, Any]) -> str | None:
    """Return a run id for a row without an id: its due time, else its start."""
    if (scheduled := _scheduled(record)) is not None:
        return scheduled
    started_at = record.get("started_at")
    return None if started_at is None else str(started_at)


def _scheduled(record: Mapping[str, Any]) -> str | None:
    """Return the time at which a run was due, in one normalized spelling."""
    for name in SCHEDULED:
        due = record.get(name)
        if isinstance(due, str | int | float) and not isinstance(due, bool) and due:
            try:
                time = instant(due)
            except (ValueError, OverflowError):
                return str(due)
            return format_time(time) if time.is_integer() else str(time)
    return None


def _object(item: object) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    raise PingError("each record must be a JSON object")


def _words(error: object) -> str | None:
    if isinstance(error, dict):
        error = error.get("message") or json.dumps(error)
    return str(error) if error else None
