"""`afterrun check`: validate the configuration and show the next slots."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click

from afterrun_exporter import config as configuration
from afterrun_exporter.cli import progress
from afterrun_exporter.cli.client import echo_json
from afterrun_exporter.cli.managed_config import (
    base_warnings,
    load_with_base,
    secret_warnings,
)
from afterrun_exporter.cli.paths import PathType
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.config import Config, Source
from afterrun_exporter.core.deadlines import slot_after
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.schedule import Calendar, Every
from afterrun_exporter.errors import ConfigError, GitError, Problem
from afterrun_exporter.git.local import committed
from afterrun_exporter.git.remote import REF

DEFAULT_FILE: Final = Path("afterrun.yml")

#: The maximum number of slots of excluded days to count, and of such days to list.
_MOST_EXCLUDED: Final = 100_000
_FEW: Final = 5

_YEARS: Final = range(1970, 2201)
_HEADER: Final = ("JOB", "ZONE", "SLOT", "DEADLINE", "SLOT UTC", "DEADLINE UTC")
_FOOTNOTE: Final = (
    "* every: counts from the job's last run; shown as if that had been at {}."
)


def _moment(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> float | None:
    """Return the Unix time of *text* from the command line."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time; write it like 2026-11-22T02:00:00Z "
            "or 2026-11-22T02:00+02:00"
        ) from None
    if moment.year not in _YEARS:
        span = f"{_YEARS[0]} to {_YEARS[-1]}"
        raise click.BadParameter(f"{text!r} is out of range: use a year from {span}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@click.command()
@click.argument("config", required=False, type=PathType())
@click.option(
    "--config.file",
    "config_file",
    type=PathType(),
    help=f"The same as CONFIG.  [default: {DEFAULT_FILE}]",
)
@click.option(
    "--slots",
    metavar="N",
    type=click.IntRange(0, 1000),
    default=0,
    help="Show the next N slots and deadlines of each job.",
)
@click.option(
    "--from",
    "start",
    metavar="TIME",
    callback=_moment,
    help="Show slots after TIME, such as 2026-11-22T02:00:00Z, instead of now. "
    "Without an offset it is UTC.",
)
@click.option(
    "--git",
    "is_committed",
    is_flag=True,
    help="Check CONFIG as it is committed, as a daemon with --config.git-url reads it.",
)
@click.option(
    "--git-ref",
    "ref",
    metavar="REF",
    help="The branch, tag or commit for --git.  [default: HEAD]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    config: Path | None,
    config_file: Path | None,
    slots: int,
    start: float | None,
    is_committed: bool,
    ref: str | None,
    as_json: bool,
) -> None:
    """Check CONFIG, a file or a directory, and print all problems, each with its line.

    Exits with 1 if there are problems. With --slots it also prints the next slots of
    the jobs, in their own time zones and in UTC.
    """
    if config is not None and config_file is not None:
        raise click.UsageError("use CONFIG or --config.file, not both")
    if ref is not None and not is_committed:
        raise click.UsageError("--git-ref has no effect without --git: add it")
    path = config or config_file or DEFAULT_FILE
    after = SystemClock().now() // 1 if start is None else start
    try:
        with progress.bar(f"reading {path}"):
            source = _committed(path, ref) if is_committed else configuration.read(path)
            config_ = load_with_base(source)
    except GitError as error:
        raise click.ClickException(str(error)) from None
    except ConfigError as error:
        click.echo(str(error), err=True)
        if as_json:
            problems = _by_kind(str(path), problems=error.problems)
            echo_json({"file": str(path), **problems})
        raise click.exceptions.Exit(1) from None
    at = ("alertmanager", "base")
    with progress.bar(f"checking {path}"):
        warnings = (
            *configuration.warnings(source, config_, after),
            *(
                configuration.problem_at(source, at, warning)
                for warning in _base_warnings(config_, source)
            ),
            *(
                configuration.problem_at(source, key, warning)
                for key, warning in secret_warnings(config_, source.beside)
            ),
        )
    for warning in warnings:
        click.echo(f"{warning.within(str(path))} (warning)", err=True)
    plans = list(_plans(config_.jobs.values(), after, slots)) if slots else []
    if as_json:
        report = {"file": str(path), **config_.counts}
        report |= _by_kind(str(path), warnings=warnings)
        echo_json(report | {"slots": [plan.as_data() for plan in plans]})
        return
    count = len(source.files)
    files = f"{plural(count, 'file')}, " if count > 1 else ""
    click.echo(f"{path}: {files}{_summary(config_)}: no problems")
    if plans:
        click.echo("\n" + "\n".join(_table(plans, after)))


def _committed(path: Path, ref: str | None) -> Source:
    """Return the configuration at *path* in the commit *ref*; raise ConfigError or GitError."""
    try:
        return asyncio.run(committed(path, "HEAD" if ref is None else ref))
    except ValueError as error:
        raise click.UsageError(str(error).replace(REF, "--git-ref")) from None


def _base_warnings(config: Config, source: Source) -> list[str]:
    return [] if source.is_in_repository else base_warnings(config, source.beside)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The next slots of a job."""

    job: Job
    zone: str
    #: Slots and deadlines as Unix times.
    slots: tuple[tuple[float, float], ...]
    #: The slots of excluded days up to the last slot.
    excluded: tuple[float, ...]

    def as_data(self) -> dict[str, object]:
        local, schedule = ZoneInfo(self.zone), self.job.schedule
        return {
            "job": self.job.name,
            "schedule": schedule.text if schedule else None,
            "exclude": _exclude(self.job),
            "timezone": self.zone,
            "enabled": self.job.enabled,
            "slots": [
                {
                    "slot": _iso(slot, local),
                    "deadline": _iso(deadline, local),
                    "slot_utc": _iso(slot, UTC),
                    "deadline_utc": _iso(deadline, UTC),
                }
                for slot, deadline in self.slots
            ],
            "excluded_slots": [_iso(slot, local) for slot in self.excluded],
        }

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield a table row for each slot, or one with the reason for none."""
        local = ZoneInfo(self.zone)
        mark = " *" if isinstance(self.job.schedule, Every) else ""
        for slot, deadline in self.slots:
            here = (_local(slot, local) + mark, _local(deadline, local))
            yield (self.job.name, self.zone, *here, _utc(slot), _utc(deadline))
        if not self.slots:
            yield (self.job.name, self._why_no_slot())

    def left_out(self) -> str:
        """Return the sentence on slots of excluded days."""
        local = ZoneInfo(self.zone)
        days = [
            *dict.fromkeys(
                f"{datetime.fromtimestamp(slot, local):%a %Y-%m-%d}"
                for slot in self.excluded
            )
        ]
        more = f" and {len(days) - _FEW} more days" if len(days) > _FEW else ""
        number = f"{len(self.excluded)} slot{'s' if len(self.excluded) > 1 else ''}"
        return (
            f"{self.job.name}: {number} left out on excluded days: "
            f"{', '.join(days[:_FEW])}{more}"
        )

    def _why_no_slot(self) -> str:
        if not self.job.enabled:
            return "disabled"
        return "never due" if self.job.schedule else "no schedule"


def _plans(jobs: Collection[Job], after: float, count: int) -> Iterator[_Plan]:
    with progress.bar("computing slots", len(jobs)) as advance:
        for job in jobs:
            yield _plan(job, after, count)
            advance()


def _plan(job: Job, after: float, count: int) -> _Plan:
    zone = job.schedule.zone if isinstance(job.schedule, Calendar) else "UTC"
    slots: list[tuple[float, float]] = []
    start = after
    while len(slots) < count and math.isfinite(after := slot_after(job, after)):
        slots.append((after, after + job.grace))
    excluded = tuple(_excluded(job, start, slots[-1][0])) if slots else ()
    return _Plan(job, zone, tuple(slots), excluded)


def _excluded(job: Job, start: float, end: float) -> Iterator[float]:
    """Yield the slots of *job* from *start* to *end* that are on excluded days."""
    if not _exclude(job) or not isinstance(job.schedule, Calendar):
        return
    everything = Calendar(replace(job.schedule.source, exclude=()))
    slot = everything.next_after(start)
    following = job.schedule.next_after(start)
    for _ in range(_MOST_EXCLUDED):
        if slot >= end:
            return
        if slot < following:
            yield slot
        else:
            following = job.schedule.next_after(slot)
        slot = everything.next_after(slot)


def _exclude(job: Job) -> list[str]:
    return [*job.schedule.exclude] if isinstance(job.schedule, Calendar) else []


def _table(plans: Iterable[_Plan], after: float) -> Iterator[str]:
    rows = [_HEADER, *(row for plan in plans for row in plan.rows())]
    # A row without slots ends in a remark that may be wider than its column.
    full = [row for row in rows if len(row) == len(_HEADER)]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        cells = zip(row, widths, strict=False)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()
    for plan in plans:
        if plan.excluded:
            yield f"\n{plan.left_out()}"
    if any(isinstance(plan.job.schedule, Every) and plan.slots for plan in plans):
        yield "\n" + _FOOTNOTE.format(_utc(after))


def _summary(config: Config) -> str:
    counts = config.counts
    jobs, rules = (plural(counts[f"{word}s"], word) for word in ("job", "rule"))
    return f"{jobs}, {counts['scheduled']} scheduled, {rules}"


def _by_kind(
    name: str, *, problems: Sequence[Problem] = (), warnings: Sequence[Problem] = ()
) -> dict[str, object]:
    return {
        kind: [
            {
                "file": problem.file or name,
                "line": problem.line,
                "key": problem.path,
                "message": problem.message,
            }
            for problem in of_a_kind
        ]
        for kind, of_a_kind in (("problems", problems), ("warnings", warnings))
    }


def _iso(instant: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(instant, zone).isoformat().replace("+00:00", "Z")


def _local(instant: float, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(instant, zone)
    return f"{moment:%a %Y-%m-%d} {_time(moment)} {moment:%z}"


def _utc(instant: float) -> str:
    moment = datetime.fromtimestamp(instant, UTC)
    return f"{moment:%Y-%m-%d} {_time(moment)}Z"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
