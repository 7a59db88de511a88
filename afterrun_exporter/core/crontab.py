"""Parsing of crontab(5): nicknames, the five fields, names of time zones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import available_timezones

from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.core.units import written_duration

_ZERO: Final = re.compile(r"0{1,2}")
_WITH_SECONDS: Final = 6


def five_fields(text: str) -> str:
    """Return the expression *text* without a seconds field of 0.

    node-cron, Quartz and others write six fields, seconds first. An expression with
    other seconds is returned unchanged, and is rejected by the parser.
    """
    fields = text.split()
    if len(fields) == _WITH_SECONDS and _ZERO.fullmatch(fields[0]):
        fields = fields[1:]
    return " ".join(fields)


NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

#: Nicknames of other systems.
_OTHER_NICKNAMES: Final = {
    "@minutely": "* * * * *",
    "@every_minute": "* * * * *",
    "@weekdays": "0 0 * * 1-5",
    "@workdays": "0 0 * * 1-5",
    "@quarterly": "0 0 1 1,4,7,10 *",
    "@noon": "0 12 * * *",
}

#: A time zone before the fields, as some systems have it.
_ZONED: Final = re.compile(r"(?:CRON_)?TZ=[\"']?([^\"']+)[\"']?")
#: A field of seconds that is due once a minute.
_SECONDS: Final = re.compile(r"[0-5]?\d", re.ASCII)
_EACH_SECONDS: Final = re.compile(r"(?:\*|0)/([1-9]\d?)", re.ASCII)
_YEAR: Final = re.compile(r"(?:19|20)\d\d([-,/]\d+)*", re.ASCII)
#: The maximum number of words of a duration.
_FEW: Final = 4

# Items of a list: * 5 5-9 */5 5-9/2 5/15
_ITEM: Final = re.compile(
    r"(?:\*|(?P<first>\w{1,9})(?:-(?P<last>\w{1,9}))?)(?:/(?P<step>0{0,8}[1-9]\d{0,8}))?",
    re.ASCII,
)
#: Items of a day field: MON#1 FRI#L 5L, and L.
_NTH: Final = re.compile(r"(\w{1,9})#(\w{1,9})", re.ASCII)
_LAST_WEEKDAY: Final = re.compile(r"([0-7]|[A-Za-z]{3})L", re.ASCII | re.IGNORECASE)
_NEAREST_WEEKDAY: Final = re.compile(r"(?:\d{1,2}|L)?W", re.ASCII | re.IGNORECASE)
_WEEKS: Final = 5

#: The place of a day of the week in its month: any, or the last; otherwise 1 to 5.
ANY: Final = 0
LAST: Final = -1


class Specials(NamedTuple):
    """The items with ``#`` and ``L`` of the day fields of an expression."""

    #: True if it names the last day of the month.
    last_day: bool
    #: Days of the week, 0 for Sunday, and of each the place in its month, or `LAST`.
    weekdays: frozenset[tuple[int, int]]


def match_both(fields: Sequence[str]) -> bool:
    """Return True if a day must match both day fields of five *fields*, not either."""
    # Cron checks the first character only: "1,*" is no star.
    return fields[2].startswith("*") or fields[4].startswith("*")


def specials(fields: Sequence[str]) -> Specials | None:
    """Return the items with ``#`` and ``L`` of five *fields*; None without any."""
    in_month, in_week = (
        [one for item in fields[place].split(",") if (one := FIELDS[place].place(item))]
        for place in (2, 4)
    )
    if not in_month and not in_week:
        return None
    return Specials(bool(in_month), frozenset(in_week))


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its name for messages, and its range of values."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> list[int]:
        """Return the numbers that *text* lists, in order, without those of `specials`."""
        items = (item for item in text.split(",") if not self.place(item))
        return sorted({n for item in items for n in self._range(item)})

    def place(self, item: str) -> tuple[int, int] | None:
        """Return the weekday and its place in the month of an *item* like ``MON#1``.

        For ``L``, the last day of the month, it is of no weekday. None for other items.
        """
        if self.name == "day of month":
            return (ANY, LAST) if item.upper() == "L" else None
        if self.name != "day of week":
            return None
        if match := _LAST_WEEKDAY.fullmatch(item):
            return self._number(match[1]) % 7, LAST
        if (match := _NTH.fullmatch(item)) is None:
            return None
        if match[2].upper() == "L":
            return self._number(match[1]) % 7, LAST
        if not match[2].isdecimal() or not 1 <= int(match[2]) <= _WEEKS:
            raise ValueError(
                f"{self.name} {item!r} is of no week of a month; use {match[1]}#1 to "
                f"{match[1]}#5, or {match[1]}#L for the last one"
            )
        return self._number(match[1]) % 7, int(match[2])

    def _range(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None or not match["first"] or not match["first"].isdecimal():
            self._refuse_other_syntax(item)
        if match is None:
            like = f"*, {self.low}, {self.low}-{self.high}{self._also()} or */2"
            raise ValueError(f"cannot read {self.name} {item!r}; write it like {like}")
        first, last, step = match.group("first", "last", "step")
        low = self._number(first) if first else self.low
        # "5/15" means from 5 on. Debian's cron refuses it, most others do not.
        endless = not first or step
        high = self._number(last) if last else self.high if endless else low
        if low > high:
            rest = f"{self.low}-{high}" if high > self.low else f"{high}"
            split = f"{low}-{self.high},{rest}"
            raise ValueError(f"{self.name} {item!r} runs backwards; use {split!r}")
        return range(low, high + 1, int(step or 1))

    def _also(self) -> str:
        """Return examples of what this field alone may have."""
        return {"day of month": ", L", "day of week": ", MON#1, FRI#L"}.get(
            self.name, ""
        )

    def _refuse_other_syntax(self, item: str) -> None:
        """Raise ValueError for syntax of other systems."""
        if _NEAREST_WEEKDAY.fullmatch(item):
            raise ValueError(
                f"cron has no {item!r} for the nearest working day: write the days "
                f"themselves, such as {'L' if 'L' in item.upper() else '15'}; exclude: "
                "leaves out weekends and holidays"
            )
        if self.name == "day of week" and item.upper() == "L":
            raise ValueError(
                f"day of week {item!r} is unclear: write sat for each Saturday, or "
                "SAT#L for the last one of the month"
            )
        if self.name == "day of month" and re.fullmatch(r"L-\d+", item, re.IGNORECASE):
            raise ValueError(
                f'cron has no {item!r}: write oncalendar: "*-*~03 02:00" for 02:00 on '
                "the last day but two"
            )
        if item == "?":
            raise ValueError(f"cron has no '?': write * for any {self.name}")
        if re.match(r"H(?![A-Za-z])", item, re.IGNORECASE):
            step = item.partition("/")[2]
            any_of = (
                f"*/{step}" if step.isdecimal() else str((self.low + self.high) // 2)
            )
            raise ValueError(
                f"cron has no {item!r}, which is Jenkins': write the {self.name} itself, "
                f"such as {any_of}"
            )

    def _number(self, text: str) -> int:
        if text.lower() in self.words:
            return self.low + self.words.index(text.lower())
        if text.isdecimal() and self.low <= int(text) <= self.high:
            return int(text)
        words = f" or {self.words[0]}-{self.words[-1]}" if self.words else ""
        allowed = f"{self.low}-{self.high}{words}"
        problem = "is out of range" if text.isdecimal() else "is unknown"
        raise ValueError(f"{self.name} {text!r} {problem}; use {allowed}")


_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec"
FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, tuple(_MONTHS.split())),
    Field("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def split(text: str) -> list[str]:
    """Return the five fields of *text*, which may be a nickname; not parsed yet.

    Raises ValueError if there are not five.
    """
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in NICKNAMES:
            raise ValueError(_unknown_nickname(fields[0]))
        fields = NICKNAMES[fields[0].lower()].split()
    if len(fields) != len(FIELDS):
        raise ValueError(_not_five(text, fields))
    return fields


def _not_five(text: str, fields: Sequence[str]) -> str:
    """Return the error message for an expression without exactly five fields."""
    first, _, rest = text.strip().partition(" ")
    if zone := _ZONED.fullmatch(first):
        return (
            f"{first} is not for a schedule: write timezone: {zone[1]}, and schedule: "
            f'"{rest.strip()}"'
        )
    if first.lower() in {"@every", "every"}:
        every = written_duration(rest) or "1h"
        return f"a schedule is a cron expression, not {text!r}: use every: {every}"
    if len(fields) <= _FEW and (period := written_duration(text)):
        return f"a schedule is a cron expression, not {text!r}: use every: {period}"
    if f"@{text.strip().lower()}" in NICKNAMES:
        return f"a schedule is a cron expression, not {text!r}: use '@{text.strip()}'"
    return (
        f"cron expression {text!r} has {plural(len(fields), 'field')}; write 5: "
        f"minute, hour, day of month, month, day of week{_too_many(fields)}"
    )


def _too_many(fields: Sequence[str]) -> str:
    """Return a hint on the fields to drop from more than five; "" if unsure."""
    count = len(FIELDS)
    if len(fields) <= count:
        return ""
    plain = ["*" if field == "?" else field for field in fields]
    if not _is_cron(plain[count], FIELDS[-1]) and not _YEAR.fullmatch(fields[count]):
        # A line of a crontab, with a user or a command.
        return _drop("rest", plain[:count], fields)
    seconds = _SECONDS.fullmatch(fields[0])
    if len(fields) != count + 1:
        quartz = len(fields) == count + 2 and seconds
        remaining = plain[1:-1] if quartz else []
        return _drop("seconds field and the year", remaining, fields)
    # With the year last, the "?" for a day is one place earlier.
    if _YEAR.fullmatch(fields[-1]) or "?" in {fields[2], fields[4]}:
        return _drop("year", plain[:-1], fields)
    if seconds:
        return _drop("seconds field", plain[1:], fields)
    each = _EACH_SECONDS.fullmatch(fields[0])
    period = f": use every: {each[1]}s" if each and set(plain[1:]) == {"*"} else ""
    return f"; seconds are not supported{period or ': use oncalendar'}"


def _drop(part: str, remaining: Sequence[str], fields: Sequence[str]) -> str:
    if not remaining or not all(map(_is_cron, remaining, FIELDS)):
        return ""
    if "?" in fields and any(map(str.isdigit, remaining[-1])):
        # Where "?" is allowed, 1 is Sunday; here it is Monday.
        return f"; drop the {part}, and write days of the week by name: sun-sat"
    return f"; drop the {part}: '{' '.join(remaining)}'"


def _is_cron(text: str, field: Field) -> bool:
    try:
        field.values(text)
    except ValueError:
        return False
    return True


def check_zone(zone: str) -> None:
    """Raise ValueError with a suggestion if *zone* is not a time zone."""
    if zone not in _zone_names():
        raise ValueError(_unknown_zone(zone))


def _unknown_nickname(nickname: str) -> str:
    if nickname.lower() == "@reboot":
        return (
            "@reboot has no time, so no run can be missed: omit the schedule; runs are "
            "then accepted at any time"
        )
    if (same := _OTHER_NICKNAMES.get(nickname.lower())) is not None:
        return f"unknown cron nickname {nickname!r}; use {same!r}"
    hint = did_you_mean(nickname.lower(), NICKNAMES) or f"; use {', '.join(NICKNAMES)}"
    return f"unknown cron nickname {nickname!r}{hint}"


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _unknown_zone(zone: str) -> str:
    # "CEST" is not EST, and Etc/GMT+3 is west of Greenwich: no guess is better.
    names = [name for name in _zone_names() if "/" in name and name[:4] != "Etc/"]
    names_by_key = {name.casefold(): name for name in (*names, "UTC")}
    cities = {name.rpartition("/")[2]: name for name in sorted(names_by_key)}
    key = zone.strip().replace(" ", "_").casefold()
    near = difflib.get_close_matches(
        cities.get(key, key), names_by_key, n=1, cutoff=0.8
    )
    hint = (
        f"did you mean {names_by_key[near[0]]!r}?"
        if near
        else "use one like 'Europe/Riga'"
    )
    return f"unknown time zone {zone!r}; {hint}"
