"""Schedules in words: ``Monday to Friday at 02:00``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedule import Cron, Schedule

_HOURS: Final = 24
_MINUTES: Final = 60
#: The most times of a day that are listed.
_FEW: Final = 4

_WEEKDAYS: Final = (
    *("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
)
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)


def in_words(schedule: Schedule | None) -> str:
    """Return *schedule* in words, without its time zone; "" for none."""
    if schedule is None:
        return ""
    if isinstance(schedule, Cron):
        return _cron(schedule.expression)
    return schedule.text


@lru_cache(maxsize=8192)
def _cron(expression: str) -> str:
    texts = expression.split()
    minutes, hours, days, months, weekdays = (
        field.values(text) for field, text in zip(crontab.FIELDS, texts, strict=True)
    )
    # Cron checks the first character only: "1,*" is no star.
    both = texts[2].startswith("*") or texts[4].startswith("*")
    on = _days(days, sorted({day % 7 for day in weekdays}), both=both)
    if len(months) < len(_MONTHS):
        on = (
            f"{on} in {_enumeration([_MONTHS[month - 1] for month in months])}".lstrip()
        )
    if repeated := _repeated(minutes, hours):
        return f"{repeated}, {on}" if on else repeated
    times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
    if len(times) <= _FEW:
        return f"{on or 'every day'} at {_enumeration(times)}"
    at = f"at minute {_ranges(minutes)} of hour {_ranges(hours)}"
    return f"{at}, {on}" if on else at


def _repeated(minutes: Sequence[int], hours: Sequence[int]) -> str:
    """Return the times of a day in words if they repeat regularly; "" if not."""
    all_day, first, last = len(hours) == _HOURS, hours[0], hours[-1]
    if len(minutes) > 1:
        if not (step := _step(minutes, _MINUTES)) or (not all_day and _gaps(hours)):
            return ""
        each = "every minute" if step == 1 else f"every {step} minutes"
        since = f" from minute {minutes[0]}" if minutes[0] else ""
        between = "" if all_day else f" from {first:02}:00 to {last:02}:59"
        return f"{each}{since}{between}"
    minute = minutes[0]
    at = f" at minute {minute}" if minute else ""
    if all_day:
        return f"every hour{at}"
    if len(hours) > _FEW - 2 and first == 0 and (step := _step(hours, _HOURS)):
        return f"every {step} hours{at}"
    if len(hours) > _FEW and not _gaps(hours):
        return f"every hour from {first:02}:{minute:02} to {last:02}:{minute:02}"
    return ""


def _step(values: Sequence[int], end: int) -> int:
    """Return the step by which *values* follow each other around *end*; 0 if none."""
    steps = {after - before for before, after in pairwise([*values, values[0] + end])}
    return steps.pop() if len(steps) == 1 else 0


def _gaps(values: Sequence[int]) -> bool:
    return values[-1] - values[0] != len(values) - 1


def _days(days: Sequence[int], weekdays: Sequence[int], *, both: bool) -> str:
    """Return the days in words; "" for every day."""
    every_day, any_weekday = len(days) == 31, len(weekdays) == len(_WEEKDAYS)
    of_month = f"on day {_ranges(days)} of the month"
    if any_weekday and (both or every_day):
        return "" if every_day else of_month
    names = _week(weekdays)
    if every_day:
        return names if both else ""
    if any_weekday:
        return ""
    if both:
        return f"{names} {of_month}"
    return f"{of_month} and every {names}"


def _week(weekdays: Sequence[int]) -> str:
    # A week ends with Sunday, if that is not the first of consecutive days.
    days = [*weekdays]
    if days[0] == 0 and days[-1] == len(_WEEKDAYS) - 1:
        days = [*days[1:], 0]
    places = [*range(1, len(_WEEKDAYS)), 0]
    first = places.index(days[0])
    if len(days) > 2 and places[first : first + len(days)] == days:
        return f"{_WEEKDAYS[days[0]]} to {_WEEKDAYS[days[-1]]}"
    return _enumeration([_WEEKDAYS[day] for day in days])


def _ranges(values: Sequence[int]) -> str:
    """Return *values* with ranges of at least three: ``1 to 7, 15 and 20``."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    words: list[str] = []
    for part in parts:
        if len(part) > 2:
            words.append(f"{part[0]} to {part[-1]}")
        else:
            words += map(str, part)
    return _enumeration(words)


def _enumeration(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"
