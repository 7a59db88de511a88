"""Who is to know which jobs changed; each asks when it has the time."""

from __future__ import annotations

from collections.abc import Iterable


class Subscriber:
    """Collects the jobs that changed until somebody takes them."""

    def __init__(self, changed: Iterable[str]) -> None:
        self.changed = set(changed)

    def take(self) -> set[str]:
        """Return the jobs that changed, or left, since this was last asked."""
        changed, self.changed = self.changed, set()
        return changed


class ChangeFeed:
    """All who are to know."""

    def __init__(self) -> None:
        self._all: list[Subscriber] = []

    def add(self, changed: Iterable[str]) -> Subscriber:
        """Return another one, for whom these have changed already."""
        self._all.append(Subscriber(changed))
        return self._all[-1]

    def note(self, name: str) -> None:
        """Tell everyone that this job changed."""
        for follower in self._all:
            follower.changed.add(name)

    def note_all(self, *names: Iterable[str]) -> None:
        """Tell everyone that all of these changed."""
        for follower in self._all:
            follower.changed.update(*names)
