"""Reports as rows for tables, as CSV and as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

from msgspec.structs import asdict

from afterrun_exporter.core.period_reports import Figures, Report, Row
from afterrun_exporter.core.units import format_duration

#: Headings of the figures in tables.
HEADINGS: Final = (
    "JOBS",
    "RUNS",
    "OK",
    "ON TIME",
    "MISSED",
    "FAILED",
    "VIOLATED",
    "P50",
    "P95",
    "P99",
    "BROKEN",
)
#: Characters that would end a cell, or begin HTML or a link.
_CELLS: Final = str.maketrans(
    {**{one: f"\\{one}" for one in "\\|<["}, "\n": " ", "\r": " "}
)
#: Beginnings of texts that spreadsheets take for formulas.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def percent(ratio: float | None) -> str:
    """Return *ratio* as a percentage that is 100% only if it is 1; "" if unknown."""
    if ratio is None:
        return ""
    if 0.9995 <= ratio < 1:
        return "99.9%"
    return f"{ratio * 100:.1f}%" if ratio < 1 else "100%"


def duration(seconds: float | None) -> str:
    """Return a duration in at most two units; "" if unknown."""
    if seconds is None:
        return ""
    if seconds >= 3600:
        seconds = round(seconds / 60) * 60
    elif seconds >= 10:
        seconds = round(seconds)
    if seconds >= 86400:
        seconds = round(seconds / 3600) * 3600
    return format_duration(seconds)


def cells(figures: Figures) -> tuple[str, ...]:
    """Return the texts below `HEADINGS`."""
    return (
        f"{figures.jobs:,}",
        f"{figures.runs:,}",
        percent(figures.ok_ratio),
        percent(figures.on_time_ratio),
        f"{figures.missed:,}",
        f"{figures.bad - figures.violated:,}",
        f"{figures.violated:,}",
        duration(figures.p50),
        duration(figures.p95),
        duration(figures.p99),
        duration(figures.broken_seconds) if figures.broken_seconds else "",
    )


def sections(report: Report) -> Iterator[tuple[str, Sequence[Row]]]:
    """Yield the title and the rows of each table after the total."""
    if report.worst:
        yield "Worst jobs", report.worst
    for group in report.groups:
        yield f"By {group.by.replace('label:', 'label ')}", group.rows
    if report.jobs:
        yield "Jobs", report.jobs


def to_csv(report: Report) -> str:
    """Return the figures of all rows as CSV, with numbers as in JSON."""
    out = StringIO()
    total = asdict(report.total)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("by", "name", *total))
    writer.writerow(("total", "", *total.values()))
    groups = [(one.by, one.rows) for one in report.groups]
    for by, rows in (*groups, ("job", report.jobs)):
        for row in rows:
            fields = asdict(row)
            name = fields.pop("name")
            writer.writerow((by, _plain(name), *(fields[key] for key in total)))
    return out.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def to_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    yield f"# Jobs from {report.since} to {report.until}"
    yield ""
    yield from _table("", [("All jobs", report.total)])
    for title, rows in sections(report):
        yield ""
        yield f"## {title}"
        yield ""
        yield from _table("name", [(row.name, row) for row in rows])


def _table(heading: str, rows: Iterable[tuple[str, Figures]]) -> Iterator[str]:
    yield f"| {' | '.join((heading, *(one.lower() for one in HEADINGS)))} |"
    yield f"| --- |{' ---: |' * len(HEADINGS)}"
    for name, figures in rows:
        yield f"| {' | '.join((name.translate(_CELLS), *cells(figures)))} |"
