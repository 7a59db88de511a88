"""Tasks of a task runner: its webhooks, its task JSON, and its updates by task id.

``POST /task`` accepts tasks; ``PUT /task`` counts of finished items, which are added
up; ``PATCH`` and ``DELETE /task/{id}`` change one task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from msgspec.structs import replace

from afterrun_exporter.auth import endpoints
from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.request_caller import caller_of
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.dialects.context import DialectContext, batch_response
from afterrun_exporter.dialects.tasks.task_fields import (
    limit_of,
    new_counts,
    report_of,
    total_counts,
    unread,
)
from afterrun_exporter.dialects.tasks.task_index import Attempts, TaskIndex
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest.batches import BrokenItem, split
from afterrun_exporter.ingest.bodies import LARGE_BATCH, parsed, read_body
from afterrun_exporter.ingest.native import counting_refusals
from afterrun_exporter.ingest.recorder import (
    Read,
    Received,
    Refused,
    Unread,
    read_fields,
    sender,
)

DIALECT: Final = "task_runner"


def routes(context: DialectContext) -> list[web.RouteDef]:
    """Return the routes of tasks."""
    tasks = TaskRunner(context)
    handlers = {
        endpoints.TASKS: tasks.put,
        endpoints.TASK_COUNTS: tasks.count,
        endpoints.UPDATE_TASK: tasks.update,
        endpoints.PAUSE_TASK: tasks.pause,
        endpoints.CANCEL_TASK: tasks.cancel,
    }
    return [
        route
        for endpoint, handler in handlers.items()
        for route in endpoint.to(counting_refusals(tasks.recorder, handler))
    ]


class TaskRunner:
    """The handlers of tasks."""

    def __init__(self, context: DialectContext) -> None:
        self.recorder = context.recorder(DIALECT)
        self._context = context
        self._index = TaskIndex(context)

    async def put(self, request: web.Request) -> web.Response:
        """Record tasks, and webhooks about tasks."""
        body = await read_body(request, self._context.body_limit)
        event, at = request.match_info.get("event"), self._context.clock.now()
        source, caller = sender(request), caller_of(request)
        limit = self.recorder.metrics_limit

        def parse() -> list[TaskReport | Unread]:
            return [read_task(item, event, at, source, limit) for item in split(body)]

        received: list[Received] = []
        async for one in cooperatively(await parsed(len(body), parse, LARGE_BATCH)):
            received += self._reports_of(one, at, caller)
        return await self._record(received, caller)

    async def count(self, request: web.Request) -> web.Response:
        """Record counts of items, of one task or several."""
        body = await read_body(request, self._context.body_limit)
        at, caller = self._context.clock.now(), caller_of(request)
        received = [
            await self._report_of_counts(item, at, caller)
            async for item in cooperatively(await _split(body))
        ]
        return await self._record(received, caller)

    async def update(self, request: web.Request) -> web.Response:
        """Record a change to one task."""
        body = await read_body(request, self._context.body_limit)
        task, at = request.match_info["task"], self._context.clock.now()
        items = await _split(body)
        item = items[0] if len(items) == 1 else None
        if not isinstance(item, dict):
            raise PingError("an update of a task must be one JSON object")
        caller = caller_of(request)
        job = await self._index.job_of(task, caller)
        received: list[Received]
        if "status" in item:
            task_fields = {**item, "id": task, "name": job}
            limit, source = self.recorder.metrics_limit, sender(request)
            one = await parsed(
                len(body), lambda: read_task(task_fields, None, at, source, limit)
            )
            received = self._reports_of(one, at, caller)
        else:
            received = [*_progress(task, job, item, at)]
            received = received or [_progress_ping(task, job, {}, at)]
        return await self._record(received, caller)

    async def pause(self, request: web.Request) -> web.Response:
        """Log a pause."""
        return await self._set_status(request, "Paused")

    async def cancel(self, request: web.Request) -> web.Response:
        """Record a cancellation."""
        return await self._set_status(request, "Canceled")

    async def _set_status(self, request: web.Request, status: str) -> web.Response:
        task, caller = request.match_info["task"], caller_of(request)
        job, at = await self._index.job_of(task, caller), self._context.clock.now()
        task_fields = {"id": task, "name": job, "status": status}
        one = read_task(task_fields, None, at, b"", self.recorder.metrics_limit)
        return await self._record(self._reports_of(one, at, caller), caller)

    def _reports_of(
        self, one: TaskReport | Unread, at: float, caller: Caller
    ) -> list[Received]:
        """Return the reports of a task.

        Counts sent with the end of a run belong to that run; others are progress.
        """
        read = one if isinstance(one, Unread) else one.read
        report = self.recorder.resolve(read, at)
        if isinstance(one, Unread) or not isinstance(report, Ping):
            return [report]
        report = self._limited(report, one.task, caller)
        if report.kind is not Kind.FINISH:
            return [report, *_progress(report.run_id, one.job, one.task, at)]
        if not one.counts:
            return [report]
        if not one.totals:
            return [replace(report, metrics=one.counts, adds=True)]
        return [_progress_ping(report.run_id, one.job, one.counts, at), report]

    def _limited(self, ping: Ping, task: Mapping[str, Any], caller: Caller) -> Ping:
        """Return *ping* with the time limit of its task, and with warnings.

        The limit may be in an earlier report that created the task.
        """
        limit, warnings = limit_of(task)
        run_id = ping.run_id or ""
        may = caller.may(Scope.PING, ping.job)
        if may and ping.kind is Kind.LOG and limit is not None and run_id:
            self._index.note_limit(run_id, limit)
        if ping.kind is Kind.START:
            limit = limit or self._index.limit_of(run_id)
            ping = replace(ping, max_runtime=limit)
        return replace(ping, warnings=(*ping.warnings, *warnings, *unread(task)))

    async def _report_of_counts(
        self, item: object, at: float, caller: Caller
    ) -> Received:
        try:
            update = _object(item)
            task = str(update.get("task_id") or "")
            job = await self._index.job_of(task, caller)
            return _progress_ping(task, job, new_counts(update), at)
        except (PingError, UnknownJobError) as error:
            return self.recorder.unreadable("", at, b"", PingError(str(error)))
        except ForbiddenError as error:
            return Refused("", error, None)

    async def _record(
        self, received: Sequence[Received], caller: Caller
    ) -> web.Response:
        """Record reports in one transaction and return a response with each result."""
        attempts = Attempts(self._context.service)
        reports = [
            await attempts.of(one) if isinstance(one, Ping) else one
            async for one in cooperatively(received)
        ]
        results = await self.recorder.record_all(reports, caller)
        for one, result in zip(reports, results, strict=True):
            is_recorded = isinstance(result, ReportResult)
            if is_recorded and isinstance(one, Ping) and one.run_id:
                self._index.note(one.run_id, one.job)
        return await batch_response(reports, results)


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A task as it was sent, and the report read from it."""

    task: Mapping[str, Any]
    read: Read
    job: str
    counts: Mapping[str, float]
    totals: Mapping[str, float]


def read_task(
    item: object, event: str | None, at: float, source: bytes, limit: int
) -> TaskReport | Unread:
    """Return the report of a task, or of an update of one, with its counts."""
    if isinstance(item, BrokenItem):
        return Unread("", digest(source, item.text), item.error)
    mark = digest(source, repr((event, item)).encode("utf-8", "surrogatepass"))
    try:
        task = _object(item)
        job, fields = report_of(task, event)
        counts, totals = new_counts(task), total_counts(task)
    except PingError as error:
        return Unread("", mark, error)
    return TaskReport(
        task, read_fields(job, fields, at, mark, limit), job, counts, totals
    )


async def _split(body: bytes) -> list[object]:
    return await parsed(len(body), lambda: split(body), LARGE_BATCH)


def _progress(
    task: str | None, job: str, fields: Mapping[str, Any], at: float
) -> Iterator[Ping]:
    """Yield progress reports with the counts of items of an open task."""
    # Counts of 0 are no progress, and may be late.
    if totals := {name: count for name, count in total_counts(fields).items() if count}:
        yield replace(_progress_ping(task, job, totals, at), adds=False)
    if counts := new_counts(fields):
        yield _progress_ping(task, job, counts, at)


def _progress_ping(
    task: str | None, job: str, counts: Mapping[str, float], at: float
) -> Ping:
    return Ping(
        job=job,
        kind=Kind.PROGRESS,
        at=at,
        run_id=task,
        metrics=counts,
        adds=True,
    )


def _object(item: object) -> dict[str, Any]:
    if isinstance(item, BrokenItem):
        raise item.error
    if isinstance(item, dict):
        return item
    raise PingError("each task must be a JSON object")
