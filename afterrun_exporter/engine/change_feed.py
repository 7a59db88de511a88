"""Notification of subscribers about changed jobs."""

from __future__ import annotations

from collections.abc import Iterable


class Subscriber:
    """Collects the names of changed jobs until they are read."""

    def __init__(self, changed: Iterable[str]) -> None:
        self.changed = set(changed)

    def take(self) -> set[str]:
        """Return the jobs that changed or were removed since the last call."""
        changed, self.changed = self.changed, set()
        return changed


class ChangeFeed:
    """All subscribers."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def add(self, changed: Iterable[str]) -> Subscriber:
        """Return a new subscriber for which the jobs *changed* are already pending."""
        self._subscribers.append(Subscriber(changed))
        return self._subscribers[-1]

    def note(self, name: str) -> None:
        """Notify all subscribers that this job changed."""
        for subscriber in self._subscribers:
            subscriber.changed.add(name)

    def note_all(self, *names: Iterable[str]) -> None:
        """Notify all subscribers that all of these jobs changed."""
        for subscriber in self._subscribers:
            subscriber.changed.update(*names)
