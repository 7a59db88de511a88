"""Orders of the list of jobs."""

from __future__ import annotations

import math
from typing import Final

from afterrun_exporter.core.deadlines import next_slot
from afterrun_exporter.core.job_query import STATES
from afterrun_exporter.core.model import Job, Settings
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.job_index import Entry, Order

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
    value = _value(name, settings)
    sign = -1.0 if ORDERS[name] is not sort.startswith("-") else 1.0

    def order(entry: Entry, job: Job, state: JobState) -> float:
        key = sign * value(entry, job, state)
        # Jobs without a value are last in both directions.
        return key if -math.inf < key < math.inf else math.inf

    return order


def _value(name: str, settings: Settings) -> Order:
    """Return the function for the value of a job; infinity for none."""
    return {
        "state": lambda entry, _job, _state: _urgency(entry),
        "last-run": lambda _entry, _job, state: state.last_finish_at or math.inf,
        "duration": lambda _entry, _job, state: (
            math.inf if state.last_duration is None else state.last_duration
        ),
        "last-ok": lambda _entry, _job, state: state.last_success_at or math.inf,
        "due": lambda _entry, job, state: next_slot(job, state, settings),
    }[name]


def _urgency(entry: Entry) -> float:
    """Return a number that grows from broken to healthy jobs."""
    place = STATES.index(entry.states[0]) if entry.states[0] in STATES else 0
    if entry.urgency is None:
        return 1000.0 + place
    held_back, severity, _ = entry.urgency
    return held_back * 500.0 + severity * 100 + place
