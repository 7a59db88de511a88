"""Response bodies for reports."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from aiohttp import web

from afterrun_exporter import http_problems
from afterrun_exporter.core.model import Run
from afterrun_exporter.core.state import Transition
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.errors import ForbiddenError
from afterrun_exporter.ingest.recorder import Received, Refused


def result_or_problem(
    received: Received, result: ReportResult | Exception
) -> dict[str, Any]:
    """Return the response to one report as a JSON object: a result or a problem."""
    if isinstance(result, ReportResult):
        return result_object(result)
    recorded = is_recorded(received, result)
    outcome = "invalid" if recorded else None
    return http_problems.problem_of(
        result, job=received.job, recorded=recorded, outcome=outcome
    )


def on_one_line(body_object: dict[str, Any]) -> bytes:
    """Return *body_object* as JSON on one line, with spaces for readers of cron's mails."""
    return msgspec.json.format(msgspec.json.encode(body_object), indent=0)


def compact(value: object, status: int = 200) -> web.Response:
    """Return a response with *value* as JSON without spaces."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return as_json(text, status)


def spaced(value: object, status: int = 200) -> web.Response:
    """Return a response with *value* as JSON in Python's format."""
    return as_json(json.dumps(value), status)


def as_json(text: str, status: int) -> web.Response:
    """Return a response with the JSON *text*, without a charset parameter."""
    body = text.encode("utf-8", "replace")
    return web.Response(body=body, status=status, content_type="application/json")


def is_recorded(received: Received, result: ReportResult | Exception) -> bool:
    """Return True if a report was recorded, possibly as an unreadable one."""
    if isinstance(result, ReportResult):
        return True
    unreadable = isinstance(received, Refused) and received.ping is not None
    return unreadable and not isinstance(result, ForbiddenError)


def result_object(result: ReportResult) -> dict[str, Any]:
    """Return *result* as a JSON object; for a repeat, the first result."""
    ping, transition, run = result.ping, result.transition, result.run
    return {
        "job": ping.job,
        "kind": ping.kind,
        "run_id": run.run_id if run else ping.run_id,
        "outcome": run.outcome if run else None,
        **(_retrying(transition, run) if run and run.is_retried else {}),
        "duplicate": transition.duplicate,
        "warnings": [*ping.warnings, *transition.warnings],
        "violations": _violations(run) if run and run.violations else [],
        "deadline": (
            format_time(result.deadline) if math.isfinite(result.deadline) else None
        ),
    }


def _retrying(transition: Transition, run: Run) -> dict[str, Any]:
    """Return the fields of a failed attempt: the deadline of the next one."""
    this = (run.run_id, run.attempt)
    waiting = {(one.run_id, one.attempt): one.until for one in transition.state.retries}
    by = {"retry_by": format_time(waiting[this])} if this in waiting else {}
    return {"retrying": True, **by}


def _violations(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "rule": broken.rule,
            "metric": broken.metric,
            "value": _number(broken.value),
            **({} if broken.text is None else {"text": broken.text}),
            **({"actual": broken.actual} if broken.unit else {}),
        }
        for broken in run.violations
    ]


def _number(value: float | None) -> float | None:
    # Show 0 as 0, not 0.0.
    return value if value is None or not value.is_integer() else int(value)
