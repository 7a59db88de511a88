"""Warnings of `afterrun check` about valid but suspicious configuration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from afterrun_exporter.core import crontab
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Calendar
from afterrun_exporter.core.schedules.slots import Syntax
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.validation_messages import Finding

#: Fixed zones with names like zones with daylight saving time, and the latter.
_FIXED: Final = {
    "EST": "America/New_York",
    "MST": "America/Denver",
    "HST": "Pacific/Honolulu",
}
#: Labels that Prometheus Operator adds to targets.
_TARGET_LABELS: Final = frozenset({"namespace", "service", "container", "endpoint"})
#: Common differences of clocks between hosts, in seconds.
_CLOCKS_DIFFER: Final = 2.0
#: Seconds from one value of a field to the next; days and months differ in length.
_MINUTE, _HOUR = 60, 3600
_SECONDS: Final = {"minute": _MINUTE, "hour": _HOUR}
_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4
#: The key of a schedule by the syntax of its expressions.
_KEYS: Final = {Syntax.CRON: "schedule", Syntax.ONCALENDAR: "oncalendar"}


def of_job(job: Job, now: float) -> Iterator[Finding]:
    """Yield warnings about *job*."""
    if isinstance(job.schedule, Calendar):
        where = ("jobs", job.name, _KEYS[job.schedule.syntax])
        for place, message in _of_schedule(job.schedule, now):
            yield Finding(where if place is None else (*where, place), message)
        if zone := _fixed(job.schedule.zone, now):
            yield Finding(("jobs", job.name, "timezone"), zone)
        if job.early < _CLOCKS_DIFFER:
            message = (
                f"with {format_duration(job.early)}, a run that ends a second or two "
                "before its slot, on a host whose clock is ahead, counts for the slot "
                "before and leaves its own missed; write early: 1m"
            )
            yield Finding(("jobs", job.name, "early"), message)
    if job.concurrency is not None and job.max_runtime is None:
        message = (
            "without max_runtime, a run that crashes without a report overlaps with "
            "all later ones, until it is abandoned after five periods or a day"
        )
        yield Finding(("jobs", job.name, "concurrency"), message)


def of_labels(keys: Sequence[str]) -> Iterator[Finding]:
    """Yield warnings about the *keys* of labels of alerts."""
    for place, key in enumerate(keys):
        if key in _TARGET_LABELS:
            message = (
                f"on Kubernetes, Prometheus gives targets a label {key!r} of its own, "
                f"and this one becomes exported_{key}; choose another key, or set "
                "honorLabels: true"
            )
            yield Finding(("labels", place), message)


@lru_cache(8192)
def _of_schedule(schedule: Calendar, now: float) -> tuple[tuple[int | None, str], ...]:
    # Thousands of jobs may share a schedule.
    return tuple(of_schedule(schedule, now))


def of_schedule(schedule: Calendar, now: float) -> Iterator[tuple[int | None, str]]:
    """Yield warnings about *schedule*, if it may be misunderstood.

    Each has the place of its expression, None if there is only one.
    """
    for place, expression in enumerate(schedule.expressions):
        where = place if len(schedule.expressions) > 1 else None
        if _ends(schedule, expression, (), now):
            yield where, f"{expression!r} matches no future day"
        elif _ends(schedule, expression, schedule.exclude, now):
            yield where, f"all days of {expression!r} are excluded"
        if schedule.syntax is Syntax.CRON:
            for message in _of_cron(expression.split()):
                yield where, message


def _ends(
    schedule: Calendar, expression: str, exclude: tuple[str, ...], now: float
) -> bool:
    source = replace(schedule.source, expressions=(expression,), exclude=exclude)
    return Calendar(source).next_after(now) == math.inf


def _of_cron(fields: Sequence[str]) -> Iterator[str]:
    for place, (field, text) in enumerate(zip(crontab.FIELDS, fields, strict=True)):
        # If it matches all days and hours, `every` is equivalent and regular.
        is_plain = set(fields[place + 1 :]) == {"*"} and text.count(",") == 0
        for item in text.split(","):
            if item.startswith("*/") and (odd := _uneven(field, item)):
                each = _SECONDS.get(field.name) if is_plain else None
                step = int(item.partition("/")[2])
                even = f"; for that, write every: {_span(step * each)}" if each else ""
                yield f"{odd}{even}"
    yield from _two_days(fields)


def _uneven(field: crontab.Field, item: str) -> str:
    """Return the warning about a step over all values of *field*, or ""."""
    values, step = field.values(item), int(item.partition("/")[2])
    values = [one for one in values if one < _count(field) + field.low]
    if step == 1 or (step == _count(field) and field.name != "day of month"):
        return ""
    if len(values) == 1:
        return (
            f"{item!r} is not every {step} {_plural(field)}: it is {field.name} "
            f"{values[0]} alone"
        )
    if _count(field) % step == 0 and field.name != "day of month":
        return ""
    if field.name == "day of month":
        return (
            f"{item!r} starts again on the 1st of each month, so days are not always "
            f"{step} apart"
        )
    rest = values[0] + _count(field) - values[-1]
    return (
        f"{item!r} is not every {step} {_plural(field)}: {field.name} {values[0]} comes "
        f"{rest} after {field.name} {values[-1]}"
    )


def _two_days(fields: Sequence[str]) -> Iterator[str]:
    days, weekdays = fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK]
    if _is_any(days, _DAY_OF_MONTH) or _is_any(weekdays, _DAY_OF_WEEK):
        return
    if days.startswith("*") or weekdays.startswith("*"):
        yield (
            f"day of month {days!r} and day of week {weekdays!r}: a day must match "
            "both, as one of them starts with *"
        )
    else:
        yield (
            f"day of month {days!r} and day of week {weekdays!r}: a day that matches "
            "either is enough; to require both, the job must check one of them itself"
        )


def _is_any(text: str, place: int) -> bool:
    field = crontab.FIELDS[place]
    values = {
        value % 7 if place == _DAY_OF_WEEK else value for value in field.values(text)
    }
    return len(values) == _count(field)


def _fixed(zone: str, now: float) -> str:
    if zone not in _FIXED:
        return ""
    offset = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(zone)).strftime("%z")
    return (
        f"{zone} is UTC{offset[:3]} all year, without daylight saving time; "
        f"{_FIXED[zone]} has it"
    )


def _count(field: crontab.Field) -> int:
    """Return the number of values of *field*; Sunday counts once."""
    return field.high - field.low + (0 if field.name == "day of week" else 1)


def _plural(field: crontab.Field) -> str:
    return "days" if "day" in field.name else f"{field.name}s"


def _span(seconds: int) -> str:
    is_short = seconds < 2 * _HOUR or seconds % _HOUR
    return f"{seconds // _MINUTE}m" if is_short else format_duration(seconds)
