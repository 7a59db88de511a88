"""Alerts as they are compared: of the product, and of the oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Alert:
    """A condition of a job that held for a while."""

    job: str
    condition: str
    #: By its record, on the clock of the daemon.
    opened: float
    #: In true time, when it was noticed.
    noticed: float
    #: Both, for its end: +inf while it is open.
    resolved: float = math.inf
    over: float = math.inf


class Alerts:
    """The alerts of some jobs so far."""

    def __init__(self) -> None:
        self.all: list[Alert] = []
        self._open: dict[tuple[str, str], Alert] = {}
        self._closed: dict[tuple[str, str, float], Alert] = {}

    def open(self, job: str, condition: str, opened: float, now: float) -> None:
        """Note that a condition holds; one that has just ended may go on."""
        if (job, condition) in self._open:
            return
        alert = self._closed.pop((job, condition, opened), None)
        if alert is None:
            alert = Alert(job, condition, opened, now)
            self.all.append(alert)
        alert.resolved = alert.over = math.inf
        self._open[job, condition] = alert

    def resolve(self, job: str, condition: str, at: float, now: float) -> None:
        """Note that a condition holds no more since *at*."""
        alert = self._open.pop((job, condition))
        alert.resolved, alert.over = at, now
        self._closed[job, condition, alert.opened] = alert

    def move(self, job: str, condition: str, opened: float) -> None:
        """Note that an open one began at *opened*, by a clock that was set back."""
        self._open[job, condition].opened = opened
