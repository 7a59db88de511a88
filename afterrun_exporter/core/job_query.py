"""The query for jobs of the status page, the HTTP API and `afterrun jobs`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.core.did_you_mean import unknown_value
from afterrun_exporter.core.model import BLAMELESS, Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import Status, status

#: Any open condition of the job itself, and slots that were due in a downtime.
BROKEN: Final = "broken"
UNOBSERVED: Final = "unobserved"

#: The states of the query, in order.
STATES: Final = (BROKEN, *(one.value for one in Status), UNOBSERVED)
#: A label in a query; a colon is accepted between key and value as well.
LABEL: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)[=:](.*)", re.DOTALL)
#: The maximum length of a search.
LONGEST: Final = 200

_ALONE: Final = {one: (one.value,) for one in Status}

#: Returns True for a job and its states (`states_of`) that match a query.
Predicate = Callable[[Job, Collection[str]], bool]


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Filters for jobs; a job must match all of them, and an empty one matches any."""

    #: Words that are in the name, the display name or the description, in any case.
    q: str = ""
    state: str = ""
    #: As key=value.
    label: tuple[str, ...] = ()
    project: str = ""
    tag: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """True if any filter is set."""
        return self != JobQuery()

    @property
    def predicate(self) -> Predicate | None:
        """A function that returns True for matching jobs; None if all match."""
        if not self.narrows:
            return None
        state, project, tags = self.state, self.project, frozenset(self.tag)
        words = self.q.lower().split()
        pairs = (text.partition("=") for text in self.label)
        labels = frozenset((key, value) for key, _, value in pairs)

        def matches(job: Job, states: Collection[str]) -> bool:
            # Called for every job, so the cheapest checks come first.
            if state and state not in states:
                return False
            if project and job.project != project:
                return False
            if tags and not tags.issubset(job.tags):
                return False
            if labels and not labels.issubset(job.labels):
                return False
            return not words or _contains(job, words)

        return matches


def parse_query(
    *,
    q: str = "",
    state: str = "",
    label: Iterable[str] = (),
    project: str = "",
    tag: Iterable[str] = (),
) -> JobQuery:
    """Return the query for these parameters; raise ValueError if one is invalid."""
    if state and state not in STATES:
        raise ValueError(unknown_value("state", state, STATES))
    words = q.strip()
    if len(words) > LONGEST:
        raise ValueError(
            f"the search has {len(words)} characters: use at most {LONGEST}"
        )
    labels = tuple(_label(text) for text in label if text)
    return JobQuery(words, state, labels, project, tuple(filter(None, tag)))


def states_of(job: Job, state: JobState) -> tuple[str, ...]:
    """Return the one word for the state of *job*, then `UNOBSERVED` and `BROKEN`."""
    one = status(job, state)
    if not (state.alerts or state.unobserved):
        return _ALONE[one]
    states = [one.value]
    if state.unobserved is not None:
        states.append(UNOBSERVED)
    if one is not Status.PAUSED and any(
        alert.key.condition not in BLAMELESS for alert in state.alerts
    ):
        states.append(BROKEN)
    return tuple(states)


def _contains(job: Job, words: list[str]) -> bool:
    text = job.name
    if job.description or job.display_name:
        text = f"{job.name} {job.display_name} {job.description}"
    text = text.lower()
    for word in words:  # noqa: SIM110 - all() would take twice as long
        if word not in text:
            return False
    return True


def _label(text: str) -> str:
    if (match := LABEL.fullmatch(text)) is None:
        raise ValueError(f"label {text[:60]!r} is not a label: write it like team=data")
    return f"{match[1]}={match[2]}"
