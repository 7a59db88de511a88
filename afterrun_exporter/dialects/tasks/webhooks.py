"""Tasks of a task runner: its webhooks, its task JSON, and its updates by task id.

``POST /task`` takes tasks as they are; ``PUT /task`` counts of items that are done,
which add up; ``PATCH`` and ``DELETE /task/{id}`` change one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec.structs import replace

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.requests import caller_of
from afterrun_exporter.clock import in_steps
from afterrun_exporter.core.model import FAILURES, Kind, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.dialects.context import Desk, answer, job_name
from afterrun_exporter.dialects.tasks.task_index import Attempts, Tasks
from afterrun_exporter.engine.results import Verdict
from afterrun_exporter.errors import ForbiddenError, PingError, UnknownJobError
from afterrun_exporter.ingest.batches import BrokenItem, split
from afterrun_exporter.ingest.bodies import LARGE_BATCH, parsed, read_body
from afterrun_exporter.ingest.fields import MAX_TIME
from afterrun_exporter.ingest.native import counted
from afterrun_exporter.ingest.recorder import (
    Intake,
    Read,
    Received,
    Refused,
    Unread,
    read_fields,
    sender,
)
from afterrun_exporter.ingest.vocabulary import meaning, words

DIALECT: Final = "task_runner"

#: What each status, or trigger of a webhook, says of a run. One that waits is only
#: noted: its run has not begun.
STATUSES: Final[Mapping[str, str]] = {
    "pending": "log",
    "waiting": "log",
    "paused": "log",
    "start": "start",
    "running": "start",
    "success": "ok",
    "failure": "fail",
    "canceled": "canceled",
    "cancelled": "canceled",
}

#: Fields of a task with a meaning of their own, or with none for us.
KNOWN: Final = words(
    """
    id name kind status metadata failure_reason started_at ended_at created_at
    updated_at last_updated timeout success failures new_success new_failures task_id
    dependencies rules on_start on_success on_failure on_cancel actions
    """
)
#: Parts of a task that are not read, and what to write instead.
UNREAD: Final = {
    "dependencies": "write depends_on in afterrun.yml, which holds between jobs",
    "rules": "write concurrency in afterrun.yml, which holds for the runs of one job",
}

#: The metrics that counts of items become.
SUCCEEDED: Final = "items_succeeded"
FAILED: Final = "items_failed"


def routes(desk: Desk) -> list[web.RouteDef]:
    """Return the routes of tasks."""
    tasks = Tasks(desk)
    intake = desk.intake(DIALECT)

    def route(make: Any, method: str, path: str) -> web.RouteDef:
        return web.route(method, path, counted(intake, make(desk, intake, tasks)))

    return [
        route(created, "POST", "/task"),
        route(created, "POST", r"/hooks/task/{event:start|success|failure}"),
        route(added_up, "PUT", "/task"),
        route(changed, "PATCH", "/task/{task}"),
        route(paused, "PATCH", "/task/pause/{task}"),
        route(canceled, "DELETE", "/task/{task}"),
    ]


def created(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of tasks as they are, and of what webhooks send of them."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        event, at = request.match_info.get("event"), desk.clock.now()
        whose, caller = sender(request), caller_of(request)
        limit = intake.metrics_limit

        def parse() -> list[TaskReport | Unread]:
            return [read_task(item, event, at, whose, limit) for item in split(body)]

        received: list[Received] = []
        async for one in in_steps(await parsed(len(body), parse, LARGE_BATCH)):
            received += _of_task(intake, tasks, one, at, caller)
        return await _answered(desk, intake, tasks, received, caller)

    return handle


def added_up(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of counts of items, of one task or of many."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        at, caller = desk.clock.now(), caller_of(request)
        received = [
            await _of_counts(intake, tasks, item, at, caller)
            async for item in in_steps(await _split(body))
        ]
        return await _answered(desk, intake, tasks, received, caller)

    return handle


def changed(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of a change to one task."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        task, at = request.match_info["task"], desk.clock.now()
        items = await _split(body)
        item = items[0] if len(items) == 1 else None
        if not isinstance(item, dict):
            raise PingError("a change of a task is one JSON object")
        caller = caller_of(request)
        job = await tasks.job_of(task, caller)
        received: list[Received]
        if "status" in item:
            told = {**item, "id": task, "name": job}
            limit, whose = intake.metrics_limit, sender(request)
            one = await parsed(
                len(body), lambda: read_task(told, None, at, whose, limit)
            )
            received = _of_task(intake, tasks, one, at, caller)
        else:
            received = [*_progress(task, job, item, at)]
            received = received or [_counted(task, job, {}, at)]
        return await _answered(desk, intake, tasks, received, caller)

    return handle


def paused(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of a pause, which is only noted."""
    return _saying("Paused", desk, intake, tasks)


def canceled(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of a cancellation."""
    return _saying("Canceled", desk, intake, tasks)


def report_of(task: Mapping[str, Any], event: str | None) -> tuple[str, dict[str, Any]]:
    """Return the job and the fields of a report of *task*; *event* is a webhook's.

    Raises PingError where it names no job, or has a status that there is not.
    """
    # A task that is just created has no status yet.
    name, status = task.get("name"), str(event or task.get("status") or "Pending")
    if not isinstance(name, str) or not name:
        raise PingError('a task names its job: "name" is missing')
    if status.lower() not in STATUSES:
        known = "Pending, Waiting, Paused, Running, Success, Failure, Canceled"
        raise PingError(f"unknown status {status[:40]!r} of a task: use one of {known}")
    kind = STATUSES[status.lower()]
    told = task.get("metadata")
    metadata = {**told} if isinstance(told, dict) else {}
    if task.get("kind"):
        metadata["kind"] = task["kind"]
    reason = task.get("failure_reason")
    fields = {
        "status": kind,
        "run_id": task.get("id"),
        "started_at": task.get("started_at") if kind != "log" else None,
        "ended_at": task.get("ended_at") if kind not in {"log", "start"} else None,
        "message": f"the task is {status.lower()}" if kind == "log" else reason,
        "metadata": metadata or None,
        "metrics": (_totals(task) if kind not in {"log", "start"} else None) or None,
        # What else it says may claim a failure; a webhook comes with the task as it was.
        **_contradiction(task, event),
        **{key: value for key, value in task.items() if key not in KNOWN},
    }
    # Of a cancellation it is the reason, and no error.
    if reason and kind not in {"log", "canceled"}:
        fields["error"] = reason
    return job_name(name), {k: v for k, v in fields.items() if v is not None}


def _contradiction(task: Mapping[str, Any], event: str | None) -> dict[str, Any]:
    """Return the state of a task that failed, where its webhook says that it did not."""
    status = task.get("status")
    known = meaning(status) if isinstance(status, str) else None
    if event != "success" or known is None or known[1] not in FAILURES:
        return {}
    return {"state": status}


def limit_of(task: Mapping[str, Any]) -> tuple[float | None, list[str]]:
    """Return the time limit of *task* in seconds, None for none, and warnings."""
    timeout = task.get("timeout")
    if timeout in (None, 0):
        return None, []
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        return None, [f"timeout is {timeout!r:.40}: use a number of seconds"]
    if not 0 < timeout < MAX_TIME:
        return None, [f"timeout is {timeout!r:.40}: use a number of seconds above 0"]
    return float(timeout), []


def _unread(task: Mapping[str, Any]) -> Iterator[str]:
    """Yield warnings about the parts of *task* that nothing is made of."""
    for name, instead in UNREAD.items():
        if task.get(name):
            yield f"{name} of a task are not read: {instead}"


def _limited(said: Ping, task: Mapping[str, Any], tasks: Tasks, caller: Caller) -> Ping:
    """Return *said* with the time limit of its task, and with warnings.

    The limit may have come with the creation of the task.
    """
    limit, warnings = limit_of(task)
    run_id = said.run_id or ""
    may = caller.may(Scope.PING, said.job)
    if may and said.kind is Kind.LOG and limit is not None and run_id:
        tasks.note_limit(run_id, limit)
    if said.kind is Kind.START:
        limit = limit or tasks.limit_of(run_id)
        said = replace(said, max_runtime=limit)
    return replace(said, warnings=(*said.warnings, *warnings, *_unread(task)))


@dataclass(frozen=True, slots=True)
class TaskReport:
    """A task as it was sent, and the report that it is."""

    task: Mapping[str, Any]
    read: Read
    job: str
    counts: Mapping[str, float]
    totals: Mapping[str, float]


def read_task(
    item: object, event: str | None, at: float, whose: bytes, limit: int
) -> TaskReport | Unread:
    """Return what a task says, or a change of one: how it is, and its counts."""
    if isinstance(item, BrokenItem):
        return Unread("", digest(whose, item.text), item.error)
    mark = digest(whose, repr((event, item)).encode("utf-8", "surrogatepass"))
    try:
        task = _object(item)
        job, fields = report_of(task, event)
        counts, totals = _counts(task), _totals(task)
    except PingError as error:
        return Unread("", mark, error)
    return TaskReport(
        task, read_fields(job, fields, at, mark, limit), job, counts, totals
    )


def _of_task(
    intake: Intake, tasks: Tasks, one: TaskReport | Unread, at: float, caller: Caller
) -> list[Received]:
    """Return the reports of a task.

    Counts that come with an end are of the run that it ends; others are progress.
    """
    said = intake.settled(one if isinstance(one, Unread) else one.read, at)
    if isinstance(one, Unread) or not isinstance(said, Ping):
        return [said]
    said = _limited(said, one.task, tasks, caller)
    if said.kind is not Kind.FINISH:
        return [said, *_progress(said.run_id, one.job, one.task, at)]
    if not one.counts:
        return [said]
    if not one.totals:
        return [replace(said, metrics=one.counts, adds=True)]
    return [_counted(said.run_id, one.job, one.counts, at), said]


async def _split(body: bytes) -> list[object]:
    return await parsed(len(body), lambda: split(body), LARGE_BATCH)


async def _of_counts(
    intake: Intake, tasks: Tasks, item: object, at: float, caller: Caller
) -> Received:
    try:
        update = _object(item)
        task = str(update.get("task_id") or "")
        job = await tasks.job_of(task, caller)
        return _counted(task, job, _counts(update), at)
    except PingError as error:
        return intake.unreadable("", at, b"", error)
    except UnknownJobError as error:
        return intake.unreadable("", at, b"", PingError(str(error)))
    except ForbiddenError as error:
        return Refused("", error, None)


def _progress(
    task: str | None, job: str, told: Mapping[str, Any], at: float
) -> Iterator[Ping]:
    """Yield what *told* says of the items of a task that has not ended."""
    # Those of a task that has only begun are no news, and may be late.
    if totals := {name: count for name, count in _totals(told).items() if count}:
        yield replace(_counted(task, job, totals, at), adds=False)
    if counts := _counts(told):
        yield _counted(task, job, counts, at)


def _counted(
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


async def _answered(
    desk: Desk,
    intake: Intake,
    tasks: Tasks,
    received: Sequence[Received],
    caller: Caller,
) -> web.Response:
    """Record reports in one transaction, and answer with what was made of each."""
    attempts = Attempts(desk.service)
    told = [
        await attempts.of(one) if isinstance(one, Ping) else one
        async for one in in_steps(received)
    ]
    results = await intake.take_all(told, caller)
    for one, result in zip(told, results, strict=True):
        if isinstance(one, Ping) and isinstance(result, Verdict) and one.run_id:
            tasks.note(one.run_id, one.job)
    return await answer(told, results)


def _saying(status: str, desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        task, caller = request.match_info["task"], caller_of(request)
        job, at = await tasks.job_of(task, caller), desk.clock.now()
        told = {"id": task, "name": job, "status": status}
        one = read_task(told, None, at, b"", intake.metrics_limit)
        received = _of_task(intake, tasks, one, at, caller)
        return await _answered(desk, intake, tasks, received, caller)

    return handle


def _counts(update: Mapping[str, Any]) -> dict[str, float]:
    """Return how many more items are done; raise PingError for what is no count."""
    return dict(_numbers(update, {"new_success": SUCCEEDED, "new_failures": FAILED}))


def _totals(task: Mapping[str, Any]) -> dict[str, float]:
    """Return how many items are done; raise PingError for what is no count."""
    return dict(_numbers(task, {"success": SUCCEEDED, "failures": FAILED}))


def _numbers(
    told: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    for name, metric in names.items():
        value = told.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise PingError(f"{name} is {value!r:.40}: expected a count of items")
        yield metric, float(value)


def _object(item: object) -> dict[str, Any]:
    if isinstance(item, BrokenItem):
        raise item.error
    if isinstance(item, dict):
        return item
    raise PingError("each task is a JSON object")
