"""What the overview shows: the broken jobs first, then all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from afterrun_exporter.core.alerts import Status
from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.model import BLAMELESS, Condition, Job, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.index import BROKEN, RUNNING, UNOBSERVED, held_back
from afterrun_exporter.page.query import PER_PAGE, STATES, JobQuery
from afterrun_exporter.page.reasons import TITLES, Reason
from afterrun_exporter.page.strips import strip
from afterrun_exporter.page.times import Moment, moment, zone_of
from afterrun_exporter.storage.store import Ended

#: Broken jobs that are told of in full; more are no list but an outage.
MOST: Final = 12
#: Of everything that jobs can be filtered by, the values that most of them have.
CHOICES: Final = 200

#: What a state is called where it is chosen.
STATE_WORDS: Final = {
    BROKEN: "broken",
    RUNNING: "running now",
    UNOBSERVED: "unobserved",
    **{one.value: one.value for one in Status},
    **{
        one.value: one.value.replace("_", " ")
        for one in Condition
        if one not in BLAMELESS
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One job in the list."""

    job: Job
    status: str
    #: Whether anything is wrong with it, whatever its status says.
    broken: bool
    running: int
    held_back: bool
    #: Whether it was last due in a downtime.
    unobserved: bool
    last_run: Moment | None
    last_outcome: str
    last_success: Moment | None
    next_due: Moment | None
    strip: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One broken job, and why it is."""

    row: Row
    reasons: Sequence[Reason]

    @property
    def severity(self) -> str:
        """That of what is worst."""
        return self.reasons[0].severity if self.reasons else self.row.job.severity


@dataclass(frozen=True, slots=True)
class Group:
    """How many jobs have the same trouble."""

    title: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that jobs can be filtered by."""

    value: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Pages:
    """Where in a long list we are."""

    asked: JobQuery
    count: int

    @property
    def last(self) -> int:
        """The number of the last page, 1 where there is nothing."""
        return max(1, math.ceil(self.count / PER_PAGE))

    @property
    def number(self) -> int:
        """The page that is shown: the last one where a later one is asked for."""
        return min(self.asked.page, self.last)

    @property
    def start(self) -> int:
        """How many jobs come before it."""
        return (self.number - 1) * PER_PAGE

    @property
    def end(self) -> int:
        """How many jobs there are up to its end."""
        return min(self.start + PER_PAGE, self.count)

    @property
    def links(self) -> list[tuple[str, str]]:
        """Where one can go from here: a word and an address each."""
        steps = (
            ("first", 1, self.number > 2),
            ("previous", self.number - 1, self.number > 1),
            ("next", self.number + 1, self.number < self.last),
            ("last", self.last, self.number < self.last - 1),
        )
        return [(word, self.asked.address(page=n)) for word, n, there in steps if there]


def row_of(
    job: Job,
    state: JobState,
    now: float,
    endings: Sequence[Ended],
    status: str,
    settings: Settings,
) -> Row:
    """Return *job* as it stands in the list."""
    zone = zone_of(job)
    wrong = any(alert.key.condition not in BLAMELESS for alert in state.alerts)
    return Row(
        job=job,
        status=status,
        broken=wrong,
        running=len(state.open_runs),
        held_back=held_back(state),
        unobserved=state.unobserved is not None,
        last_run=moment(state.last_finish_at, now, zone),
        last_outcome=state.last_outcome.value if state.last_outcome else "",
        last_success=moment(state.last_success_at, now, zone),
        next_due=moment(next_slot(job, state, settings), now, zone),
        strip=strip(endings),
    )


def groups_of(wrong: Mapping[str, int]) -> list[Group]:
    """Return what is wrong with how many jobs, the worst trouble first."""
    return [
        Group(TITLES[one], one.value, wrong[one.value])
        for one in TITLES
        if one not in BLAMELESS and wrong.get(one.value)
    ]


def states_of(counts: Mapping[str, int], asked: JobQuery) -> list[Choice]:
    """Return the states that there are, and the one that is asked for."""
    return [
        Choice(word, STATE_WORDS[word], counts.get(word, 0))
        for word in STATES
        if counts.get(word) or word == asked.state
    ]


def choices_of(every: Counter[tuple[str, str]], kind: str, chosen: str) -> list[Choice]:
    """Return what jobs can be filtered by, of one kind and in order."""
    found = {value: n for (of, value), n in every.items() if of == kind and n > 0}
    kept = dict(Counter(found).most_common(CHOICES))
    if chosen:
        kept.setdefault(chosen, found.get(chosen, 0))
    return [Choice(value, value, kept[value]) for value in sorted(kept)]


def headline(broken: int, jobs: int) -> str:
    """Return how things are, in one sentence."""
    if not jobs:
        return "No job has reported yet"
    if not broken:
        return "Nothing is broken"
    return "1 job is broken" if broken == 1 else f"{broken:,} jobs are broken"


def announcement(
    broken: int, jobs: int, groups: Iterable[Group], unobserved: int
) -> str:
    """Return what is said aloud when it changes."""
    told = ", ".join(f"{group.count:,} {group.title}" for group in groups)
    line = headline(broken, jobs)
    line = f"{line}: {told}." if told else f"{line}."
    return f"{line} {unobserved:,} unobserved." if unobserved else line
