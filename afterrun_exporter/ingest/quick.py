"""The short way for a report in which there is nothing to remark.

It gives the same ping as `reports.ping_of`, which takes over wherever this one has
a doubt: an unknown field, a value of another type, a limit.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import DecodeError, Raw, Struct, json

from afterrun_exporter.core.model import JOB_NAME, Kind, Outcome, Ping, nothing
from afterrun_exporter.core.rules import DURATION
from afterrun_exporter.ingest.fields import MAX_INT, MAX_RUN_ID, MAX_TIME
from afterrun_exporter.ingest.readings import MAX_NAME
from afterrun_exporter.ingest.reports import MAX_MESSAGE, STATUSES, metadata_text


class _Report(Struct, forbid_unknown_fields=True, gc=False):
    """What most reports are made of; times and odd spellings go the long way."""

    status: str | None = None
    duration_ms: float | None = None
    duration_seconds: float | None = None
    metrics: dict[str, float] | None = None
    run_id: str | None = None
    attempt: int = 1
    max_attempts: int | None = None
    message: str = ""
    exit_code: int | None = None
    metadata: dict[str, Any] | None = None


class _Item(_Report, forbid_unknown_fields=True, gc=False):
    """The same, one of many."""

    job: str = ""


_DECODER: Final = json.Decoder(_Report)
_ITEM: Final = json.Decoder(_Item)
_ITEMS: Final = json.Decoder(list[Raw])


def items(body: bytes) -> list[bytes] | None:
    """Return the texts of the reports in a batch; None where that is not plain.

    They are elements of a JSON array, or lines that each look like an object.
    """
    text = body.strip()
    if text.startswith(b"["):
        try:
            return [bytes(item) for item in _ITEMS.decode(text)]
        except (DecodeError, RecursionError):
            return None
    lines = [line for line in text.splitlines() if line.strip()]
    plain = all(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    return lines if plain else None


def read_item(text: bytes, at: float, metrics_limit: int) -> Ping | None:
    """Return the ping of one report among many, if it names its run."""
    try:
        item = _ITEM.decode(text)
    except (DecodeError, RecursionError):
        return None
    if not item.run_id or not JOB_NAME.fullmatch(item.job):
        return None
    return _ping(item, item.job, at, b"", metrics_limit)


def read(
    job: str, body: bytes, at: float, fingerprint: bytes, metrics_limit: int
) -> Ping | None:
    """Return the ping that *body* stands for; None where the long way has to look."""
    try:
        report = _DECODER.decode(body)
    except (DecodeError, RecursionError):
        return None
    return _ping(report, job, at, fingerprint, metrics_limit)


def _ping(
    report: _Report, job: str, at: float, fingerprint: bytes, metrics_limit: int
) -> Ping | None:
    if report.status is None:
        failed = report.exit_code not in {None, 0}
        kind, outcome = Kind.FINISH, Outcome.FAIL if failed else Outcome.OK
    elif (known := STATUSES.get(report.status)) is not None:
        kind, outcome = known
    else:
        return None
    metrics = report.metrics or nothing()
    if not _plain(report) or not _plain_metrics(metrics, kind, metrics_limit):
        return None
    metadata, remark = metadata_text(report.metadata)
    if remark:
        return None
    ms = report.duration_ms
    return Ping(
        job=job,
        kind=kind,
        at=at,
        outcome=outcome,
        run_id=report.run_id or None,
        attempt=report.attempt,
        max_attempts=report.max_attempts,
        duration=report.duration_seconds if ms is None else ms / 1000,
        metrics=metrics,
        message=report.message,
        exit_code=report.exit_code,
        metadata=metadata,
        fingerprint=fingerprint,
    )


def _plain(report: _Report) -> bool:
    """Return whether every number and text is within its limits."""
    return (
        (report.run_id is None or len(report.run_id) <= MAX_RUN_ID)
        and 1 <= report.attempt <= MAX_INT
        and (report.max_attempts is None or 1 <= report.max_attempts <= MAX_INT)
        and (report.duration_ms is None or 0 <= report.duration_ms < MAX_TIME)
        and (report.duration_seconds is None or 0 <= report.duration_seconds < MAX_TIME)
        and len(report.message) <= MAX_MESSAGE
        and (report.exit_code is None or abs(report.exit_code) <= MAX_INT)
    )


def _plain_metrics(metrics: Any, kind: Kind, limit: int) -> bool:
    """Return whether all of *metrics* are taken without a word."""
    if not metrics:
        return True
    if kind is Kind.START or len(metrics) > limit or DURATION in metrics:
        return False
    # A generator would take twice as long.
    for name in metrics:
        if not (name and len(name) <= MAX_NAME and name.isprintable()):
            return False
    return True
