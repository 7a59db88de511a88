"""Batches: several reports in one request."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from aiohttp import web

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import digest
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.errors import HistoryError, PingError
from afterrun_exporter.ingest import fast_parser, reports
from afterrun_exporter.ingest.bodies import LARGE_BATCH, parsed
from afterrun_exporter.ingest.json_text import (
    Object,
    check_nested,
    decode,
    decode_first,
    read_json,
)
from afterrun_exporter.ingest.recorder import (
    Read,
    Received,
    ReportRecorder,
    Unread,
    read_fields,
)
from afterrun_exporter.ingest.report_metrics import NOTHING_DROPPED
from afterrun_exporter.ingest.responses import (
    is_recorded,
    on_one_line,
    result_or_problem,
)

UTF_16: Final = (BOM_UTF16_BE, BOM_UTF16_LE)

#: The most reports in one transaction, so that single pings are not delayed.
MAX_ITEMS: Final = 10_000

EMPTY: Final = "the batch is empty: send a JSON array, or one report a line"

#: The field that names the job, searched in items that are not valid JSON.
_JOB: Final = re.compile(rb'"job"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})"')

#: The first character of the next element of an array.
_ITEM: Final = re.compile(r"[^\s,]")

#: The place where one object of an array ends and the next begins, or the last one ends.
_GAP: Final = re.compile(r'\}(?=\s*(?:,\s*\{|\]\s*\Z|\Z))|(?=,\s*\{\s*"job"\s*:)')

#: The most malformed elements, because each may cost a pass over the rest of the body.
MAX_BROKEN: Final = 100


class BrokenItem(NamedTuple):
    """An item that is not valid JSON."""

    error: PingError
    text: bytes

    @property
    def job(self) -> str:
        """The job named in its text; "" if there is none, or more than one."""
        names = {match[1] for match in _JOB.finditer(self.text)}
        return names.pop().decode() if len(names) == 1 else ""


def split(body: bytes) -> list[object]:
    """Return the items of a JSON array, or of lines of JSON (NDJSON).

    A pretty-printed object over several lines is one item. An invalid item is
    returned as a BrokenItem and does not affect the others. Raises PingError if there
    are no items, too many of them, or too many objects and arrays in total.
    """
    if not body.strip():
        raise PingError(EMPTY)
    nested = body.count(b"{") + body.count(b"[")
    if body.lstrip().startswith(b"["):
        check_nested(len(body), nested)
        whole = _parsed(body)
        if isinstance(whole, BrokenItem):
            items = [*islice(_items(body), MAX_ITEMS + 1)]
        else:
            items = whole
    elif isinstance(whole := _parsed(body), dict):
        items = [whole]
    else:
        lines = _lines(body)
        _check_count(lines)
        check_nested(len(body), nested)
        items = [_parsed(line) for line in lines]
    _check_count(items)
    return items


def _lines(body: bytes) -> list[bytes]:
    """Return the lines of *body* that are not blank; raise PingError for too many."""
    if fast_parser.count_lines(body) > fast_parser.MAX_LINES:
        raise PingError(
            f"over {fast_parser.MAX_LINES} lines are too many for one request: send at most "
            f"{MAX_ITEMS} reports at once"
        )
    return [line for line in body.splitlines() if line.strip()]


def _items(body: bytes) -> Iterator[object]:
    """Yield the elements of a JSON array of objects, some of which are invalid.

    A malformed element extends to the next place where one object ends and another
    begins.
    """
    text, at, broken = decode(body).strip().removesuffix("]"), 1, 0
    while next_item := _ITEM.search(text, at):
        at = next_item.start()
        try:
            item, end = decode_first(text, at)
        except PingError as error:
            broken += 1
            gap = _GAP.search(text, at) if broken < MAX_BROKEN else None
            end = gap.end() if gap else len(text)
            item = BrokenItem(error, text[at:end].encode("utf-8", "replace"))
        yield item
        at = end


def _check_count(items: Sequence[object]) -> None:
    if not items:
        raise PingError(EMPTY)
    if len(items) > MAX_ITEMS:
        raise PingError(
            f"{len(items)} reports are too many for one request: send at most "
            f"{MAX_ITEMS} at once"
        )


async def read_all(
    recorder: ReportRecorder,
    body: bytes,
    at: float,
    sender: bytes,
    *,
    history: bool = False,
) -> list[Received]:
    """Return the reports in *body*, in order; reports of past runs if *history*.

    Yields to the event loop in between. Raises PingError like `split`.
    """
    if body.startswith(UTF_16) or b"\0" in body[:4]:
        body = decode(body).encode("utf-8", "replace")
    body = body.removeprefix(BOM_UTF8)
    if not history:
        items = fast_parser.items(body)
        if (
            items is not None
            and (pings := await _pings(recorder, items, at)) is not None
        ):
            return pings
    limit = recorder.metrics_limit

    def parse() -> list[Read]:
        return (
            read_history(body, at, sender, limit)
            if history
            else _read(body, at, sender, limit)
        )

    reads = await parsed(len(body), parse, LARGE_BATCH)
    return [recorder.resolve(one, at) async for one in cooperatively(reads)]


def _read(body: bytes, at: float, sender: bytes, limit: int) -> list[Read]:
    texts = fast_parser.texts(body)
    if texts is None:
        return [read_item(item, at, sender, limit) for item in split(body)]
    _check_count(texts)
    reads: list[Read] = []
    for text in texts:
        ping = fast_parser.read_item(text, at, limit)
        if ping is not None:
            reads.append((ping, NOTHING_DROPPED))
        else:
            reads.append(read_item(_parsed(text), at, sender, limit))
    return reads


def read_history(body: bytes, at: float, sender: bytes, limit: int) -> list[Read]:
    """Return the reports of past runs in *body*; raises PingError like `split`."""
    reads: list[Read] = []
    for item in split(body):
        if isinstance(item, dict):
            item = {reports.HISTORY: True, **item}  # noqa: PLW2901
        elif isinstance(item, BrokenItem):
            # A malformed report of a past run is no failure of the job.
            item = item._replace(error=HistoryError(str(item.error)))  # noqa: PLW2901
        reads.append(read_item(item, at, sender, limit))
    return reads


async def _pings(
    recorder: ReportRecorder, items: Sequence[fast_parser.Item], at: float
) -> list[Received] | None:
    """Return the pings of *items*; None if one of them needs the full parser."""
    _check_count(items)
    pings: list[Received] = []
    limit = recorder.metrics_limit
    async for item in cooperatively(items):
        if (ping := fast_parser.ping_of(item, at, limit)) is None:
            return None
        pings.append(ping)
    return pings


def read_item(item: object, at: float, sender: bytes, limit: int) -> Read:
    """Return the report in *item*, an element of a batch."""
    if isinstance(item, BrokenItem):
        return Unread(item.job, digest(sender, item.text), item.error)
    if not isinstance(item, dict) or not isinstance(item.get("job"), str):
        error = PingError('each report of a batch must be an object with a "job"')
        return Unread("", b"", error)
    mark = digest(sender, json.dumps(item, sort_keys=True).encode())
    job = reports.clean(item["job"])
    fields = Object((name, value) for name, value in item.items() if name != "job")
    fields.replaced = getattr(item, "replaced", ())
    try:
        reports.check_name(job)
    except PingError as error:
        return Unread(job, mark, error)
    return read_fields(job, fields, at, mark, limit)


async def batch_response(
    received: Sequence[Received],
    results: Sequence[ReportResult | Exception],
    status: int = 200,
) -> web.Response:
    """Return the response to a batch: counts, and the result of each report."""
    items: list[bytes] = []
    bad = 0
    async for one, result in cooperatively(zip(received, results, strict=True)):
        items.append(on_one_line(result_or_problem(one, result)))
        bad += not is_recorded(one, result)
    head = f'{{"accepted": {len(results) - bad}, "rejected": {bad}, "results": ['
    body = b"".join((head.encode(), b", ".join(items), b"]}"))
    return web.Response(body=body, status=status, content_type="application/json")


def _parsed(text: bytes) -> Any:
    try:
        return read_json(text)
    except PingError as error:
        return BrokenItem(error, text)
