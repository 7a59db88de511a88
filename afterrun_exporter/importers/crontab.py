"""Jobs from crontabs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

from afterrun_exporter.core.crontab import check_zone
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.importers.command_names import Reported, name_of, reported
from afterrun_exporter.importers.crontab_lines import (
    REBOOT,
    BadLine,
    CronLine,
    parse_lines,
)
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)
from afterrun_exporter.importers.names import job_name, unique_names
from afterrun_exporter.importers.shell_words import UnbalancedError, commands, tokens

_ZONE: Final = "CRON_TZ"
#: Days as afterrun.yml has them, and cron does not: the last Friday, the second one.
_EXTENDED = re.compile(r"\S*#\S*|(?<![^ ,])(?:\d|[a-z]{3})?L(?![^ ,])", re.IGNORECASE)
#: Characters of the longest description.
_LONGEST: Final = 500
#: flock with an option not to wait, or not for long, and the usual exit status.
_FLOCK = re.compile(
    r"\bflock\b(?=(?:\s+-\S+|\s+\d+)*?\s+(?:-\w*[nw]|--nb|--nonblock|--timeout|--wait))"
    r"(?!(?:\s+-\S+|\s+\d+)*?\s+(?:-\w*E|--conflict-exit-code))"
)
#: Shells in which &> redirects; in others, & ends a command.
_WITH_BOTH: Final = frozenset({"bash", "zsh", "ksh", "mksh"})
_NO_TIME: Final = (
    "has no time, so no run can be missed: imported without a schedule, and its runs "
    "are checked"
)


@dataclass(frozen=True, slots=True)
class CronJob:
    """A line of a crontab, with the name of its job."""

    file: InputFile
    line: CronLine
    name: str
    #: The job as which the command reports already.
    reported: Reported | None

    @property
    def source(self) -> Source:
        return Source(self.file.name, self.line.number)


def is_system(file: InputFile) -> bool:
    """Return True if lines of *file* have a user: by its path, or by the user root."""
    path = PurePosixPath(file.name)
    if path.parent.name == "cron.d" or path == PurePosixPath("/etc/crontab"):
        return True
    lines = parse_lines(file.text, has_users=False)
    commands = (one.raw_command for one in lines if isinstance(one, CronLine))
    return any(re.match(r"root[ \t]+\S", command) for command in commands)


def cron_jobs(
    files: Sequence[InputFile], *, system: bool | None = None, prefix: str = ""
) -> tuple[list[CronJob], list[Unmapped]]:
    """Return the jobs of all *files*, and the lines that are none.

    *prefix* is before the names of jobs that do not report yet.
    *system* is True if the lines have a user; None to recognize it by the file.
    """
    jobs: list[CronJob] = []
    unmapped: list[Unmapped] = []
    for file in files:
        has_users = is_system(file) if system is None else system
        for one in parse_lines(file.text, has_users=has_users):
            line = _checked(one)
            if isinstance(line, BadLine):
                source = Source(file.name, line.number)
                unmapped.append(Unmapped(source, line.text.strip(), line.reason))
            else:
                own = reported(line.command)
                name = own.name if own and own.name else ""
                name = job_name(name or f"{prefix}{name_of(line.command)}")
                jobs.append(CronJob(file, line, name, own))
    return _named(jobs), unmapped


def _checked(line: CronLine | BadLine) -> CronLine | BadLine:
    """Return *line*, or a bad one if its schedule is not valid."""
    if isinstance(line, BadLine) or line.schedule == REBOOT:
        return line
    if extended := _EXTENDED.search(line.schedule):
        reason = f"{extended[0]!r} is no syntax of cron"
        return BadLine(line.number, line.text, reason)
    try:
        parse_cron(line.schedule, "UTC")
    except ValueError as error:
        return BadLine(line.number, line.text, str(error))
    return line


def _named(jobs: Sequence[CronJob]) -> list[CronJob]:
    """Return *jobs* with unique names, except for those that report as the same job."""
    is_fixed = [bool(job.reported and job.reported.name) for job in jobs]
    fixed = dict.fromkeys(
        job.name for job, own in zip(jobs, is_fixed, strict=True) if own
    )
    free = [job.name for job, own in zip(jobs, is_fixed, strict=True) if not own]
    names = iter(unique_names([*fixed, *free])[len(fixed) :])
    return [
        job if own else replace(job, name=next(names))
        for job, own in zip(jobs, is_fixed, strict=True)
    ]


def imported(
    jobs: Sequence[CronJob], unmapped: Sequence[Unmapped], zone: str = ""
) -> Imported:
    """Return *jobs* for afterrun.yml; *zone* is that of the machine, "" if unknown."""
    problems = list(unmapped)
    by_name: dict[str, ImportedJob] = {}
    for job in jobs:
        one = ImportedJob(
            job.name,
            dict(_settings(job, zone, problems)),
            job.source,
            (*_comments(job, zone),),
        )
        first = by_name.setdefault(job.name, one)
        if first is not one:
            by_name[job.name] = _with_schedule(first, one, problems)
    return Imported(tuple(by_name.values()), unmapped=tuple(sorted(problems)))


def read(
    files: Sequence[InputFile], *, zone: str = "", system: bool | None = None
) -> Imported:
    """Return the jobs of the crontabs *files*."""
    return imported(*cron_jobs(files, system=system), zone)


def _settings(
    job: CronJob, zone: str, problems: list[Unmapped]
) -> Iterator[tuple[str, Any]]:
    line = job.line
    if description := _description(line.comment):
        yield "description", description
    if line.schedule == REBOOT:
        problems.append(Unmapped(job.source, line.text.strip(), f"{REBOOT} {_NO_TIME}"))
    else:
        own = line.variables.get(_ZONE, "")
        try:
            check_zone(own or zone or "UTC")
        except ValueError as error:
            reason = f"{error}; imported without a schedule"
            problems.append(Unmapped(job.source, f"{_ZONE}={own or zone}", reason))
        else:
            yield "schedule", line.schedule
            if own or zone:
                yield "timezone", own or zone
    if job.reported and job.reported.ping_uuid:
        yield "ping_uuid", job.reported.ping_uuid


def _description(comment: Sequence[str]) -> str:
    lines = ("".join(c if c.isprintable() else " " for c in one) for one in comment)
    text = "\n".join(lines).strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()}..."


def _comments(job: CronJob, zone: str) -> Iterator[str]:
    """Yield remarks about *job* for people."""
    line = job.line
    if line.user:
        yield f"user {line.user}"
    if line.schedule != REBOOT:
        if _ZONE in line.variables:
            yield f"timezone from {_ZONE}, which cronie follows; Debian's cron ignores it"
        elif zone:
            yield "timezone of this machine"
        else:
            yield "timezone unknown: set it unless the crontab is in UTC"
    if job.reported:
        yield f"reports already, through {job.reported.through}"
    if _FLOCK.search(line.command) and not job.reported:
        yield "flock fails while an earlier run has the lock: with -E 0 such a run is ok"
    if _is_in_background(line):
        yield "runs in the background: its exit status is not seen"


def _is_in_background(line: CronLine) -> bool:
    """Return True if no command comes after the last ``&`` of the command."""
    command = line.command
    if PurePosixPath(line.variables.get("SHELL", "")).name in _WITH_BOTH:
        command = command.replace("&>", ">")
    try:
        words = tokens(command)
    except UnbalancedError:
        return False
    ends = [at for at, one in enumerate(words) if one.is_operator and one.value == "&"]
    return bool(ends) and not commands(words[ends[-1] + 1 :])


def _with_schedule(
    job: ImportedJob, other: ImportedJob, problems: list[Unmapped]
) -> ImportedJob:
    """Return *job* with the schedule of *other*, another line of the same job."""
    first, second = job.settings.get("schedule"), other.settings.get("schedule")
    zones = {one.settings.get("timezone") for one in (job, other)}
    if first is None or second is None or len(zones) > 1:
        reason = f"is another line of job {job.name}, which cannot have both schedules"
        problems.append(Unmapped(other.source, str(second or REBOOT), reason))
        return job
    schedules = [*(first if isinstance(first, list) else [first]), second]
    distinct = list(dict.fromkeys(schedules))
    schedule = distinct if len(distinct) > 1 else first
    settings = {**job.settings, "schedule": schedule}
    comment = f"and from {other.source.file}, line {other.source.line}"
    return replace(job, settings=settings, comments=(comment, *job.comments))
