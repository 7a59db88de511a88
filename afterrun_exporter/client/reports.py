"""Reports, as the daemon reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final
from uuid import uuid4

#: Statuses that say that something goes on; all others end a run.
STARTING: Final = frozenset({"start", "started", "running", "in_progress"})
PASSING: Final = frozenset({"progress", "log"})

#: Statuses that say that a run went well.
GOOD: Final = frozenset({"ok", "success", "succeeded", "complete", "completed"})

#: What is kept of a message, from its end: there the error stands.
MAX_MESSAGE: Final = 8 * 1024

#: What is nested deeper is sent as text.
MAX_DEPTH: Final = 10


@dataclass(frozen=True, slots=True)
class Report:
    """One report of one job; what *fields* may hold, docs/api.md and the README say."""

    job: str
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """``start``, ``passing`` or ``finish``: how much is lost without it."""
        status = str(self.fields.get("status", "ok")).strip().lower()
        if status in STARTING:
            return "start"
        return "passing" if status in PASSING else "finish"

    def body(self) -> bytes:
        """Return it as the body of a request that names the job in its path."""
        return _json(dict(self.fields))

    def item(self) -> bytes:
        """Return it as an element of a batch: one line."""
        return _json({"job": self.job, **self.fields})


def read_item(text: bytes) -> Report:
    """Return the report that `Report.item` wrote; raises ValueError if none."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or not isinstance(fields.get("job"), str):
        raise ValueError('a report is a JSON object with a "job"')
    return Report(fields.pop("job"), fields)


def report(job: str, status: str, **fields: Any) -> Report:
    """Return a report of *job*; a field that is None or empty is not sent."""
    known = {n: v for n, v in fields.items() if v is not None and v not in ("", {})}
    return Report(job, {"status": status, **known})


def dated(made: Report, now: float) -> Report:
    """Return *made* with its time, and a finish with a name that tells a repeat.

    A start without a name stays so: then an end without one is known to be its end.
    """
    if made.kind == "passing":
        return made
    if made.kind == "start":
        return Report(made.job, {"started_at": now, **made.fields})
    named = {"ended_at": now, "run_id": new_run_id()}
    return Report(made.job, {**named, **made.fields})


def remarked(made: Report, line: str) -> Report:
    """Return *made* with a further line at the end of its message."""
    message = "\n".join(t for t in (str(made.fields.get("message", "")), line) if t)
    return Report(made.job, {**made.fields, "message": cut(message)})


def new_run_id() -> str:
    """Return a name that no other run has."""
    return str(uuid4())


def cut(message: str, limit: int = MAX_MESSAGE) -> str:
    """Return the end of *message*, at most *limit* bytes of it."""
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
    # ASCII, so that no line separator of Unicode's can end a line of a batch.
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(_plain(value))
    if "\\ud" in text:
        # Half a surrogate pair, of an argument that is no UTF-8, makes it unreadable.
        text = json.dumps(_plain(value))
    return text.encode()


def _plain(value: Any, depth: int = 0) -> Any:
    """Return *value* as JSON can have it; what it cannot have becomes text."""
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
