"""Alertmanagers that are up or down as a test likes, and remember what they took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from afterrun_exporter.core.timestamps import parse_time
from afterrun_exporter.errors import AlertsRefusedError, PushError
from tests.fakes import ManualClock


@dataclass
class Alertmanager:
    """Takes alerts as the real one does: the newer of two with one label set wins."""

    is_up: bool = True
    #: What goes wrong that nobody foresaw.
    oddity: Exception | None = None
    #: Alerts of these jobs are more than it can bear.
    unbearable: frozenset[str] = frozenset()
    posts: int = 0
    attempts: int = 0
    #: What was said of each label set, in order: "firing" or "resolved", and when.
    said: list[tuple[str, str, float]] = field(default_factory=list)
    #: Until when it takes each label set to be firing.
    ends: dict[str, float] = field(default_factory=dict)
    #: The alerts as they came last.
    last: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, alerts: Sequence[dict[str, Any]], now: float) -> None:
        """Take *alerts*, or raise why not."""
        self.attempts += 1
        if self.oddity is not None:
            raise self.oddity
        if not self.is_up:
            raise PushError("connection refused")
        bad = [
            one
            for one in alerts
            if one["labels"]["job_name"] in self.unbearable
            or one["startsAt"] > one["endsAt"]
        ]
        for one in alerts:
            if one in bad:
                continue
            what = f"{one['labels']['job_name']} {one['labels']['severity']}"
            ends_at = parse_time(one["endsAt"])
            self.said.append((what, "firing" if ends_at > now else "resolved", now))
            self.ends[what] = ends_at
            self.last[what] = one
        if bad:
            raise AlertsRefusedError("it answered 400: invalid alert")
        self.posts += 1

    def told(self, what: str) -> list[str]:
        """Return what was said of one label set, without repeats."""
        said = [how for label, how, _ in self.said if label == what]
        return [how for at, how in enumerate(said) if said[at - 1 : at] != [how]]

    def firing(self, now: float) -> set[str]:
        """Return what it takes to be firing now."""
        return {what for what, until in self.ends.items() if until > now}


@dataclass
class Alertmanagers:
    """Several of them, by URL; made when first posted to."""

    clock: ManualClock
    at: dict[str, Alertmanager] = field(default_factory=dict)

    def __getitem__(self, url: str) -> Alertmanager:
        return self.at.setdefault(url, Alertmanager())

    async def post(self, url: str, alerts: Sequence[dict[str, Any]]) -> None:
        """Post *alerts* to the Alertmanager at *url*."""
        self[url].take(alerts, self.clock.now())
