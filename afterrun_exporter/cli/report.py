"""`afterrun report`: runs, success, punctuality and time broken over a period."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from afterrun_exporter.cli import client
from afterrun_exporter.cli.job_filters import filters_jobs
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.core import period_report_html, period_report_texts
from afterrun_exporter.core.period_reports import Report, decode_report

FORMATS = ("table", "json", "csv", "markdown", "html")


@click.command()
@click.option(
    "--period",
    default="30d",
    show_default=True,
    help="UTC days: 7d, 2026-11, 2026-11-01..2026-11-15, last-week or last-month.",
)
@filters_jobs
@click.option(
    "--limit",
    type=click.IntRange(0, 100_000),
    default=100,
    show_default=True,
    help="Maximum number of jobs in the list, the worst first.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of the output.",
)
@click.option(
    "--output",
    type=PathType(dir_okay=False),
    help="Write to this file instead of the terminal.",
)
@client.asks_daemon
def report(
    daemon: client.Daemon,
    as_json: bool,
    form: str,
    output: Path | None,
    **query: Any,
) -> None:
    """Report how often jobs ran, were ok and on time, and how long they were broken."""
    answer = daemon.get("report", **query)
    result = decode_report(json.dumps(answer).encode())
    if form == "table" and not as_json and output is None:
        _show(result)
        return
    text = _text(result, answer, "json" if as_json else form)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise click.ClickException(
            f"cannot write {str(output)!r}: {error.strerror}"
        ) from None


def _text(result: Report, answer: object, form: str) -> str:
    if form == "json":
        return f"{json.dumps(answer, indent=2, ensure_ascii=False)}\n"
    if form == "csv":
        return period_report_texts.to_csv(result)
    if form == "html":
        return period_report_html.document(result)
    return period_report_texts.to_markdown(result)


def _show(result: Report) -> None:
    # Imported late, because it is slow and not needed for other formats.
    from afterrun_exporter.cli import tables  # noqa: PLC0415

    click.echo(
        f"{result.since} to {result.until}: {period_report_html.summary(result)}"
    )
    numbers = [tables.Column(one, right=True) for one in period_report_texts.HEADINGS]
    total = [("all jobs", *period_report_texts.cells(result.total))]
    tables.show(("", *numbers), total)
    for title, rows in period_report_texts.sections(result):
        if title == "Worst jobs" and result.jobs:
            # The list of jobs begins with them.
            continue
        click.echo(f"\n{title}")
        tables.show(
            ("NAME", *numbers),
            [(row.name, *period_report_texts.cells(row)) for row in rows],
        )
