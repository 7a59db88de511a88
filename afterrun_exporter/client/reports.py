"""Reports in the format of the daemon."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final
from uuid import uuid4

#: Statuses of a run that goes on; all others end it.
START_STATUSES: Final = frozenset({"start", "started", "running", "in_progress"})
PASSING: Final = frozenset({"progress", "log"})

#: Statuses of a successful run.
GOOD: Final = frozenset({"ok", "success", "succeeded", "complete", "completed"})

#: The length limit of a message, in bytes; its end is kept, which has the error.
MAX_MESSAGE: Final = 8 * 1024

#: Values nested deeper are sent as text.
MAX_DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """One report of one job; docs/api.md describes *fields*."""

    job: str
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """``start``, ``passing`` or ``finish``: the importance of the report."""
        status = str(self.fields.get("status", "ok")).strip().lower()
        if status in START_STATUSES:
            return "start"
        return "passing" if status in PASSING else "finish"

    def body(self) -> bytes:
        """Return the body of a request that names the job in its path."""
        return _json(dict(self.fields))

    def item(self) -> bytes:
        """Return the report as one line of a batch."""
        return _json({"job": self.job, **self.fields})


def read_item(text: bytes) -> Report:
    """Return the report that `Report.item` wrote; raises ValueError if malformed."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or not isinstance(fields.get("job"), str):
        raise ValueError('a report is a JSON object with a "job"')
    return Report(fields.pop("job"), fields)


def report(job: str, status: str, **fields: Any) -> Report:
    """Return a report of *job*, without fields that are None or empty."""
    present = {n: v for n, v in fields.items() if v is not None and v not in ("", {})}
    return Report(job, {"status": status, **present})


def dated(original: Report, now: float) -> Report:
    """Return *original* with its time, and a finish also with a run id.

    A start without a run id stays so: an end without one then belongs to it.
    """
    if original.kind == "passing":
        return original
    if original.kind == "start":
        return Report(original.job, {"started_at": now, **original.fields})
    defaults = {"ended_at": now, "run_id": new_run_id()}
    return Report(original.job, {**defaults, **original.fields})


def remarked(original: Report, line: str) -> Report:
    """Return *original* with a further line at the end of its message."""
    message = "\n".join(t for t in (str(original.fields.get("message", "")), line) if t)
    return Report(original.job, {**original.fields, "message": cut(message)})


def new_run_id() -> str:
    """Return a random run id."""
    return str(uuid4())


def cut(message: str, limit: int = MAX_MESSAGE) -> str:
    """Return the last *limit* bytes of *message*."""
    raw = message.encode("utf-8", "replace")
    return message if len(raw) <= limit else raw[-limit:].decode("utf-8", "ignore")


def worse_status(status: str | None, exit_code: int | None) -> tuple[str, str]:
    """Return the worse of a status and an exit code, and a warning if they contradict."""
    if exit_code in {None, 0}:
        return status or "ok", ""
    if not status:
        return "fail", ""
    if status.strip().lower() not in GOOD:
        return status, ""
    return "fail", (
        f"status {status!r} contradicts exit code {exit_code}: the worse one counts, "
        "and 'fail' is reported"
    )


def _json(value: Mapping[str, Any]) -> bytes:
    # ASCII, so that no Unicode line separator can end a line of a batch.
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_plain(value))
    if "\\ud" in text:
        # Half a surrogate pair, of an argument that is not UTF-8, is invalid JSON.
        text = json.dumps(_plain(value))
    return text.encode()


def _plain(value: Any, depth: int = 0) -> Any:
    """Return *value* with all that JSON cannot represent replaced by text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, Mapping) and depth < MAX_DEPTH:
        return {_text(key): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < MAX_DEPTH:
        return [_plain(one, depth + 1) for one in value]
    return _text(value)


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()
