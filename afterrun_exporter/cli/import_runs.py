"""`afterrun import runs`: load past runs without alerts."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final

import click

from afterrun_exporter.cli import client, progress
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.cli.run_checks import (
    LISTED,
    CheckedFile,
    Remarks,
    check_lines,
)
from afterrun_exporter.cli.run_loading import LoadError, LoadResult, RunLoader, batches
from afterrun_exporter.cli.run_selection import Selection
from afterrun_exporter.client.settings import find_token
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.importers.run_lines import NotRunsError, RunLine, read_lines

#: Lines of one step of the progress bar.
_STEP: Final = 1000
#: The exit code if some lines were not loaded.
INCOMPLETE: Final = 3
#: The most jobs that the summary names.
_NAMED: Final = 10
#: The default of `retention.runs_per_job`.
_RUNS_PER_JOB: Final = 1000
#: The most items of a page of the API.
_PAGE: Final = 1000


@click.command("runs")
@click.argument("file", type=PathType(dir_okay=False, allow_dash=True, path_type=None))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["ndjson", "csv"]),
    help="Format of FILE. By default CSV if its name ends in .csv, otherwise NDJSON.",
)
@click.option(
    "--partial", is_flag=True, help="Load the valid lines, even if others are not."
)
@click.option("--dry-run", is_flag=True, help="Check the file and load nothing.")
@client.url_option
@client.token_option
def command(
    file: str,
    file_format: str | None,
    partial: bool,
    dry_run: bool,
    url: str,
    token_file: str | None,
) -> None:
    """Load past runs from FILE, or from stdin with -, without alerts.

    Each line is a JSON report of a finished run with its job and its times, the oldest
    first. All lines are checked before the first one is sent. A repeated import counts
    nothing twice, so an interrupted one is simply run again.

    The exit code is 3 if some lines are invalid or refused, and the others are loaded.
    """
    token = find_token(os.environ, token_file, client.warn)
    daemon = client.Daemon(url, token)
    is_csv = file_format == "csv" or (not file_format and file.lower().endswith(".csv"))
    now = SystemClock().now()
    try:
        with _seekable(file) as stream:
            most = _RUNS_PER_JOB if dry_run else _runs_per_job(daemon)
            checked = _check(read_lines(stream, is_csv=is_csv), now, most)
            _print_remarks(checked.problems, "problems")
            if checked.problems.total and not (partial or dry_run):
                raise click.ClickException(
                    f"{_share(checked)} cannot be loaded, and nothing was sent: correct "
                    "them, or load the others with --partial"
                )
            if dry_run:
                click.echo(f"{_valid(checked)}; nothing was sent")
                sys.exit(INCOMPLETE if checked.problems.total else 0)
            existing = _existing_jobs(daemon)
            selection = _select(daemon, checked, existing)
            stream.seek(0)
            lines = _Selected(read_lines(stream, is_csv=is_csv), selection)
            result = LoadResult()
            complete = _send(
                lines, checked, RunLoader(url, token, result), result, partial
            )
            _print_summary(checked, selection, result, existing, most)
    except NotRunsError as error:
        raise click.ClickException(f"{_title(file)}: {error}") from None
    except OSError as error:
        why = error.strerror or error
        raise click.ClickException(f"cannot read {_title(file)}: {why}") from None
    if not complete:
        sys.exit(1)
    if checked.problems.total or result.refusals.total:
        sys.exit(INCOMPLETE)


class _Selected:
    """The lines to send. Counts the lines that were read."""

    def __init__(self, lines: Iterable[RunLine], selection: Selection) -> None:
        self._lines = lines
        self._selection = selection
        self.read = 0

    def __iter__(self) -> Iterator[RunLine]:
        for line in self._lines:
            self.read += 1
            if self._selection.has(line.number):
                yield line


def _check(lines: Iterable[RunLine], now: float, most: int) -> CheckedFile:
    with progress.bar("checking lines, in thousands") as advance:
        return check_lines(_stepping(lines, advance), now, most)


def _stepping(lines: Iterable[RunLine], advance: progress.Advance) -> Iterator[RunLine]:
    for count, line in enumerate(lines, 1):
        yield line
        if count % _STEP == 0:
            advance()


def _send(
    lines: _Selected,
    checked: CheckedFile,
    loader: RunLoader,
    result: LoadResult,
    partial: bool,
) -> bool:
    """Send *lines*; return False if that ended before the last one."""
    steps = 0
    try:
        title = "loading runs, in thousands"
        with progress.bar(title, ceil(checked.lines / _STEP)) as advance:
            for batch in batches(lines):
                loader.send(batch)
                while steps < lines.read // _STEP:
                    steps += 1
                    advance()
                if result.refusals.total and not partial:
                    break
            else:
                return True
    except LoadError as error:
        click.echo(f"Error: {error.message}", err=True)
    except KeyboardInterrupt:
        click.echo("Error: interrupted", err=True)
    return False


def _runs_per_job(daemon: client.Daemon) -> int:
    """Return the number of runs that the daemon keeps of a job."""
    return int(daemon.get("runs", limit=1).get("runs_per_job", _RUNS_PER_JOB))


def _existing_jobs(daemon: client.Daemon) -> dict[str, bool]:
    """Return the jobs that the daemon knows, and True for those with runs."""
    existing: dict[str, bool] = {}
    after = None
    while True:
        page = daemon.get("jobs", limit=_PAGE, after=after)
        for job in page["jobs"]:
            existing[job["name"]] = job["last_run"] is not None
        if (after := page["next"]) is None:
            return existing


def _select(
    daemon: client.Daemon, checked: CheckedFile, existing: Mapping[str, bool]
) -> Selection:
    """Return the lines with runs that the daemon keeps."""
    jobs = [job for job in sorted(checked.runs) if existing.get(job)]
    ends = progress.concurrently(
        lambda job: _kept_ends(daemon, job), jobs, "comparing jobs"
    )
    kept_ends = dict(zip(jobs, ends, strict=True))
    selection = Selection()
    for job, count in sorted(checked.runs.items()):
        ranks = checked.newest.of(job)
        selection.add(job, ranks, kept_ends.get(job, ()), checked.newest.most, count)
    return selection


def _kept_ends(daemon: client.Daemon, job: str) -> list[int]:
    """Return the seconds of the ends of the runs that the daemon has of *job*."""
    path = f"jobs/{client.segment(job)}/runs"
    ends: list[int] = []
    before = None
    while True:
        page = daemon.get(path, limit=_PAGE, before=before)
        ends += [int(parse_time(run["finished_at"])) for run in page["runs"]]
        if (before := page["next"]) is None:
            return ends


@contextmanager
def _seekable(file: str) -> Iterator[BinaryIO]:
    """Open *file*; standard input and pipes are copied to a temporary file first."""
    if file == "-":
        with TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            yield copy
        return
    with Path(file).open("rb") as stream:
        if stream.seekable():
            yield stream
            return
        with TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy)
            copy.seek(0)
            yield copy


def _print_summary(
    checked: CheckedFile,
    selection: Selection,
    result: LoadResult,
    existing: Mapping[str, bool],
    most: int,
) -> None:
    _print_remarks(result.warnings, "warnings")
    _print_remarks(result.refusals, "refused lines")
    older = selection.older.total()
    unsent = checked.lines - checked.problems.total - result.total - older
    parts = [f"{plural(result.recorded, 'run')} loaded"]
    for count, text in (
        (result.duplicates, "already recorded"),
        (older, "too old to be kept"),
        (checked.problems.total, "invalid"),
        (result.refusals.total, "refused by the daemon"),
        (unsent, "not sent: run the same command again"),
    ):
        parts += [f"{count:,} {text}"] if count else []
    click.echo(f"{plural(checked.lines, 'line')}: {', '.join(parts)}")
    if new := [job for job in sorted(checked.runs) if job not in existing]:
        click.echo(f"jobs that the daemon did not know before: {_names(new)}")
    if older:
        click.echo(
            f"the daemon keeps the last {plural(most, 'run')} of a job (retention.runs_per_job), "
            f"so older ones were not sent: {_names(sorted(selection.older))}"
        )
    if checked.unordered_line:
        click.echo(
            f"line {checked.unordered_line} ended before an earlier line of its job: "
            "sort the file, the oldest first, so that each run is judged by those before"
        )


def _print_remarks(remarks: Remarks, title: str) -> None:
    for text in remarks.first:
        click.echo(text, err=True)
    if remarks.total > LISTED:
        click.echo(f"... and {remarks.total - LISTED:,} more {title}", err=True)


def _names(jobs: list[str]) -> str:
    more = len(jobs) - _NAMED
    return ", ".join(jobs[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _share(checked: CheckedFile) -> str:
    return f"{checked.problems.total:,} of {plural(checked.lines, 'line')}"


def _valid(checked: CheckedFile) -> str:
    valid = checked.lines - checked.problems.total
    return (
        f"{valid:,} of {plural(checked.lines, 'line')} are valid, "
        f"of {plural(len(checked.runs), 'job')}"
    )


def _title(file: str) -> str:
    return "standard input" if file == "-" else file
