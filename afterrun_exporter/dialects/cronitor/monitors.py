"""Cronitor monitors as settings of afterrun.yml.

https://cronitor.io/docs/monitor-api documents the attributes. This module does not
depend on HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from afterrun_exporter.core.cronitor import assertion_rule, schedule_settings
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.names import name_of
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.status import BROKEN, Status, status

#: The most tags, or assertions, of one monitor.
MOST_LISTED: Final = 500


@dataclass(slots=True)
class Monitor:
    """The settings and warnings that one monitor results in."""

    description: dict[str, Any]
    #: The key that its client uses.
    key: str = ""
    #: The attributes that are ignored, with reasons.
    warnings: list[str] = field(default_factory=list)


def monitor_of(attributes: Mapping[str, Any]) -> Monitor:
    """Return the attributes of a monitor as settings of afterrun.yml.

    Raises ValueError with all invalid attributes. Attributes without an equivalent
    are left out, with a warning if they define a limit.
    """
    problems: list[str] = []
    monitor = Monitor({})
    description = monitor.description
    description.update(_when(attributes, problems))
    if (grace := _whole_number(attributes, "grace_seconds", problems)) is not None:
        description["grace"] = f"{max(grace, 1)}s"
    if (
        tolerated := _whole_number(attributes, "failure_tolerance", problems)
    ) is not None:
        description["alerts"] = {"after_failures": tolerated + 1}
    if isinstance(note := attributes.get("note"), str):
        description["description"] = note
    if isinstance(name := attributes.get("name"), str) and name not in {
        "",
        attributes.get("key"),
    }:
        description["display_name"] = name
    if isinstance(tags := attributes.get("tags"), list):
        description["tags"] = list(
            dict.fromkeys(map(str, _limited(tags, "tags", problems)))
        )
    rules = []
    assertions = [*_list_of(attributes, "assertions")]
    for assertion in _limited(assertions, "assertions", problems):
        rule, reason = assertion_rule(assertion)
        if rule is not None:
            rules.append(rule)
        else:
            monitor.warnings.append(f"assertion {assertion!r:.80} is ignored: {reason}")
    if rules:
        description["rules"] = rules
    if problems:
        raise ValueError("; ".join(problems))
    return monitor


def monitor_object(job: Job, state: JobState, key: str) -> dict[str, Any]:
    """Return the monitor object for *job*, which its client calls *key*."""
    state_name = status(job, state)
    return {
        "key": key,
        "name": name_of(job),
        "type": "job",
        "schedule": job.schedule.text if job.schedule else None,
        "schedules": _schedules(job),
        "grace_seconds": int(job.grace),
        "assertions": [rule.name for rule in job.rules],
        "note": job.description,
        "tags": list(job.tags),
        "group": job.project or None,
        "initialized": state_name is not Status.NEW,
        "passing": state_name not in BROKEN,
        "paused": state_name is Status.PAUSED,
        "running": bool(state.open_runs),
    }


def _when(attributes: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    schedules = [*_list_of(attributes, "schedules"), *_list_of(attributes, "schedule")]
    texts = dict.fromkeys(" ".join(str(one).split()) for one in schedules)
    settings = [schedule_settings(text) for text in texts]
    expressions = [one["schedule"] for one in settings if "schedule" in one]
    if len(settings) > max(len(expressions), 1):
        problems.append(
            "schedules has a period and others: use one period, or only cron expressions"
        )
        return {}
    if not expressions:
        return settings[0] if settings else {}
    return {
        "schedule": expressions[0] if len(expressions) == 1 else expressions,
        "timezone": str(attributes.get("timezone") or "UTC"),
    }


def _schedules(job: Job) -> list[str]:
    if isinstance(job.schedule, Calendar):
        return [*job.schedule.expressions]
    return [job.schedule.text] if job.schedule else []


def _whole_number(
    attributes: Mapping[str, Any], name: str, problems: list[str]
) -> int | None:
    value = attributes.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        problems.append(f"{name} is {value!r:.40}: use a whole number, 0 or more")
        return None
    return value


def _limited(values: list[Any], name: str, problems: list[str]) -> list[Any]:
    if len(values) > MOST_LISTED:
        problems.append(f"{name} has {len(values)} values: use {MOST_LISTED} at most")
        return []
    return values


def _list_of(attributes: Mapping[str, Any], name: str) -> Iterator[object]:
    value = attributes.get(name)
    if isinstance(value, list):
        yield from value
    elif value is not None and value != "":
        yield value
