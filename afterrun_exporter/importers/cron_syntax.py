"""Cron expressions of other schedulers, rewritten with the same meaning for ours.

The parser of Kubernetes (robfig/cron) differs from Debian's cron: ``?`` is ``*``, day
of week 7 is an error, ``5/15`` ends at the highest value of its own range, and
``*/2`` does not count as a star when both day fields are restricted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.core.units import format_duration

_COUNT: Final = 5
_WEEKDAY: Final = 4
_DESCRIPTORS: Final = frozenset(crontab.NICKNAMES)
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S*)\s+(.*)", re.DOTALL)
_NUMBER = re.compile(r"\+?\d{1,9}", re.ASCII)
_GO_DURATION = re.compile(r"\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_GO_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """A schedule for afterrun.yml."""

    #: ``schedule`` or ``every``, and ``timezone`` if it was within the expression.
    settings: Mapping[str, object]
    #: Remarks for a comment.
    notes: tuple[str, ...] = ()


def of_kubernetes(text: str) -> Timing:
    """Return the schedule that the CronJob controller understands *text* as.

    Raises ValueError if Kubernetes refuses it, or if it cannot be written as ours.
    """
    zone: dict[str, object] = {}
    if match := _ZONE.fullmatch(text.strip()):
        crontab.check_zone(match[1] or "UTC")
        zone, text = {"timezone": match[1] or "UTC"}, match[2]
    if text.strip().startswith("@"):
        return _descriptor(text.strip(), zone)
    fields = text.split()
    if len(fields) != _COUNT:
        crontab.split(text)  # its message has a correction
        raise ValueError(f"Kubernetes needs 5 fields, not {len(fields)}")
    parsed = [_field(*one) for one in zip(fields, _FIELDS, strict=True)]
    expression, notes = _joined(parsed)
    parse_cron(expression, "UTC")
    return Timing({"schedule": expression, **zone}, notes)


def of_cron(text: str, library: str) -> Timing:
    """Return *text*, cron's syntax with an optional field of seconds.

    Notes say where *library*, which starts the jobs, is known to read it differently.
    """
    expression = crontab.five_fields(text)
    parse_cron(expression, "UTC")
    if expression.startswith("@"):
        return Timing({"schedule": expression})
    fields = expression.split()
    return Timing({"schedule": expression}, tuple(_LIBRARIES[library](fields)))


def _descriptor(text: str, zone: Mapping[str, object]) -> Timing:
    if text.startswith("@every "):
        if zone:
            raise ValueError(f"{text!r} has a time zone, which has no effect on it")
        return Timing({"every": _every(text.removeprefix("@every "))})
    if text not in _DESCRIPTORS:
        lower = text.lower()
        hint = f": write {lower}" if lower in _DESCRIPTORS else ""
        raise ValueError(f"Kubernetes does not know {text!r}{hint}")
    return Timing({"schedule": text, **zone})


def _every(text: str) -> str:
    """Return Go's duration *text* in our units, in whole seconds as in robfig/cron."""
    if not _GO_DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration of Go, such as 1h30m")
    parts = _GO_PART.findall(text)
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is too long: at most ten years")
    return format_duration(max(1, int(seconds + 1e-9)))


@dataclass(frozen=True, slots=True)
class _Bounds:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


_FIELDS: Final = tuple(
    _Bounds(one.name, one.low, 6 if one.name == "day of week" else one.high, one.words)
    for one in crontab.FIELDS
)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field as robfig/cron reads it."""

    #: Its items in our syntax; a ``*`` is one item.
    items: tuple[str, ...]
    values: frozenset[int]
    is_star: bool
    bounds: _Bounds

    @property
    def is_full(self) -> bool:
        return len(self.values) == self.bounds.high - self.bounds.low + 1

    @property
    def text(self) -> str:
        return ",".join(self.items)

    @property
    def starless(self) -> str:
        """Its text without a ``*`` at the start."""
        whole = f"{self.bounds.low}-{self.bounds.high}"
        return ",".join(item.replace("*", whole) for item in self.items)


def _field(text: str, bounds: _Bounds) -> _Field:
    items: list[str] = []
    values: set[int] = set()
    is_star = False
    for item in filter(None, text.split(",")):
        one, members = _item(item, bounds)
        is_star = is_star or one == "*"
        items.append(one)
        values |= set(members)
    if not items:
        raise ValueError(f"{bounds.name} {text!r} has no value")
    return _Field(tuple(items), frozenset(values), is_star, bounds)


def _item(text: str, bounds: _Bounds) -> tuple[str, range]:
    """Return *text* in our syntax, and the numbers that it means."""
    span, *steps = text.split("/")
    first, *last = span.split("-")
    if len(steps) > 1 or (len(last) > 1 and first not in {"*", "?"}):
        raise ValueError(f"cannot read {bounds.name} {text!r}")
    step = _int(steps[0], text, bounds) if steps else 1
    if step == 0:
        raise ValueError(f"{bounds.name} {text!r} has a step of 0")
    if first in {"*", "?"}:
        members = range(bounds.low, bounds.high + 1, step)
        return ("*" if step == 1 else f"*/{step}"), members
    low = _number(first, text, bounds)
    high = bounds.high if steps else low
    if last:
        high = _number(last[0], text, bounds)
    if low > high:
        raise ValueError(f"{bounds.name} {text!r} runs backwards")
    for value in (low, high):
        if not bounds.low <= value <= bounds.high:
            sunday = ": write 0 or sun for Sunday" if bounds is _FIELDS[-1] else ""
            raise ValueError(
                f"{bounds.name} {text!r} is out of range for Kubernetes, which has "
                f"{bounds.low}-{bounds.high}{sunday}"
            )
    members = range(low, high + 1, step)
    start = first if not first.startswith("+") else str(low)
    if not last and not steps:
        return start, members
    end = last[0] if last and not last[0].startswith("+") else str(high)
    return (f"{start}-{end}/{step}" if steps else f"{start}-{end}"), members


def _number(text: str, item: str, bounds: _Bounds) -> int:
    if text.lower() in bounds.words:
        return bounds.low + bounds.words.index(text.lower())
    return _int(text, item, bounds)


def _int(text: str, item: str, bounds: _Bounds) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"Kubernetes cannot read {bounds.name} {item!r}")
    return int(text)


def _joined(fields: Sequence[_Field]) -> tuple[str, tuple[str, ...]]:
    """Return the expression of *fields*, and remarks on it."""
    minute, hour, days, month, weekdays = fields
    notes: tuple[str, ...] = ()
    if days.is_star or weekdays.is_star:
        # Both must match, as for us: then one of them matches every day.
        on = "*" if days.is_full else days.starless
        of_week = "*" if weekdays.is_full else weekdays.starless
        if weekdays.is_full and not days.is_full:
            on = days.text
        if days.is_full and not weekdays.is_full:
            of_week = weekdays.text
    elif days.is_full or weekdays.is_full:
        on = of_week = "*"
        notes = ("one of its day fields names every day, so it runs on every day",)
    else:
        # Either is enough, which a star at the start would change.
        on, of_week = days.starless, weekdays.starless
    return f"{minute.text} {hour.text} {on} {month.text} {of_week}", notes


def _node_cron(fields: Sequence[str]) -> Sequence[str]:
    """Return the differences of node-cron 3, which filters and compares all fields."""
    notes = []
    for field, text, low in zip(crontab.FIELDS, fields, (0, 0, 1, 1, 0), strict=True):
        for item in text.split(","):
            span, _, step = item.partition("/")
            first = span.partition("-")[0]
            start = low if span == "*" else int(first) if first.isdecimal() else 0
            if step.isdecimal() and int(step) > 1 and start % int(step):
                notes.append(
                    f"node-cron 3 starts {field.name} {item!r} at multiples of {step}; "
                    "cron, as here, at its first value"
                )
    if _two_days(fields):
        notes.append(
            "node-cron runs it only on days that match both day fields; cron, as here, "
            "on days that match either"
        )
    return notes


def _apscheduler(fields: Sequence[str]) -> Sequence[str]:
    """Return the differences of APScheduler's CronTrigger.from_crontab."""
    notes = []
    if re.search(r"\d", fields[_WEEKDAY].partition("/")[0]):
        notes.append(
            "APScheduler counts days of week from 0 for Monday; cron, as here, from 0 "
            "for Sunday: write names such as mon in the manifest"
        )
    if _two_days(fields):
        notes.append(
            "APScheduler runs it only on days that match both day fields; cron, as "
            "here, on days that match either"
        )
    return notes


def _two_days(fields: Sequence[str]) -> bool:
    return not any(fields[place].startswith("*") for place in (2, _WEEKDAY))


_LIBRARIES: Final = {"node-cron": _node_cron, "APScheduler": _apscheduler}
