"""Validation of a file of past runs before any of them is sent."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from afterrun_exporter.core.model import Ping
from afterrun_exporter.core.run_times import TOLERATED_SKEW, times_of
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.errors import PingError
from afterrun_exporter.importers.run_lines import RunLine
from afterrun_exporter.ingest.batches import read_history
from afterrun_exporter.ingest.recorder import Unread

#: The most problems and warnings of a file that are listed.
LISTED: Final = 50
#: The daemon applies its own limit, with a warning.
_MANY_METRICS: Final = 1_000_000

#: The parts of a rank: the second of the end of a run, and its line.
_LINE_BITS: Final = 30
_MOST_LINES: Final = 2**_LINE_BITS - 1

#: The place in a line alone, whose number is always 1.
_PLACE: Final = re.compile(r"at line 1 column")


@dataclass(slots=True)
class Remarks:
    """Messages about lines, of which only the first are kept."""

    total: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, number: int, text: str) -> None:
        self.total += 1
        if len(self.first) < LISTED:
            self.first.append(f"line {number}: {text}")


@dataclass(slots=True)
class NewestRuns:
    """The ranks of the newest runs of each job: at most *most* of each."""

    most: int
    by_job: dict[str, array[int]] = field(default_factory=dict)

    def add(self, job: str, rank: int) -> None:
        ranks = self.by_job.setdefault(job, array("Q"))
        ranks.append(rank)
        if len(ranks) >= 2 * self.most + 16:
            self.by_job[job] = array("Q", sorted(ranks)[-self.most :])

    def of(self, job: str) -> list[int]:
        """Return the ranks of the newest runs of *job*, in order."""
        return sorted(self.by_job.get(job, ()))[-self.most :]


@dataclass(slots=True)
class CheckedFile:
    """The contents of a file, and the problems of its lines."""

    newest: NewestRuns
    lines: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    problems: Remarks = field(default_factory=Remarks)
    #: The first line with a run that ended before that of an earlier line.
    unordered_line: int = 0


def rank_of(ping: Ping, line: int) -> int:
    """Return a number that orders runs by the second of their end, then by line."""
    return int(times_of(ping, None).ended_at) << _LINE_BITS | min(line, _MOST_LINES)


def second_of(rank: int) -> int:
    """Return the second of the end of the run with this rank."""
    return rank >> _LINE_BITS


def line_of(rank: int) -> int:
    """Return the line of the run with this rank."""
    return rank & _MOST_LINES


def check_lines(lines: Iterable[RunLine], now: float, most: int) -> CheckedFile:
    """Return the contents of *lines*, of which the daemon keeps *most* runs of a job."""
    checked = CheckedFile(NewestRuns(most))
    last: dict[str, int] = {}
    for line in lines:
        checked.lines += 1
        ping = check_line(line, now)
        if isinstance(ping, str):
            checked.problems.add(line.number, ping)
            continue
        rank = rank_of(ping, line.number)
        checked.runs[ping.job] += 1
        checked.newest.add(ping.job, rank)
        second = second_of(rank)
        if second < last.get(ping.job, 0) and not checked.unordered_line:
            checked.unordered_line = line.number
        last[ping.job] = second
    return checked


def check_line(line: RunLine, now: float) -> Ping | str:
    """Return the report on *line*, or its problem."""
    if line.problem:
        return line.problem
    try:
        reads = read_history(line.text, now, b"", _MANY_METRICS)
    except PingError as error:
        return str(error)
    if len(reads) != 1:
        return "has several values: write one object a line"
    read = reads[0]
    if isinstance(read, Unread):
        return _PLACE.sub("at column", str(read.error))
    ping = read[0]
    return _time_problem(ping, now) or ping


def _time_problem(ping: Ping, now: float) -> str:
    for name, time in (("started_at", ping.started_at), ("ended_at", ping.ended_at)):
        if time is not None and time > now + TOLERATED_SKEW:
            ahead = format_duration(round(time - now))
            return f"{name} is in the future, by {ahead}: a past run has ended"
    if ping.ended_at is None and ping.started_at is not None:
        end = ping.started_at + (ping.duration or 0.0)
        if end > now + TOLERATED_SKEW:
            ahead = format_duration(round(end - now))
            return f"started_at plus the duration is in the future, by {ahead}"
    return ""
