"""Reports over a period: how often jobs ran, were ok and on time, and for how long broken.

The field names are those of the JSON format.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec import Struct, json
from msgspec.structs import replace

from afterrun_exporter.core.daily_figures import (
    DAY,
    OUTCOMES,
    BrokenSpan,
    DayTotals,
    JobFigures,
)
from afterrun_exporter.core.durations import count_marks, percentiles, percentiles_of
from afterrun_exporter.core.model import NEUTRAL, Job, Outcome
from afterrun_exporter.core.timestamps import format_time

#: Rows to encode or free in one call, which no other thread interrupts.
STEP: Final = 1000
#: Jobs in the list of the worst ones.
WORST: Final = 10
#: The most days of a period.
MOST_DAYS: Final = 3660
#: The most groups of one kind, those with the most jobs.
GROUPS: Final = 200
_EPOCH: Final = date(1970, 1, 1)
_OUTCOMES: Final = [one.value for one in OUTCOMES]
_NEUTRAL: Final = [n for n, one in enumerate(OUTCOMES) if one in NEUTRAL]
_CANCELED: Final = OUTCOMES.index(Outcome.CANCELED)
_OK: Final = OUTCOMES.index(Outcome.OK)
#: The most runs whose durations are all counted in groups.
MOST_RUNS: Final = 500_000
_NO_RUNS: Final = (0,) * len(OUTCOMES)


#: Shares of runs of the percentiles of reports.
_SHARES: Final = (0.5, 0.95, 0.99)
#: The project, the tags and the labels of a job.
_Groups = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]
_NO_GROUPS: Final[_Groups] = ("", (), ())


class Period(Struct, frozen=True):
    """Whole UTC days, the first and the last one included."""

    first: int
    last: int


class Figures(Struct, kw_only=True):
    """Figures of one or many jobs."""

    jobs: int
    #: Judged runs: all except canceled and skipped ones.
    runs: int
    ok: int
    fail: int
    violated: int
    partial: int
    timeout: int
    invalid: int
    canceled: int
    skipped: int
    ok_ratio: float | None
    #: Slots that were due, and those without a run that ended in time.
    due: int
    missed: int
    on_time_ratio: float | None
    #: Percentiles of durations in seconds, exact to three percent, and as round as that allows.
    p50: float | None
    p95: float | None
    p99: float | None
    #: The time with an open condition, and the number of such times.
    broken_seconds: float
    incidents: int

    @property
    def bad(self) -> int:
        """Judged runs that were not ok."""
        return self.runs - self.ok


class Row(Figures, kw_only=True):
    """Figures with the name of the job or group."""

    name: str


class Group(Struct):
    """Figures of jobs by project, tag or the value of a label."""

    by: str
    rows: list[Row]


class Day(Struct):
    """Runs of all jobs on one day."""

    date: str
    ok: int
    not_ok: int
    missed: int


class Report(Struct, kw_only=True):
    """The report of a period; dates are UTC days."""

    since: str
    until: str
    created: str
    total: Figures
    #: Empty for a report on some jobs only.
    days: list[Day]
    groups: list[Group]
    worst: list[Row]
    #: The worst first; as many as requested.
    jobs: list[Row]


def parse_period(text: str, now: float) -> Period:
    """Return the period that *text* names; raise ValueError if it is none.

    These are the last days (30d), days (2026-11-01..2026-11-15), a month (2026-11),
    last-week and last-month.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    try:
        first, last = _dates(text, today)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is not a period: write it like 30d, 2026-11, "
            "2026-11-01..2026-11-15, last-week or last-month"
        ) from None
    if last < first:
        raise ValueError(f"{text[:40]!r} ends before it begins")
    if first > today:
        raise ValueError(f"{text[:40]!r} is in the future")
    last = min(last, today)
    if (days := (last - first).days + 1) > MOST_DAYS:
        raise ValueError(f"{text[:40]!r} has {days} days: use at most {MOST_DAYS}")
    return Period((first - _EPOCH).days, (last - _EPOCH).days)


def _dates(text: str, today: date) -> tuple[date, date]:
    if text == "last-week":
        monday = today - timedelta(days=today.weekday() + 7)
        return monday, monday + timedelta(days=6)
    if text == "last-month":
        last = today.replace(day=1) - timedelta(days=1)
        return last.replace(day=1), last
    if text.endswith("d") and text[:-1].isascii() and text[:-1].isdigit():
        if not 1 <= int(text[:-1]) <= MOST_DAYS:
            raise ValueError
        return today - timedelta(days=int(text[:-1]) - 1), today
    if ".." in text:
        start, _, end = text.partition("..")
        return date.fromisoformat(start), date.fromisoformat(end)
    first_day = date.fromisoformat(f"{text}-01")
    following = (first_day + timedelta(days=31)).replace(day=1)
    return first_day, following - timedelta(days=1)


class _Sum:
    """Sums of the figures of jobs."""

    __slots__ = ("broken", "due", "durations", "incidents", "jobs", "missed", "runs")

    def __init__(self) -> None:
        self.jobs = self.missed = self.due = self.incidents = 0
        self.broken = 0.0
        self.runs: Sequence[int] = _NO_RUNS
        #: The number of runs by code point of durations.
        self.durations: dict[int, int] = {}

    def add(self, other: _Sum) -> None:
        self.jobs += other.jobs
        self.missed += other.missed
        self.due += other.due
        self.incidents += other.incidents
        self.broken += other.broken
        self.runs = list(map(int.__add__, self.runs, other.runs))
        if other.durations:
            self.add_durations(other.durations)

    def add_durations(self, more: Mapping[int, int]) -> None:
        durations = self.durations
        for code, number in more.items():
            durations[code] = durations.get(code, 0) + number

    def figures(self) -> dict[str, Any]:
        """Return the fields of `Figures`."""
        return self.with_percentiles(percentiles(self.durations, _SHARES))

    def with_percentiles(self, values: Sequence[float | None]) -> dict[str, Any]:
        judged, on_time = _judged(self.runs), self.due - self.missed
        p50, p95, p99 = values
        return {
            "jobs": self.jobs,
            "runs": judged,
            **dict(zip(_OUTCOMES, self.runs, strict=True)),
            "ok_ratio": _ratio(self.runs[_OK], judged),
            "due": self.due,
            "missed": self.missed,
            "on_time_ratio": _ratio(on_time, self.due),
            "p50": p50,
            "p95": p95,
            "p99": p99,
            "broken_seconds": round(self.broken, 3),
            "incidents": self.incidents,
        }


def _judged(runs: Sequence[int]) -> int:
    """Return the number of *runs* that are neither canceled nor skipped."""
    return sum(runs) - sum([runs[place] for place in _NEUTRAL])


class _JobSum(NamedTuple):
    """The sums of one job, without durations; ordered from the worst job on."""

    badness: tuple[float, int, int]
    name: str
    sums: _Sum
    figures: JobFigures | None

    def row(self) -> Row:
        """Return the row of the job."""
        figures = self.figures
        if figures is not None and figures.weighted:
            values = percentiles(figures.histogram(), _SHARES)
        else:
            values = percentiles_of(figures.durations if figures else "", _SHARES)
        return Row(name=self.name, **self.sums.with_percentiles(values))


class ReportBuilder:
    """Builds the report of *period* from the figures of one job after the other.

    Of *runs* very many runs, groups take the durations of a part only.
    """

    def __init__(self, period: Period, now: float, runs: int) -> None:
        self._period = period
        self._now = now
        self._stride = 1 + runs // MOST_RUNS
        #: By project, tags and labels: most jobs share a few combinations.
        self._sums: defaultdict[_Groups, _Sum] = defaultdict(_Sum)
        #: Marks of durations to be counted in them.
        self._marks: defaultdict[_Groups, list[str]] = defaultdict(list)
        self._jobs: list[_JobSum] = []

    def add(
        self,
        name: str,
        job: Job | None,
        figures: JobFigures | None,
        spans: Iterable[BrokenSpan],
    ) -> None:
        """Add the job *name*, with its *spans* in order; *job* is None if it was removed."""
        own = _Sum()
        own.jobs = 1
        groups = (job.project, job.tags, job.labels) if job else _NO_GROUPS
        if figures is not None:
            own.runs = figures.runs
            own.missed = figures.missed
            if figures.missed or (job is not None and job.schedule is not None):
                covering = sum(own.runs) - own.runs[_CANCELED]
                own.due = max(covering - figures.late, 0) + figures.missed
            first = len(self._jobs) % self._stride
            if figures.weighted:
                sample = figures.sample(first, self._stride)
                self._sums[groups].add_durations(sample)
            else:
                self._marks[groups].append(figures.durations[first :: self._stride])
        own.broken, own.incidents = self._broken(spans)
        self._sums[groups].add(own)
        badness = (-own.broken, -own.missed, own.runs[_OK] - _judged(own.runs))
        self._jobs.append(_JobSum(badness, name, own, figures))

    def _broken(self, spans: Iterable[BrokenSpan]) -> tuple[float, int]:
        """Return the time in which any of *spans* held, and the number of such times."""
        start, end = self._period.first * DAY, (self._period.last + 1) * DAY
        limit = min(end, self._now)
        seconds, incidents, until = 0.0, 0, -math.inf
        for since, ends in spans:
            since = max(since, start)  # noqa: PLW2901
            ends = limit if ends is None else min(ends, limit)  # noqa: PLW2901
            incidents += since > until
            if ends > until:
                seconds += ends - max(since, until)
                until = ends
        return seconds, incidents

    def report(self, days: Iterable[DayTotals], jobs: int) -> Report:
        """Return the report, with at most so many *jobs* in the list."""
        total, groups = self._grouped()
        rows = [one.row() for one in heapq.nsmallest(max(jobs, WORST), self._jobs)]
        # Freeing all at once would hold the event loop.
        while self._jobs:
            del self._jobs[-STEP:]
        return Report(
            since=_date(self._period.first),
            until=_date(self._period.last),
            created=format_time(self._now),
            total=Figures(**total.figures()),
            days=list(_every_day(days, self._period)),
            groups=list(groups),
            worst=[one for one in rows[:WORST] if _is_bad(one)],
            jobs=rows[:jobs],
        )

    def _grouped(self) -> tuple[_Sum, Iterator[Group]]:
        total = _Sum()
        kinds: defaultdict[str, defaultdict[str, _Sum]] = defaultdict(
            lambda: defaultdict(_Sum)
        )
        for groups, sums in self._sums.items():
            sums.add_durations(count_marks("".join(self._marks[groups])))
            total.add(sums)
            for by, name in _names_of(*groups):
                kinds[by][name].add(sums)
        # Labels after projects and tags.
        order = sorted(kinds, key=lambda by: (":" in by, by))
        return total, (_group(by, kinds[by]) for by in order)


def _group(by: str, sums: Mapping[str, _Sum]) -> Group:
    largest = heapq.nsmallest(GROUPS, sums, key=lambda name: (-sums[name].jobs, name))
    return Group(
        by, [Row(name=name, **sums[name].figures()) for name in sorted(largest)]
    )


def _names_of(
    project: str, tags: Iterable[str], labels: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each group."""
    if project:
        yield "project", project
    for tag in tags:
        yield "tag", tag
    for key, value in labels:
        if value:
            yield f"label:{key}", value


def _is_bad(row: Row) -> bool:
    return bool(row.broken_seconds or row.missed or row.bad)


def _every_day(days: Iterable[DayTotals], period: Period) -> Iterator[Day]:
    by_day = {one.day: one for one in days}
    if not by_day:
        return
    for day in range(period.first, period.last + 1):
        totals = by_day.get(day)
        runs = totals.runs if totals else _NO_RUNS
        ok = runs[_OK]
        not_ok = _judged(runs) - ok
        yield Day(_date(day), ok, not_ok, totals.missed if totals else 0)


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def encode_report(report: Report) -> bytes:
    """Return *report* as JSON, with pauses for other threads if it is long."""
    rows = report.jobs
    pieces = (
        json.encode(rows[at : at + STEP])[1:-1] for at in range(0, len(rows), STEP)
    )
    end = b'"jobs":[]}'
    start = json.encode(replace(report, jobs=[])).removesuffix(end)
    return b"".join((start, end[:-2], b",".join(pieces), end[-2:]))


def decode_report(text: bytes) -> Report:
    """Return the report in the JSON *text*; raise ValueError if it is none."""
    return json.decode(text, type=Report)
