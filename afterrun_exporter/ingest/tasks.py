"""Tasks of a task runner: its webhooks, its task JSON, and its updates by task id.

``POST /task`` takes tasks as they are; ``PUT /task`` counts of items that are done,
which add up; ``PATCH`` and ``DELETE /task/{id}`` change one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec.structs import replace

from afterrun_exporter.access.callers import Scope
from afterrun_exporter.core.model import Kind, Ping
from afterrun_exporter.core.repeats import digest
from afterrun_exporter.errors import PingError, UnknownJobError
from afterrun_exporter.ingest.batches import split
from afterrun_exporter.ingest.bodies import read_body
from afterrun_exporter.ingest.desk import Desk, answered, caller_of, job_name, sender
from afterrun_exporter.ingest.intake import Intake, Received
from afterrun_exporter.ingest.native import counted

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

#: The metrics that counts of items become.
SUCCEEDED: Final = "items_succeeded"
FAILED: Final = "items_failed"

#: Tasks whose job is remembered; those that are forgotten are looked for.
MAX_TASKS: Final = 100_000


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


class Tasks:
    """Which job each task is a run of."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._jobs: OrderedDict[str, str] = OrderedDict()
        self._looked = False

    def note(self, task: str, job: str) -> None:
        """Remember that *task* is a run of *job*."""
        self._jobs[task] = job
        if len(self._jobs) > MAX_TASKS:
            self._jobs.popitem(last=False)

    def job_of(self, task: str) -> str:
        """Return the job of *task*; raise UnknownJobError where nobody told.

        After a restart those are known whose runs are open.
        """
        if not self._looked:
            self._looked = True
            for run_id, name in self._desk.open_runs():
                self._jobs.setdefault(run_id, name)
        if (job := self._jobs.get(task)) is None:
            raise UnknownJobError(
                f"unknown task {task[:64]!r}: send the task with its name first"
            )
        return job


def created(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of tasks as they are, and of what webhooks send of them."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        event, at = request.match_info.get("event"), desk.clock.now()
        caller = caller_of(request)
        received = [
            _of_task(intake, item, event, at, sender(request)) for item in split(body)
        ]
        for one in received:
            allowed = caller.may(Scope.PING, one.job)
            if isinstance(one, Ping) and one.run_id and allowed:
                tasks.note(one.run_id, one.job)
        return await answered(intake, received, caller)

    return handle


def added_up(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of counts of items, of one task or of many."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        at = desk.clock.now()
        received = [_of_counts(intake, tasks, item, at) for item in split(body)]
        return await answered(intake, received, caller_of(request))

    return handle


def changed(desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    """Return the handler of a change to one task."""

    async def handle(request: web.Request) -> web.Response:
        body = await read_body(request, desk.body_limit)
        task = request.match_info["task"]
        items = split(body)
        item = items[0] if len(items) == 1 else None
        if not isinstance(item, dict):
            raise PingError("a change of a task is one JSON object")
        counts = _counts(item)
        fields = {**item, "id": task, "name": tasks.job_of(task)}
        if "status" in item:
            received = _of_task(intake, fields, None, desk.clock.now(), sender(request))
        else:
            received = _progress(task, tasks.job_of(task), {}, desk.clock.now())
        if isinstance(received, Ping):
            received = replace(received, metrics=counts, adds=True)
        return await answered(intake, [received], caller_of(request))

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
    name, status = task.get("name"), str(event or task.get("status") or "")
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
        "metrics": _totals(task) if kind not in {"log", "start"} else None,
    }
    return job_name(name), {k: v for k, v in fields.items() if v is not None}


def _of_task(
    intake: Intake, item: object, event: str | None, at: float, whose: bytes
) -> Received:
    mark = digest(whose, repr((event, item)).encode("utf-8", "surrogatepass"))
    try:
        job, fields = report_of(_object(item), event)
    except PingError as error:
        return intake.unreadable("", at, mark, error)
    return intake.read(job, fields, at, mark)


def _of_counts(intake: Intake, tasks: Tasks, item: object, at: float) -> Received:
    try:
        update = _object(item)
        task = str(update.get("task_id") or "")
        return _progress(task, tasks.job_of(task), _counts(update), at)
    except PingError as error:
        return intake.unreadable("", at, b"", error)
    except UnknownJobError as error:
        return intake.unreadable("", at, b"", PingError(str(error)))


def _progress(task: str, job: str, counts: Mapping[str, float], at: float) -> Ping:
    return Ping(
        job=job,
        kind=Kind.PROGRESS,
        at=at,
        run_id=task,
        metrics=counts,
        adds=True,
    )


def _saying(status: str, desk: Desk, intake: Intake, tasks: Tasks) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        task = request.match_info["task"]
        told = {"id": task, "name": tasks.job_of(task), "status": status}
        at = desk.clock.now()
        received = _of_task(intake, told, None, at, b"")
        return await answered(intake, [received], caller_of(request))

    return handle


def _counts(update: Mapping[str, Any]) -> dict[str, float]:
    """Return how many more items are done; raise PingError for what is no count."""
    return dict(_numbers(update, {"new_success": SUCCEEDED, "new_failures": FAILED}))


def _totals(task: Mapping[str, Any]) -> dict[str, float] | None:
    totals = dict(_numbers(task, {"success": SUCCEEDED, "failures": FAILED}))
    return totals or None


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
    if isinstance(item, PingError):
        raise item
    if isinstance(item, dict):
        return item
    raise PingError("each task is a JSON object")
