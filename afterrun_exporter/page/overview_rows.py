"""Rows and filters of the overview."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from zlib import crc32

from markupsafe import Markup

from afterrun_exporter.core.deadlines import next_slot, schedule_text
from afterrun_exporter.core.job_query import STATES, JobQuery
from afterrun_exporter.core.model import BLAMELESS, Condition, Job, Settings
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.schedule_words import in_words
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import BROKEN, status
from afterrun_exporter.page.job_index import Entry, held_back
from afterrun_exporter.page.query import PER_PAGE, address
from afterrun_exporter.page.reasons import TITLES, Reason
from afterrun_exporter.page.shared_causes import Cause
from afterrun_exporter.page.sorting import BY_NAME, ORDERS
from afterrun_exporter.page.strips import strip
from afterrun_exporter.page.times import Moment, moment, zone_of
from afterrun_exporter.storage.store import Ended

#: The maximum number of broken jobs that are shown in full.
MOST: Final = 12
#: Titles of the columns by their orders.
COLUMNS: Final = {
    BY_NAME: "Job",
    "state": "State",
    "last-run": "Last run",
    "duration": "Took",
    "last-ok": "Last ok",
    "due": "Next due",
}
#: The maximum number of values per filter, the most frequent ones.
CHOICES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One job in the list."""

    job: Job
    state: JobState
    status: str
    #: True if it has an open alert of its own.
    broken: bool
    held_back: bool
    #: The schedule in words, and as it is written; "" without one.
    schedule: str
    expression: str
    next_due: Moment | None
    strip: Markup
    #: Formats an instant for this job.
    at: Callable[[float], Moment | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A broken job with the reasons."""

    row: Row
    reasons: Sequence[Reason]

    @property
    def severity(self) -> str:
        """The severity of the worst reason."""
        return self.reasons[0].severity if self.reasons else self.row.job.severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A cause of several broken jobs, with some of them."""

    cause: Cause
    title: str
    severity: str
    #: When the first and the last of its alerts opened.
    first: Moment | None
    last: Moment | None
    jobs: Sequence[Entry]

    @property
    def id(self) -> str:
        """An identifier that is the same after an update of the page."""
        return f"cause-{crc32(f'{self.title} {self.cause.pattern}'.encode()):08x}"


@dataclass(frozen=True, slots=True)
class Header:
    """A column by which the list is sorted by a click."""

    title: str
    #: The address of the list in this order, or in the reverse one.
    address: str
    #: "ascending", "descending", or "" for another order.
    sorted: str


@dataclass(frozen=True, slots=True)
class Group:
    """The number of jobs with the same condition."""

    title: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a filter."""

    value: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Pages:
    """The position in a list of many pages."""

    query: JobQuery
    requested: int
    count: int
    sort: str = BY_NAME

    @property
    def last(self) -> int:
        """The number of the last page, at least 1."""
        return max(1, math.ceil(self.count / PER_PAGE))

    @property
    def number(self) -> int:
        """The number of the current page, at most the last one."""
        return min(self.requested, self.last)

    @property
    def start(self) -> int:
        """The number of jobs before the page."""
        return (self.number - 1) * PER_PAGE

    @property
    def end(self) -> int:
        """The number of jobs up to the end of the page."""
        return min(self.start + PER_PAGE, self.count)

    @property
    def links(self) -> list[tuple[str, str]]:
        """Labels and addresses of other pages."""
        steps = (
            ("first", 1, self.number > 2),
            ("previous", self.number - 1, self.number > 1),
            ("next", self.number + 1, self.number < self.last),
            ("last", self.last, self.number < self.last - 1),
        )
        return [
            (word, address(self.query, n, self.sort))
            for word, n, there in steps
            if there
        ]

    @property
    def headers(self) -> dict[str, Header]:
        """The sortable columns, by order."""
        headers: dict[str, Header] = {}
        for name, title in COLUMNS.items():
            selected = self.sort.removeprefix("-") == name
            to = f"-{name}" if self.sort == name and name != BY_NAME else name
            is_descending = ORDERS[name] is not self.sort.startswith("-")
            words = "descending" if is_descending else "ascending"
            place = address(self.query, 1, to)
            headers[name] = Header(title, place, words if selected else "")
        return headers


def row_of(
    job: Job, state: JobState, now: float, endings: Sequence[Ended], settings: Settings
) -> Row:
    """Return the row of *job*."""
    at = partial(moment, now=now, zone=zone_of(job))
    wrong = any(alert.key.condition not in BLAMELESS for alert in state.alerts)
    return Row(
        job=job,
        state=state,
        status=status(job, state).value,
        broken=wrong,
        held_back=held_back(state),
        schedule=in_words(job.schedule),
        expression=schedule_text(job),
        next_due=at(next_slot(job, state, settings)),
        strip=strip(endings),
        at=at,
    )


def shared_of(cause: Cause, jobs: Sequence[Entry], now: float) -> Shared:
    """Return the entry of *cause*, which lists *jobs*."""
    return Shared(
        cause=cause,
        title=TITLES[cause.condition],
        severity=cause.severity,
        first=moment(cause.first, now),
        last=moment(cause.last, now),
        jobs=jobs,
    )


def groups_of(wrong: Mapping[str, int]) -> list[Group]:
    """Return the number of broken jobs by state, the worst state first."""
    return [
        Group(TITLES[Condition(one)], one.value, wrong[one])
        for one in BROKEN
        if wrong.get(one)
    ]


def states_of(counts: Mapping[str, int], query: JobQuery) -> list[Choice]:
    """Return the states that jobs are in, and the selected one."""
    return [
        Choice(state, state.replace("_", " "), counts.get(state, 0))
        for state in STATES
        if counts.get(state) or state == query.state
    ]


def choices_of(
    every: Counter[tuple[str, str]], kind: str, selected: Collection[str]
) -> list[Choice]:
    """Return the sorted values of one filter."""
    counts = {value: n for (of, value), n in every.items() if of == kind and n > 0}
    choices = dict(Counter(counts).most_common(CHOICES))
    for value in filter(None, selected):
        choices.setdefault(value, counts.get(value, 0))
    return [Choice(value, value, choices[value]) for value in sorted(choices)]


def headline(broken: int, jobs: int) -> str:
    """Return the summary in one sentence."""
    if not jobs:
        return "No job has reported yet"
    if not broken:
        return "Nothing is broken"
    return plural(broken, "job is broken", "jobs are broken")


def announcement(
    broken: int, jobs: int, groups: Iterable[Group], unobserved: int
) -> str:
    """Return the text that screen readers announce after a change."""
    details = ", ".join(f"{group.count:,} {group.title}" for group in groups)
    line = headline(broken, jobs)
    line = f"{line}: {details}." if details else f"{line}."
    return f"{line} {unobserved:,} unobserved." if unobserved else line
