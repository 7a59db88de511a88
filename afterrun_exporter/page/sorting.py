"""Orders of the list of jobs."""

from __future__ import annotations

import math
from typing import Final

from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.job_query import STATES
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.index import Entry, Order, SortKey

#: The order without a parameter.
BY_NAME: Final = "name"
#: Orders by their names, and True for those that begin with the largest value.
ORDERS: Final = {
    BY_NAME: False,
    "state": False,
    "last-run": True,
    "duration": True,
    "last-ok": False,
    "due": False,
}
#: All values of the parameter: a minus reverses an order.
SORTS: Final = (*ORDERS, *(f"-{name}" for name in ORDERS if name != BY_NAME))


def order_of(sort: str, settings: Settings) -> Order:
    """Return the order with the name *sort*, which is not `BY_NAME`."""
    name = sort.removeprefix("-")
    descending = ORDERS[name] is not sort.startswith("-")

    def order(entry: Entry, job: Job, state: JobState) -> SortKey:
        value = _value(name, entry, job, state, settings)
        if value is None or not math.isfinite(value):
            return True, 0.0
        return False, -value if descending else value

    return order


def _value(
    name: str, entry: Entry, job: Job, state: JobState, settings: Settings
) -> float | None:
    match name:
        case "state":
            return _urgency(entry)
        case "last-run":
            return state.last_finish_at or None
        case "duration":
            return state.last_duration
        case "last-ok":
            return state.last_success_at or None
    return next_slot(job, state, settings)


def _urgency(entry: Entry) -> float:
    """Return a number that grows from broken to healthy jobs."""
    place = STATES.index(entry.states[0]) if entry.states[0] in STATES else 0
    if entry.urgency is None:
        return 1000.0 + place
    held_back, severity, _ = entry.urgency
    return held_back * 500.0 + severity * 100 + place
