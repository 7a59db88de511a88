"""What is wrong with how the jobs of a file build on one another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from afterrun_exporter.config.problems import Finding
from afterrun_exporter.config.words import Path, did_you_mean, quote
from afterrun_exporter.core.model import Job


def unknown_dependencies(
    layer: Mapping[str, Any], names: Collection[str], at: Path
) -> Iterator[Finding]:
    """Yield what a job or policy *layer* depends on that is none of *names*."""
    told = layer.get("depends_on")
    for position, written in enumerate(told if isinstance(told, list) else ()):
        name = written.get("job") if isinstance(written, dict) else written
        # What is no text is a problem of another kind.
        if isinstance(name, str) and name not in names:
            hint = did_you_mean(name, names) or ": only jobs of this file can be"
            message = f"unknown job {quote(name)}{hint}"
            yield Finding((*at, "depends_on", position), message)


def circles(jobs: Mapping[str, Job]) -> Iterator[Finding]:
    """Yield one way in which jobs depend on themselves, if there is any."""
    graph = {
        job.name: [one.job for one in job.depends_on]
        for job in jobs.values()
        if job.depends_on
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # Each of them is required by the next one, the first stands at both ends.
        names: list[str] = error.args[1][:0:-1]
        order = list(graph)
        first = min(range(len(names)), key=lambda at: order.index(names[at]))
        circle = [*names[first:], *names[:first], names[first]]
        message = f"goes round in a circle: {' -> '.join(circle)}; remove one of them"
        yield Finding(("jobs", circle[0], "depends_on"), message)
