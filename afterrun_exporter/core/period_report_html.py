"""Reports as HTML with charts in SVG, for pages, for printing and for mails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from afterrun_exporter.core.period_report_texts import (
    HEADINGS,
    cells,
    duration,
    percent,
    sections,
)
from afterrun_exporter.core.period_reports import Day, Figures, Report, Row
from afterrun_exporter.core.plurals import plural

#: The size of the chart of days, and of the chart of the worst jobs, in pixels.
WIDTH: Final = 720
HEIGHT: Final = 140
_LINE: Final = 22
_NAMES: Final = 260
#: The longest name in a chart.
_LONGEST: Final = 36

_STYLE: Final = """
body { font: 14px/1.45 system-ui, sans-serif; color: #1d2530; background: #fff; margin: 1.5rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 1.6rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.5rem; border-bottom: 1px solid #d8dde4; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; }
th { font-weight: 600; color: #55606e; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: #55606e; }
.f-ok { fill: #2e7d32; } .f-failing { fill: #b3261e; } .f-missed { fill: #7a35b3; }
@media print { body { margin: 0; max-width: none; } tr, svg { break-inside: avoid; } }
"""


def document(report: Report) -> str:
    """Return *report* as a page that needs nothing else."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_title(report)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_title(report)}</h1>\n{fragment(report)}\n"
        f"<p>Made {escape(report.created)}. Days are in UTC.</p>\n</body>\n</html>\n"
    )


def fragment(report: Report, root: str = "") -> str:
    """Return the summary, charts and tables of *report*, without a heading.

    Jobs are linked to their pages if *root* is the relative path to those.
    """
    return "\n".join(_fragment(report, root))


def _title(report: Report) -> str:
    return escape(f"Jobs from {report.since} to {report.until}")


def _fragment(report: Report, root: str) -> Iterator[str]:
    yield f"<p>{escape(summary(report))}</p>"
    if report.days:
        yield "<h2>Runs by day</h2>"
        yield _days_chart(report.days)
    broken = [row for row in report.worst if row.broken_seconds]
    if broken:
        yield "<h2>Longest broken</h2>"
        yield _broken_chart(broken)
    yield "<h2>In all</h2>"
    yield _table("", [("All jobs", report.total)])
    for title, rows in sections(report):
        yield f"<h2>{escape(title)}</h2>"
        is_of_jobs = rows is report.worst or rows is report.jobs
        linked = root if is_of_jobs else ""
        yield _table("Name", [(row.name, row) for row in rows], linked)


def summary(report: Report) -> str:
    """Return the most important figures in a sentence."""
    total = report.total
    jobs = plural(total.jobs, "job")
    if not total.runs and not total.missed:
        return f"{jobs}; no runs in this period."
    parts = [f"{jobs}, {plural(total.runs, 'run')}"]
    if total.ok_ratio is not None:
        parts.append(f"{percent(total.ok_ratio)} of them ok")
    if total.on_time_ratio is not None:
        slots = plural(total.due, "slot")
        parts.append(f"{percent(total.on_time_ratio)} of {slots} on time")
    if total.broken_seconds:
        parts.append(f"{duration(total.broken_seconds)} broken")
    return f"{', '.join(parts)}."


def _table(heading: str, rows: Iterable[tuple[str, Figures]], root: str = "") -> str:
    titles = [one.capitalize() for one in HEADINGS]
    head = "".join(
        f'<th role="columnheader" scope="col">{escape(one)}</th>'
        for one in (heading, *titles)
    )
    body = "\n".join(_row(name, figures, titles, root) for name, figures in rows)
    # In a narrow window rows become cards, in which each cell has its title.
    return (
        '<div class="scroll"><table class="figures cards" role="table">\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}\n</tbody>\n</table></div>'
    )


def _row(name: str, figures: Figures, titles: Sequence[str], root: str) -> str:
    every = "".join(
        f'<td role="cell" data-head="{escape(title)}">{escape(cell)}</td>'
        for title, cell in zip(titles, cells(figures), strict=True)
    )
    text = escape(name)
    if root:
        text = f'<a href="{escape(root)}jobs/{text}">{text}</a>'
    return f'<tr role="row"><th role="rowheader" scope="row">{text}</th>{every}</tr>'


def _days_chart(days: Sequence[Day]) -> str:
    most = max((day.ok + day.not_ok + day.missed for day in days), default=0) or 1
    pitch = WIDTH / len(days)
    bars: list[str] = []
    for place, day in enumerate(days):
        bottom = float(HEIGHT)
        for count, style in (
            (day.ok, "f-ok"),
            (day.not_ok, "f-failing"),
            (day.missed, "f-missed"),
        ):
            # A single failed run among many is still visible.
            height = max(count / most * (HEIGHT - 20), 1.5) if count else 0.0
            bottom -= height
            if count:
                bars.append(
                    f'<rect class="{style}" x="{place * pitch:.1f}" y="{bottom:.1f}" '
                    f'width="{max(pitch - 2, 1):.1f}" height="{height:.1f}"/>'
                )
    ok, bad, missed = (
        sum(getattr(day, name) for day in days) for name in ("ok", "not_ok", "missed")
    )
    words = (
        f"{plural(ok, 'ok run')} (green), {plural(bad, 'other')} (red) and "
        f"{plural(missed, 'missed slot')} (violet) from {days[0].date} to {days[-1].date}; at most {most:,} a day"
    )
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT + 18}" width="{WIDTH}" '
        f'height="{HEIGHT + 18}"><title>{escape(words)}</title>{"".join(bars)}'
        f'<text x="0" y="{HEIGHT + 14}">{days[0].date}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{days[-1].date}</text>'
        f"</svg>\n<p>{escape(words)}.</p>"
    )


def _broken_chart(rows: Sequence[Row]) -> str:
    most = max(row.broken_seconds for row in rows)
    room = WIDTH - _NAMES - 90
    lines = []
    for place, row in enumerate(rows):
        top = place * _LINE
        width = max(row.broken_seconds / most * room, 1.5)
        name = row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…"
        lines.append(
            f'<text x="{_NAMES - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="f-failing" x="{_NAMES}" y="{top + 4}" width="{width:.1f}" '
            f'height="{_LINE - 8}"/><text x="{_NAMES + width + 6:.1f}" y="{top + 15}">'
            f"{escape(duration(row.broken_seconds))}</text>"
        )
    height = len(rows) * _LINE
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}"><title>Time broken of the worst jobs</title>'
        f"{''.join(lines)}</svg>"
    )
