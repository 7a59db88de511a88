"""What is wrong with how the jobs of a file build on one another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from afterrun_exporter.config.error_messages import Path, did_you_mean, quote
from afterrun_exporter.config.problems import Finding


def written_dependencies(layer: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield what a job or policy *layer* depends on, with its place in the list.

    What is no text is a problem of another kind.
    """
    told = layer.get("depends_on")
    for position, written in enumerate(told if isinstance(told, list) else ()):
        name = written.get("job") if isinstance(written, dict) else written
        if isinstance(name, str):
            yield position, name


def unknown_dependencies(
    layer: Mapping[str, Any], names: Collection[str], at: Path
) -> Iterator[Finding]:
    """Yield what a job or policy *layer* depends on that is none of *names*."""
    for position, name in written_dependencies(layer):
        if name not in names:
            hint = did_you_mean(name, names) or ": only jobs of this file can be"
            message = f"unknown job {quote(name)}{hint}"
            yield Finding((*at, "depends_on", position), message)


def circles(graph: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Yield how jobs depend on themselves; *graph* has what each depends on.

    No job is told of twice, and of jobs that all depend on one another at least one
    circle is told.
    """
    order = {name: place for place, name in enumerate(graph)}
    done: set[str] = set()
    told: set[str] = set()
    for start in graph:
        if start in done:
            continue
        # The way from there to where we are, with what is left to look at on it.
        way = [(start, iter(graph[start]))]
        place = {start: 0}
        while way:
            here, ahead = way[-1]
            name = next(ahead, None)
            if name is None:
                way.pop()
                del place[here]
                done.add(here)
            elif name in place:
                circle = [one for one, _ in way[place[name] :]]
                if told.isdisjoint(circle):
                    told.update(circle)
                    yield _circle(circle, order)
            elif name in graph and name not in done:
                place[name] = len(way)
                way.append((name, iter(graph[name])))


def _circle(names: list[str], order: Mapping[str, int]) -> Finding:
    first = names.index(min(names, key=order.__getitem__))
    circle = [*names[first:], *names[:first], names[first]]
    message = f"goes round in a circle: {' -> '.join(circle)}; remove one of them"
    return Finding(("jobs", circle[0], "depends_on"), message)
