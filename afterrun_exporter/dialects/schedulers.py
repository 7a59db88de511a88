"""Records that schedulers keep of their runs, posted as they are.

``POST /runs`` takes rows of a table of runs, ``POST /events`` the events of a worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.auth.requests import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.model import FAILURES, NEUTRAL, Kind
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.dialects.context import DialectContext, answered, job_name
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import reports, unknown_fields
from afterrun_exporter.ingest.batches import BrokenItem, split
from afterrun_exporter.ingest.bodies import LARGE_BATCH, parsed, read_body
from afterrun_exporter.ingest.fields import instant
from afterrun_exporter.ingest.native import counted
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

#: What is said of a run, by its own words and by ours.
WORDS: Final = {"error": "message", "error_message": "message", "id": "run_id"}
#: When a run was due, by the words of several schedulers.
SCHEDULED: Final = (
    "scheduled_time",
    "scheduled_at",
    "scheduled_for",
    "scheduledTime",
    "scheduledAt",
    "scheduledFor",
)
#: Its other numbers are metrics.
KNOWN: Final = {
    *reports.Report.model_fields,
    *WORDS,
    *SCHEDULED,
    "job_id",
    "job",
    "project",
}

#: Of these, what a report has no field for.
NO_FIELDS: Final = KNOWN - reports.Report.model_fields.keys() - WORDS.keys()

#: Fields of an event with a meaning of their own.
EVENT_FIELDS: Final = {
    *("type", "event", "timestamp", "payload", "sourceApp", "source", "id"),
    *("jobId", "executionId", "runId", "durationMs", "attempt", "maxAttempts"),
    *("status", "result", "error", *SCHEDULED),
}

#: Statuses of runs that were called off.
CALLED_OFF: Final = {(Kind.FINISH, outcome) for outcome in NEUTRAL}

OUTCOMES: Final = {"job.started": "start", "job.completed": "ok", "job.failed": "fail"}


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of records and of events."""
    runs, events = context.recorder(RUNS), context.recorder(EVENTS)
    return [
        web.post("/runs", counted(runs, taking(context, runs, of_run))),
        web.post("/events", counted(events, taking(context, events, of_event))),
    ]


#: Makes a job and the fields of a report of one record; None for what is no report.
Reading = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]] | None]


def taking(
    context: DialectContext, recorder: ReportRecorder, reading: Reading
) -> Handler:
    """Return the handler of records that *reading* makes reports of.

    One object, an array, or one a line: one transaction, answered one by one.
    """

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, context.body_limit)
        now, whose = context.clock.now(), sender(request)
        limit = recorder.metrics_limit

        def parse() -> list[Read]:
            return [*read_all(split(body), reading, now, whose, limit)]

        found = await parsed(len(body), parse, LARGE_BATCH)
        received = [recorder.settled(one, now) async for one in cooperatively(found)]
        return await answered(recorder, received, caller_of(request))

    return handle


def read_all(
    items: Sequence[object], reading: Reading, at: float, whose: bytes, limit: int
) -> Iterator[Read]:
    """Yield what each of *items* says that is a report."""
    for item in items:
        if isinstance(item, BrokenItem):
            yield Unread("", digest(whose, item.text), item.error)
            continue
        mark = digest(whose, repr(item).encode("utf-8", "surrogatepass"))
        try:
            read = reading(_object(item))
        except PingError as error:
            yield Unread("", mark, error)
            continue
        if read is not None:
            yield read_fields(*read, at, mark, limit)


def of_run(record: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the job and the report of a row of a table of runs.

    Raises PingError for one that names no job.
    """
    job = record.get("job_id") or record.get("job")
    if not isinstance(job, str):
        raise PingError('a record of a run names its job: "job_id" is missing')
    fields: dict[str, Any] = {}
    told = record.get("metrics")
    metrics = {**told} if isinstance(told, dict) else {}
    others: dict[str, Any] = {}
    for name, value in record.items():
        if name in KNOWN:
            if value is not None and name not in NO_FIELDS:
                fields[WORDS.get(name, name)] = value
        elif value is not None:
            others[name] = value
    fields |= unknown_fields.sorted_out(others, metrics, fields)
    if "message" in fields and not isinstance(fields["message"], str):
        fields["message"] = json.dumps(fields["message"])
    error = record.get("error") or record.get("error_message")
    # Of a cancellation it is the reason.
    if error and meaning(str(record.get("status"))) not in CALLED_OFF:
        fields["error"] = error
    if "run_id" not in fields and (run_id := _run_id(record)):
        fields["run_id"] = run_id
    return job_name(job), {**fields, "metrics": metrics}


def of_event(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the job and the report of an event; None for one of another kind.

    Raises PingError for one that names no job.
    """
    kind = event.get("type") or event.get("event")
    status = _status_of(str(kind))
    if status is None:
        return None
    payload = event.get("payload")
    told = payload if isinstance(payload, dict) else event
    job = told.get("jobId")
    if not isinstance(job, str):
        if kind not in OUTCOMES:
            return None
        raise PingError(f'an event {kind} names its job: "jobId" is missing')
    result = told.get("result")
    reported = result if isinstance(result, dict) else {}
    metrics = {
        name: value
        for name, value in reported.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    others = {name: told[name] for name in told.keys() - EVENT_FIELDS}
    if isinstance(told.get("status"), str):
        others["state"] = told["status"]
    fields = {
        **unknown_fields.sorted_out(others, metrics, {}),
        "status": status,
        "run_id": told.get("executionId") or told.get("runId") or _scheduled(told),
        "duration_ms": told.get("durationMs"),
        "attempt": told.get("attempt"),
        "max_attempts": told.get("maxAttempts"),
        "message": _words(told.get("error")),
        # Both may say that it failed after all.
        "error": told.get("error"),
        "result": result,
        "ended_at": None if status == "start" else event.get("timestamp"),
        "started_at": event.get("timestamp") if status == "start" else None,
        "metrics": metrics,
    }
    return job_name(job), {k: v for k, v in fields.items() if v not in (None, {})}


def _status_of(kind: str) -> str | None:
    """Return the status that an event of this type reports; None for another kind."""
    if (status := OUTCOMES.get(kind)) is not None:
        return status
    # Workers spell them in their own way: JOB_FAILED, jobFailed, task.failed.
    known = meaning_of_event(kind)
    return "fail" if known is not None and known[1] in FAILURES else None


def _run_id(record: Mapping[str, Any]) -> str | None:
    """Return the key of a row that has no id: the same job never runs twice at once."""
    if (scheduled := _scheduled(record)) is not None:
        return scheduled
    started = record.get("started_at")
    return None if started is None else str(started)


def _scheduled(record: Mapping[str, Any]) -> str | None:
    """Return when a run was due, in one way for all ways to write the same time."""
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
    raise PingError("each record is a JSON object")


def _words(error: object) -> str | None:
    if isinstance(error, dict):
        error = error.get("message") or json.dumps(error)
    return str(error) if error else None
