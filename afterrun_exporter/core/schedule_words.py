"""Schedules in words: ``Monday to Friday at 02:00``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedule import Calendar, Schedule
from afterrun_exporter.core.schedules import oncalendar
from afterrun_exporter.core.schedules.exclusions import BETWEEN, HOLIDAYS, WEEKDAYS
from afterrun_exporter.core.schedules.slots import Syntax

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
#: By the place of a day of the week in its month; -1 is the last.
_NTH: Final = (
    *("", "the first", "the second", "the third", "the fourth", "the fifth"),
    "the last",
)
_PLACES: Final = len(_NTH)
_ALL_YEARS: Final = range(1970, 2200)


def in_words(schedule: Schedule | None) -> str:
    """Return *schedule* in words, without its time zone; "" for none."""
    if schedule is None:
        return ""
    if not isinstance(schedule, Calendar):
        return schedule.text
    words = _cron if schedule.syntax is Syntax.CRON else _oncalendar
    parts = _joined([words(one) for one in schedule.expressions])
    return f"{parts}{except_in_words(schedule.exclude)}"


def except_in_words(items: Sequence[str]) -> str:
    """Return the excluded days of *items* in words: ``, except 25 December``; or ""."""
    if not items:
        return ""
    words = [_excluded(item) for item in items]
    if (more := len(words) - _FEW) > 0:
        words = [*words[:_FEW], f"{more} more"]
    return f", except {_enumeration(words)}"


def _excluded(item: str) -> str:
    if item.startswith(HOLIDAYS):
        return f"public holidays in {item.removeprefix(HOLIDAYS)}"
    if item in WEEKDAYS:
        return f"{item.capitalize()}s"
    return " to ".join(map(_date, item.split(BETWEEN)))


def _date(text: str) -> str:
    *year, month, day = text.split("-")
    return " ".join((f"{int(day)}", _MONTHS[int(month) - 1], *year))


def _joined(parts: Sequence[str]) -> str:
    """Return the words of several expressions, each of which may be a list."""
    has_lists = any(" and " in part or "," in part for part in parts)
    return "; and ".join(parts) if has_lists else _enumeration(parts)


@lru_cache(maxsize=8192)
def _cron(expression: str) -> str:
    texts = expression.split()
    minutes, hours, days, months, weekdays = (
        field.values(text) for field, text in zip(crontab.FIELDS, texts, strict=True)
    )
    special = crontab.specials(texts) or crontab.Specials(False, frozenset())
    in_month = [f"day {_ranges(days)}"] if days else []
    in_month += ["the last day"] if special.last_day else []
    on = _days(
        "" if len(days) == 31 else f"on {_enumeration(in_month)} of the month",
        _in_week(sorted({day % 7 for day in weekdays}), special.weekdays),
        both=crontab.match_both(texts),
    )
    return _at(minutes, hours, _in_months(on, months))


@lru_cache(maxsize=8192)
def _oncalendar(expression: str) -> str:
    text, zone = oncalendar.parts(expression)
    fields = oncalendar.read(text)
    minutes, hours = sorted(fields.minutes), sorted(fields.hours)
    week = sorted((day + 1) % 7 for day in fields.weekdays)
    on = _days(_days_of_month(fields.days), _in_week(week, frozenset()), both=True)
    on = _in_years(_in_months(on, sorted(fields.months)), sorted(fields.years))
    words = _at(minutes, hours, on)
    if fields.seconds != {0}:
        words = _with_seconds(minutes, hours, sorted(fields.seconds), on) or text
    return f"{words} ({zone})" if zone else words


def _in_months(on: str, months: Sequence[int]) -> str:
    if len(months) == len(_MONTHS):
        return on
    return f"{on} in {_enumeration([_MONTHS[month - 1] for month in months])}".lstrip()


def _in_years(on: str, years: Sequence[int]) -> str:
    if len(years) == len(_ALL_YEARS):
        return on
    if years[-1] == _ALL_YEARS[-1] and not _gaps(years):
        return f"{on} from {years[0]} on".lstrip()
    return f"{on} in {_ranges(years)}".lstrip()


def _days_of_month(days: Collection[int]) -> str:
    """Return days of a month in words; negative ones count from its end."""
    first = [day for day in sorted(days) if day > 0]
    last = sorted(-day for day in days if day < 0)
    if len(first) == 31:
        return ""
    if first:
        return f"on day {_ranges(first)} of the month"
    if last == [1]:
        return "on the last day of the month"
    if last == [*range(1, len(last) + 1)]:
        return f"on the last {len(last)} days of the month"
    return f"on day {_ranges(last)} from the end of the month"


def _at(minutes: Sequence[int], hours: Sequence[int], on: str) -> str:
    if repeated := _repeated(minutes, hours):
        return f"{repeated}, {on}" if on else repeated
    times = [f"{hour:02}:{minute:02}" for hour in hours for minute in minutes]
    if len(times) <= _FEW:
        return f"{on or 'every day'} at {_enumeration(times)}"
    at = f"at minute {_ranges(minutes)} of hour {_ranges(hours)}"
    return f"{at}, {on}" if on else at


def _with_seconds(
    minutes: Sequence[int], hours: Sequence[int], seconds: Sequence[int], on: str
) -> str:
    """Return times that are no full minutes in words; "" if there are too many."""
    if len(minutes) * len(hours) * len(seconds) <= _FEW:
        times = [
            f"{h:02}:{m:02}:{s:02}" for h in hours for m in minutes for s in seconds
        ]
        return f"{on or 'every day'} at {_enumeration(times)}"
    step = _step(seconds, _MINUTES)
    if not step or len(minutes) < _MINUTES or len(hours) < _HOURS or seconds[0]:
        return ""
    each = "every second" if step == 1 else f"every {step} seconds"
    return f"{each}, {on}" if on else each


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


def _days(of_month: str, names: str, *, both: bool) -> str:
    """Return the days in words; "" for every day.

    *of_month* are those of the months, *names* those of the week; "" for all.
    """
    if of_month and names:
        each = "" if names.startswith("the ") else "every "
        return f"{names} {of_month}" if both else f"{of_month} and {each}{names}"
    return (of_month or names) if both else ""


def _in_week(days: Sequence[int], places: Collection[tuple[int, int]]) -> str:
    """Return days of the week in words; "" for all of them."""
    if len(days) == len(_WEEKDAYS):
        return ""
    words = [_week(days)] if days else []
    for day, place in sorted(places, key=lambda one: (one[1] % _PLACES, one[0])):
        words.append(f"{_NTH[place]} {_WEEKDAYS[day]}")
    return f"{_enumeration(words)} of the month" if places else words[0]


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
