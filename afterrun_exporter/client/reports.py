"""Reports, as the daemon reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

#: Statuses that say that something goes on; all others end a run.
STARTING: Final = frozenset({"start", "started", "running", "in_progress"})
PASSING: Final = frozenset({"progress", "log"})

#: What is kept of a message, from its end: there the error stands.
MAX_MESSAGE: Final = 8 * 1024


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


def new_run_id() -> str:
    """Return a name that no other run has."""
    return str(uuid4())


def cut(message: str, limit: int = MAX_MESSAGE) -> str:
    """Return the end of *message*, at most *limit* bytes of it."""
    raw = message.encode("utf-8", "replace")
    return message if len(raw) <= limit else raw[-limit:].decode("utf-8", "ignore")


def _json(value: Mapping[str, Any]) -> bytes:
    # ASCII, so that no line separator of Unicode's can end a line of a batch.
    return json.dumps(value).encode()
