"""The query of the overview: search, filters and page number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final
from urllib.parse import urlencode

from multidict import MultiMapping

from afterrun_exporter.core.alerts import Status
from afterrun_exporter.core.did_you_mean import near
from afterrun_exporter.core.model import BLAMELESS, Condition, Job
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.index import BROKEN, RUNNING, UNOBSERVED, Entry, Holds

#: Jobs on a page.
PER_PAGE: Final = 50

#: The states of the filter, in order.
STATES: Final = tuple(
    dict.fromkeys(
        (
            BROKEN,
            Status.MISSED.value,
            Status.FAILING.value,
            Status.VIOLATED.value,
            *(one.value for one in Condition if one not in BLAMELESS),
            Status.OK.value,
            RUNNING,
            UNOBSERVED,
            Status.RETRYING.value,
            Status.NEW.value,
            Status.PAUSED.value,
        )
    )
)
#: The maximum length of a search and the maximum page number.
LONGEST: Final = 200
LAST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Filters for jobs; "" matches all."""

    q: str = ""
    state: str = ""
    label: str = ""
    project: str = ""
    tag: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        """True if any filter is set."""
        return any((self.q, self.state, self.label, self.project, self.tag))

    @property
    def holds(self) -> Holds | None:
        """A predicate for matching jobs; None if all match."""
        if not self.narrows:
            return None
        words = self.q.lower().split()
        state, project, tag = self.state, self.project, self.tag
        key, _, value = self.label.partition("=")
        label = (key, value) if self.label else None

        def holds(entry: Entry) -> bool:
            # Called for every job, so the cheapest checks come first.
            if state and state not in entry.words:
                return False
            job = entry.job
            if project and job.project != project:
                return False
            if tag and tag not in job.tags:
                return False
            if label and label not in job.labels:
                return False
            return not words or _contains(job, words)

        return holds

    def address(self, **changes: str | int) -> str:
        """Return the relative address of this query with *changes*."""
        other = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        parameters = {name: value for name, value in asdict(other).items() if value}
        if parameters.get("page") == 1:
            del parameters["page"]
        return f"?{urlencode(parameters)}" if parameters else "?"


def _contains(job: Job, words: list[str]) -> bool:
    text = job.name
    if job.description or job.display_name:
        text = f"{job.name} {job.display_name} {job.description}"
    text = text.lower()
    for word in words:  # noqa: SIM110 - all() would take twice as long
        if word not in text:
            return False
    return True


def read(parameters: MultiMapping[str]) -> JobQuery:
    """Return the query for the parameters of an address.

    Raises RequestError for a parameter that is unknown, repeated or out of range.
    """
    values = _once_each(parameters)
    state = values.get("state", "")
    if state and state not in STATES:
        raise RequestError(f"unknown state {state!r}: use one of {', '.join(STATES)}")
    words = values.get("q", "").strip()
    if len(words) > LONGEST:
        raise RequestError(
            f"the search has {len(words)} characters: use at most {LONGEST}"
        )
    return JobQuery(
        q=words,
        state=state,
        label=values.get("label", ""),
        project=values.get("project", ""),
        tag=values.get("tag", ""),
        page=_page(values.get("page", "")),
    )


def _once_each(parameters: MultiMapping[str]) -> Mapping[str, str]:
    names = (*JobQuery.__dataclass_fields__, "done")
    for name in parameters:
        if name not in names:
            suggestion = near(name, names)
            hint = f"; did you mean {suggestion!r}?" if suggestion else ""
            raise RequestError(f"unknown parameter {name[:60]!r}{hint}")
        if (times := len(parameters.getall(name))) > 1:
            raise RequestError(
                f"parameter {name!r} is sent {times} times: send it once"
            )
    return dict(parameters)


def _page(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise RequestError(f"page {text[:60]!r} is not a number from 1 to {LAST}")
    if not 1 <= int(text) <= LAST:
        raise RequestError(f"page {text!r} is not a number from 1 to {LAST}")
    return int(text)
