"""Comparison of the alerts of the product with the expected ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.found import Alert

#: Seconds by which an end of an alert may differ.
TOLERANCE: Final = 2.0

#: What a required job has for less time may be noticed by those that require it, or not.
BLINK: Final = 0.01


@dataclass(frozen=True)
class Difference:
    """An alert that is not as it must be."""

    what: str
    job: str
    condition: str
    expected: Alert | None
    found: Alert | None

    @property
    def at(self) -> float:
        """The true time at which it shows first."""
        alerts = [one for one in (self.expected, self.found) if one is not None]
        return min(one.noticed for one in alerts)


@dataclass
class Tally:
    """Numbers of alerts of one condition, and of those that differ."""

    expected: int = 0
    found: int = 0
    missing: int = 0
    false: int = 0
    late: int = 0
    twice: int = 0

    def add(self, other: Tally) -> None:
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass
class Comparison:
    """Numbers by condition, and all differences."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    differences: list[Difference] = field(default_factory=list)


UPSTREAM: Final = "upstream_unhealthy"


def compare(expected: list[Alert], found: list[Alert]) -> Comparison:
    """Return the comparison of the two, condition by condition."""
    result = Comparison()
    keys: dict[tuple[str, str], tuple[list[Alert], list[Alert]]]
    keys = defaultdict(lambda: ([], []))
    for place, alerts in enumerate((expected, found)):
        for alert in alerts:
            keys[alert.job, alert.condition][place].append(alert)
    blinks = [one.noticed for one in expected if one.over - one.noticed < BLINK]
    for (_, condition), (wanted, given) in sorted(keys.items()):
        tally = result.tallies[condition]
        tally.expected += len(wanted)
        tally.found += len(given)
        for difference in _differences(wanted, given):
            at = difference.at
            if condition == UPSTREAM and any(abs(at - one) < BLINK for one in blinks):
                tally.expected -= difference.expected is not None
                tally.found -= difference.found is not None
                continue
            setattr(tally, difference.what, getattr(tally, difference.what) + 1)
            result.differences.append(difference)
    result.differences.sort(key=lambda one: one.at)
    return result


def _differences(wanted: list[Alert], given: list[Alert]) -> list[Difference]:
    rest = sorted(given, key=lambda one: one.noticed)
    unmatched: list[Alert] = []
    for alert in sorted(wanted, key=lambda one: one.noticed):
        equal = next((one for one in rest if _apart(alert, one) <= TOLERANCE), None)
        if equal is None:
            unmatched.append(alert)
        else:
            rest.remove(equal)
    found: list[Difference] = []
    for alert in unmatched:
        over = [one for one in rest if _overlap(alert, one)]
        job, condition = alert.job, alert.condition
        if not over:
            found.append(Difference("missing", job, condition, alert, None))
            continue
        best = min(over, key=lambda one: _apart(alert, one))
        rest.remove(best)
        found.append(Difference("late", job, condition, alert, best))
        for one in over:
            if one is not best and _is_within(one, alert):
                rest.remove(one)
                found.append(Difference("twice", job, condition, alert, one))
    return found + [
        Difference("false", one.job, one.condition, None, one) for one in rest
    ]


def _overlap(one: Alert, other: Alert) -> bool:
    begin, end = max(one.noticed, other.noticed), min(one.over, other.over)
    return begin <= end + TOLERANCE


def _is_within(one: Alert, other: Alert) -> bool:
    begins = one.noticed >= other.noticed - TOLERANCE
    return begins and one.over <= other.over + TOLERANCE


def _apart(one: Alert, other: Alert) -> float:
    """Return by how much the ends of two alerts differ, by record and by notice."""
    pairs = (
        (one.opened, other.opened),
        (one.noticed, other.noticed),
        (one.resolved, other.resolved),
        (one.over, other.over),
    )
    return max(0.0 if a == b else abs(a - b) for a, b in pairs)
