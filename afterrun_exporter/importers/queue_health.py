"""Rules on the state of a queue, checked by a job that reports it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.importers.model import ImportedJob
from afterrun_exporter.importers.names import unique_names
from afterrun_exporter.importers.yaml_sections import Section

#: From the most severe on; names of one's own come last.
_RANKS: Final = ("critical", "high", "warning", "medium", "low", "info")
_NAME: Final = "queue-health"
_MODES: Final = ("paused", "draining")


@dataclass(frozen=True, slots=True)
class QueueRule:
    """A rule of the job."""

    section: Section
    expression: str
    name: str
    severity: str


def expressions(conditions: Section) -> Iterator[str]:
    """Yield our rules for the *conditions* of a rule on the queue."""
    if (size := conditions.count("dlqSize")) is not None:
        yield f"dlq_size <= {size - 1}"
    if (pending := conditions.count("pendingJobs")) is not None:
        yield f"pending_jobs < {pending}"
    if (delayed := conditions.count("delayedJobs")) is not None:
        yield f"delayed_jobs < {delayed}"
    mode = conditions.text("mode")
    if mode in _MODES:
        yield f"{mode} == 0"
    elif mode is not None:
        conditions.report("mode", f"use one of {', '.join(_MODES)}")


def job(rules: Sequence[QueueRule], others: Sequence[str]) -> ImportedJob:
    """Return the job with *rules*, beside *others* of which the names are used."""
    names = unique_names([one.name for one in rules])
    settings: dict[str, object] = {
        "description": "State of the queue",
        "every": "1m",
        "grace": "5m",
    }
    if severities := [one.severity for one in rules if one.severity]:
        settings["severity"] = min(severities, key=rank)
    settings["rules"] = [
        {"expr": one.expression, "name": name}
        | ({"severity": one.severity} if one.severity else {})
        for name, one in zip(names, rules, strict=True)
    ]
    # A policy for all jobs may allow several failures.
    settings["alerts"] = {"after_failures": 1}
    metrics = sorted({one.expression.split()[0] for one in rules})
    note = (
        f"a script reports {', '.join(metrics)} every minute, as "
        "examples/queue-health.sh does"
    )
    (*_, name) = unique_names([*others, _NAME])
    return ImportedJob(name, settings, rules[0].section.source, (note,))


def rank(severity: str) -> int:
    """Return the place of *severity*; lower is more severe."""
    return _RANKS.index(severity) if severity in _RANKS else len(_RANKS)
