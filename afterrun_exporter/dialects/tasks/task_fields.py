"""The fields of a task as fields of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from afterrun_exporter.core.model import FAILURES
from afterrun_exporter.dialects.context import job_name
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.fields import MAX_TIME
from afterrun_exporter.ingest.vocabulary import meaning, words

#: The report status for each task status or webhook trigger. A waiting task is only
#: logged: its run has not started.
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

#: Fields of a task that are read or ignored on purpose.
READ_FIELDS: Final = words(
    """
    id name kind status metadata failure_reason started_at ended_at created_at
    updated_at last_updated timeout success failures new_success new_failures task_id
    dependencies rules on_start on_success on_failure on_cancel actions
    """
)
#: Unsupported fields of a task, and their replacements.
UNSUPPORTED: Final = {
    "dependencies": "use depends_on in afterrun.yml, which applies between jobs",
    "rules": "use concurrency in afterrun.yml, which applies to the runs of one job",
}

#: The metrics for counts of items.
SUCCEEDED: Final = "items_succeeded"
FAILED: Final = "items_failed"


def report_of(task: Mapping[str, Any], event: str | None) -> tuple[str, dict[str, Any]]:
    """Return the job and the report fields of *task*; *event* is a webhook's trigger.

    Raises PingError if it names no job or has an unknown status.
    """
    # A new task has no status yet.
    name, status = task.get("name"), str(event or task.get("status") or "Pending")
    if not isinstance(name, str) or not name:
        raise PingError('"name" is missing in the task: name its job')
    if status.lower() not in STATUSES:
        statuses = "Pending, Waiting, Paused, Running, Success, Failure, Canceled"
        raise PingError(
            f"unknown status {status[:40]!r} of a task: use one of {statuses}"
        )
    kind = STATUSES[status.lower()]
    task_metadata = task.get("metadata")
    metadata = {**task_metadata} if isinstance(task_metadata, dict) else {}
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
        "metrics": (total_counts(task) if kind not in {"log", "start"} else None)
        or None,
        # Other fields may claim a failure; a webhook sends the task's previous state.
        **_contradiction(task, event),
        **{key: value for key, value in task.items() if key not in READ_FIELDS},
    }
    # The failure reason of a canceled task is no error.
    if reason and kind not in {"log", "canceled"}:
        fields["error"] = reason
    return job_name(name), {k: v for k, v in fields.items() if v is not None}


def _contradiction(task: Mapping[str, Any], event: str | None) -> dict[str, Any]:
    """Return the status of a failed task whose webhook reports a success."""
    status = task.get("status")
    claim = meaning(status) if isinstance(status, str) else None
    if event != "success" or claim is None or claim[1] not in FAILURES:
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


def unread(task: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each unsupported field of *task*."""
    for name, instead in UNSUPPORTED.items():
        if task.get(name):
            yield f"{name} of a task are ignored: {instead}"


def new_counts(update: Mapping[str, Any]) -> dict[str, float]:
    """Return the counts of new items; raise PingError for an invalid count."""
    return dict(_numbers(update, {"new_success": SUCCEEDED, "new_failures": FAILED}))


def total_counts(task: Mapping[str, Any]) -> dict[str, float]:
    """Return the total counts of items; raise PingError for an invalid count."""
    return dict(_numbers(task, {"success": SUCCEEDED, "failures": FAILED}))


def _numbers(
    fields: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[str, float]]:
    for name, metric in names.items():
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise PingError(f"{name} is {value!r:.40}: expected a count of items")
        yield metric, float(value)
