"""What Cronitor's clients say of their monitors, in the words of afterrun.yml.

https://cronitor.io/docs/monitor-api has the attributes. Nothing here knows of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.core.alerts import BROKEN, Status, status
from afterrun_exporter.core.crontab import five_fields
from afterrun_exporter.core.metric_names import written
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.names import name_of
from afterrun_exporter.core.state import JobState

#: ``every 5 minutes``; the units by their first letters.
_EVERY: Final = re.compile(
    r"every\s+(?:(\d{1,6})\s*)?(sec|min|hour|day|week)[a-z]*", re.IGNORECASE
)
_UNITS: Final = {"sec": "s", "min": "m", "hour": "h", "day": "d", "week": "w"}

#: ``metric.duration < 5 min``.
_ASSERTION: Final = re.compile(
    r"(?:metric|job|heartbeat|event)\.([A-Za-z_][\w-]{0,62})\s*(<=|>=|!=|==?|<|>)\s*"
    r"(-?\d+(?:\.\d+)?)\s*(ms|millisecond|s|sec|second|m|min|minute|h|hour|d|day|week)?"
    r"s?",
    re.IGNORECASE | re.ASCII,
)

#: Tags, or assertions, of one monitor.
MOST_LISTED: Final = 500

#: Metrics that are worked out there, of many reports, and not reported.
_WORKED_OUT: Final = frozenset({"error_rate"})


@dataclass(slots=True)
class Monitor:
    """What one monitor comes to."""

    words: dict[str, Any]
    #: What its client calls it.
    key: str = ""
    #: What of it is not taken, and why.
    warnings: list[str] = field(default_factory=list)


def monitor_of(told: Mapping[str, Any]) -> Monitor:
    """Return what the attributes of a monitor are in afterrun.yml.

    Raises ValueError, with everything that cannot be. What a job here cannot be told
    is left out, with a warning where it would have been a limit.
    """
    problems: list[str] = []
    monitor = Monitor({})
    words = monitor.words
    words.update(_when(told, problems))
    if (grace := _whole(told, "grace_seconds", problems)) is not None:
        words["grace"] = f"{max(grace, 1)}s"
    if (tolerated := _whole(told, "failure_tolerance", problems)) is not None:
        words["alerts"] = {"after_failures": tolerated + 1}
    if isinstance(note := told.get("note"), str):
        words["description"] = note
    if isinstance(name := told.get("name"), str) and name not in {"", told.get("key")}:
        words["display_name"] = name
    if isinstance(tags := told.get("tags"), list):
        words["tags"] = list(dict.fromkeys(map(str, _some(tags, "tags", problems))))
    rules = []
    asserted = [*_listed(told, "assertions")]
    for assertion in _some(asserted, "assertions", problems):
        rule, warning = _rule(assertion)
        rules += [rule] if rule else []
        monitor.warnings.extend([warning] if warning else [])
    if rules:
        words["rules"] = rules
    if problems:
        raise ValueError("; ".join(problems))
    return monitor


def monitor_object(job: Job, state: JobState, key: str) -> dict[str, Any]:
    """Return the monitor that stands for *job*, which its client calls *key*."""
    known = status(job, state)
    return {
        "key": key,
        "name": name_of(job),
        "type": "job",
        "schedule": job.schedule.text if job.schedule else None,
        "grace_seconds": int(job.grace),
        "assertions": [rule.name for rule in job.rules],
        "note": job.description,
        "tags": list(job.tags),
        "group": job.project or None,
        "initialized": known is not Status.NEW,
        "passing": known not in BROKEN,
        "paused": known is Status.PAUSED,
        "running": bool(state.open_runs),
    }


def _when(told: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    written = [*_listed(told, "schedules"), *_listed(told, "schedule")]
    if not written:
        return {}
    if len(written) > 1:
        problems.append("a job has one schedule here: give it one")
        return {}
    text = " ".join(str(written[0]).split())
    if every := _EVERY.fullmatch(text):
        return {"every": f"{every[1] or 1}{_UNITS[every[2].lower()]}"}
    return {
        "schedule": five_fields(text),
        "timezone": str(told.get("timezone") or "UTC"),
    }


def _rule(assertion: object) -> tuple[dict[str, Any] | None, str]:
    """Return the rule that an assertion is, and why it is none."""
    found = (
        _ASSERTION.fullmatch(assertion.strip()) if isinstance(assertion, str) else None
    )
    if found is None:
        return None, (
            f"assertion {assertion!r:.80} is not taken: write it like "
            "'metric.count > 0' or 'metric.duration < 5 min'"
        )
    metric, op, value, unit = found.groups()
    if metric in _WORKED_OUT:
        return None, (
            f"assertion {assertion!r:.80} is not taken: {metric} is not reported; "
            "success_ratio in afterrun.yml is like it"
        )
    words = f"{written(metric)} {'==' if op == '=' else op} {value}{_span(unit)}"
    # What is not reported is not asserted there.
    return {"expr": words, "on_missing": "ignore"}, ""


def _span(unit: str | None) -> str:
    if not unit:
        return ""
    short = unit.lower()
    return "ms" if short in {"ms", "millisecond"} else short[0]


def _whole(told: Mapping[str, Any], name: str, problems: list[str]) -> int | None:
    value = told.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        problems.append(f"{name} is {value!r:.40}: use a whole number, 0 or more")
        return None
    return value


def _some(values: list[Any], name: str, problems: list[str]) -> list[Any]:
    if len(values) > MOST_LISTED:
        problems.append(f"{name} has {len(values)} values: use {MOST_LISTED} at most")
        return []
    return values


def _listed(told: Mapping[str, Any], name: str) -> Iterator[object]:
    value = told.get(name)
    if isinstance(value, list):
        yield from value
    elif value is not None and value != "":
        yield value
