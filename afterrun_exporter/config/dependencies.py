"""Validation of dependencies between jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.validation_messages import Finding, Path, quote


def written_dependencies(layer: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield the dependencies of a job or policy *layer*, with their list positions.

    Entries that are not text are reported elsewhere.
    """
    entries = layer.get("depends_on")
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        name = entry.get("job") if isinstance(entry, dict) else entry
        if isinstance(name, str):
            yield position, name


def unknown_dependencies(
    layer: Mapping[str, Any], names: Collection[str], at: Path
) -> Iterator[Finding]:
    """Yield a finding for each dependency of *layer* that is not in *names*."""
    for position, name in written_dependencies(layer):
        if name not in names:
            hint = (
                did_you_mean(name, names) or ": dependencies must be jobs of this file"
            )
            message = f"unknown job {quote(name)}{hint}"
            yield Finding((*at, "depends_on", position), message)


def circles(graph: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield a finding for each cycle in *graph*, which has the dependencies of each job.

    A job is in at most one finding. For jobs that all depend on one another, at least
    one cycle is reported.
    """
    order = {name: place for place, name in enumerate(graph)}
    visited: set[str] = set()
    reported: set[str] = set()
    for start in graph:
        if start in visited:
            continue
        # The path to the current job, with its remaining dependencies.
        way = [(start, iter(graph[start]))]
        place = {start: 0}
        while way:
            here, ahead = way[-1]
            name = next(ahead, None)
            if name is None:
                way.pop()
                del place[here]
                visited.add(here)
            elif name in place:
                circle = [one for one, _ in way[place[name] :]]
                if reported.isdisjoint(circle):
                    reported.update(circle)
                    yield _circle(circle, order)
            elif name in graph and name not in visited:
                place[name] = len(way)
                way.append((name, iter(graph[name])))


def _circle(names: list[str], order: Mapping[str, int]) -> Finding:
    first = names.index(min(names, key=order.__getitem__))
    circle = [*names[first:], *names[:first], names[first]]
    message = f"is a cycle: {' -> '.join(circle)}; remove one of them"
    return Finding(("jobs", circle[0], "depends_on"), message)
