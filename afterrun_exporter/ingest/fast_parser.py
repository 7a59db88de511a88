"""Fast path for reports that need no warnings.

It returns the same ping as `reports.ping_of`, which handles all other reports: those
with an unknown field, a value of another type, or a value over a limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct, json

from afterrun_exporter.core.metric_names import MAX_NAME
from afterrun_exporter.core.model import JOB_NAME, Kind, Outcome, Ping, nothing
from afterrun_exporter.core.rules import DURATION
from afterrun_exporter.ingest.fields import MAX_INT, MAX_RUN_ID, MAX_TIME
from afterrun_exporter.ingest.json_text import MAX_NESTED, is_nested_too_much
from afterrun_exporter.ingest.reports import MAX_MESSAGE, metadata_text
from afterrun_exporter.ingest.vocabulary import STATUSES, sense_of

Integer = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
Attempt = Annotated[int, Meta(ge=1, le=MAX_INT)]
Duration = Annotated[float, Meta(ge=0, lt=MAX_TIME)]
Silence = Annotated[float, Meta(gt=0, lt=MAX_TIME)]
RunId = Annotated[str, Meta(max_length=MAX_RUN_ID)]
Message = Annotated[str, Meta(max_length=MAX_MESSAGE)]
MetricName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]


class _Report(Struct, forbid_unknown_fields=True, gc=False):
    """The fields of most reports; others need the full parser."""

    status: str | None = None
    duration_ms: Duration | None = None
    duration_seconds: Duration | None = None
    metrics: dict[MetricName, float] | None = None
    run_id: RunId | None = None
    attempt: Attempt | None = None
    max_attempts: Attempt | None = None
    message: Message = ""
    exit_code: Integer | None = None
    metadata: dict[str, Any] | None = None
    heartbeat_seconds: Silence | None = None


class Item(_Report, forbid_unknown_fields=True, gc=False):
    """A report in a batch."""

    job: str = ""


_ESCAPED: Final = re.compile(rb"\\u00[4-7]")

_DECODER: Final = json.Decoder(_Report)
_ITEM: Final = json.Decoder(Item)
_ITEMS: Final = json.Decoder(list[Item])
_TEXTS: Final = json.Decoder(list[Raw])


#: The most lines of a batch, including blank ones.
MAX_LINES: Final = 40_000
#: The most commas in a batch; larger ones are checked before they are decoded.
MAX_VALUES: Final = 200_000


def _is_nested(text: bytes) -> bool:
    """Return True if decoding *text* could take long because of objects and arrays."""
    return len(text) > MAX_NESTED and is_nested_too_much(
        len(text), text.count(b"{") + text.count(b"[")
    )


def count_lines(body: bytes) -> int:
    """Return the number of line ends in *body*."""
    return body.count(b"\n") + body.count(b"\r")


def items(body: bytes) -> list[Item] | None:
    """Return the reports in a batch; None if one of them needs the full parser.

    The batch is a JSON array, or has one report per line.
    """
    text = body.strip()
    if text.count(b"}") > MAX_LINES or _is_nested(text):
        return None
    try:
        if text.startswith(b"["):
            reports = _ITEMS.decode(text)
            return None if _any_repeats(text, reports) else reports
        reports = _ITEM.decode_lines(text)
    except (ValueError, RecursionError):
        return None
    # The decoder accepts line ends anywhere. Check that there is exactly one between
    # two reports.
    ends = text.count(b"\n")
    if ends == text.count(b"}\n{") == len(reports) - 1 and b"\r" not in text:
        return None if _any_repeats(text, reports) else reports
    return None


def _repeats(text: bytes, one: _Report) -> bool:
    """Return True if the report *one* may have two fields of the same name."""
    # The decoder keeps the last field, and the other one may claim a failure.
    return (
        text.count(b'"status"') != (one.status is not None)
        or text.count(b'"exit_code"') != (one.exit_code is not None)
        or text.count(b'"metrics"') != (one.metrics is not None)
        # Encoders do not escape letters, so this may be a hidden field name.
        or (b"\\" in text and _ESCAPED.search(text) is not None)
    )


def _any_repeats(text: bytes, reports: Sequence[_Report]) -> bool:
    """Return True if one of *reports* may have two fields of the same name."""
    return (
        text.count(b'"status"') != sum(one.status is not None for one in reports)
        or text.count(b'"exit_code"')
        != sum(one.exit_code is not None for one in reports)
        or text.count(b'"metrics"') != sum(one.metrics is not None for one in reports)
        or (b"\\" in text and _ESCAPED.search(text) is not None)
    )


def texts(body: bytes) -> list[bytes] | None:
    """Return the texts of the reports in a batch; None if it needs the full parser.

    They are the elements of a JSON array, or lines that each look like an object.
    """
    text = body.strip()
    if text.startswith(b"["):
        if text.count(b",") > MAX_VALUES:
            return None
        try:
            return [bytes(item) for item in _TEXTS.decode(text)]
        except (ValueError, RecursionError):
            return None
    if count_lines(text) > MAX_LINES:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    plain = all(line.startswith(b"{") and line.endswith(b"}") for line in lines)
    return lines if plain else None


def read_item(text: bytes, at: float, metrics_limit: int) -> Ping | None:
    """Return the ping of a report in a batch, if it has a run_id."""
    if _is_nested(text):
        return None
    try:
        item = _ITEM.decode(text)
    except (ValueError, RecursionError):
        return None
    if _repeats(text, item):
        return None
    return ping_of(item, at, metrics_limit)


def ping_of(item: Item, at: float, metrics_limit: int) -> Ping | None:
    """Return the ping of a report in a batch, like `read_item`."""
    if not item.run_id or not JOB_NAME.fullmatch(item.job):
        return None
    return _ping(item, item.job, at, b"", metrics_limit)


def read(
    job: str, body: bytes, at: float, fingerprint: bytes, metrics_limit: int
) -> Ping | None:
    """Return the ping in *body*; None if it needs the full parser."""
    if _is_nested(body):
        return None
    try:
        report = _DECODER.decode(body)
    except (ValueError, RecursionError):
        return None
    if _repeats(body, report):
        return None
    return _ping(report, job, at, fingerprint, metrics_limit)


def _ping(
    report: _Report, job: str, at: float, fingerprint: bytes, metrics_limit: int
) -> Ping | None:
    if report.status is None:
        failed = report.exit_code not in {None, 0}
        kind, outcome = Kind.FINISH, Outcome.FAIL if failed else Outcome.OK
    elif (status_meaning := STATUSES.get(report.status)) is not None:
        kind, outcome = status_meaning
        if report.exit_code and outcome is Outcome.OK:
            # The two fields contradict each other.
            return None
    else:
        return None
    metrics = report.metrics or nothing()
    if metrics and not _plain(metrics, kind, metrics_limit):
        return None
    metadata = ""
    if report.metadata is not None:
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
        attempt=report.attempt or 1,
        has_attempt=report.attempt is not None,
        max_attempts=report.max_attempts,
        duration=report.duration_seconds if ms is None else ms / 1000,
        metrics=metrics,
        message=report.message,
        exit_code=report.exit_code,
        metadata=metadata,
        heartbeat=report.heartbeat_seconds,
        fingerprint=fingerprint,
    )


def _plain(metrics: Mapping[str, float], kind: Kind, limit: int) -> bool:
    """Return True if all of *metrics* are accepted without warnings."""
    return (
        len(metrics) <= limit
        and DURATION not in metrics
        and not any(map(sense_of, metrics))
        and "".join(metrics).isprintable()
        and kind is not Kind.START
    )
