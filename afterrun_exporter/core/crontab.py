"""Reading crontab(5): nicknames, the five fields, names of time zones."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

# Items of a list: * 5 5-9 */5 5-9/2 5/15
_ITEM: Final = re.compile(
    r"(?:\*|(?P<first>\w{1,9})(?:-(?P<last>\w{1,9}))?)(?:/(?P<step>0{0,8}[1-9]\d{0,8}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its name in messages, and what it may hold."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> list[int]:
        """Return the numbers that *text* lists, in order."""
        return sorted({n for item in text.split(",") for n in self._range(item)})

    def _range(self, item: str) -> range:
        match = _ITEM.fullmatch(item)
        if match is None:
            like = f"*, {self.low}, {self.low}-{self.high} or */2"
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
    """Return the five fields of *text*, which may be a nickname; not yet read.

    Raises ValueError when there are not five.
    """
    fields = text.split()
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in NICKNAMES:
            raise ValueError(_unknown_nickname(fields[0]))
        fields = NICKNAMES[fields[0].lower()].split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"cron expression {text!r} has {len(fields)} fields; write 5: "
            "minute, hour, day of month, month, day of week"
        )
    return fields


def check_zone(zone: str) -> None:
    """Raise ValueError when *zone* is no time zone, naming the one that was meant."""
    if zone not in _zone_names():
        raise ValueError(_unknown_zone(zone))


def _unknown_nickname(nickname: str) -> str:
    near = difflib.get_close_matches(nickname.lower(), NICKNAMES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use {', '.join(NICKNAMES)}"
    return f"unknown cron nickname {nickname!r}; {hint}"


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def _unknown_zone(zone: str) -> str:
    # "CEST" is not EST, and Etc/GMT+3 is west of Greenwich: better no guess.
    names = [name for name in _zone_names() if "/" in name and name[:4] != "Etc/"]
    meant = {name.casefold(): name for name in (*names, "UTC")}
    cities = {name.rpartition("/")[2]: name for name in sorted(meant)}
    wanted = zone.strip().replace(" ", "_").casefold()
    near = difflib.get_close_matches(cities.get(wanted, wanted), meant, n=1, cutoff=0.8)
    hint = f"did you mean {meant[near[0]]!r}?" if near else "use one like 'Europe/Riga'"
    return f"unknown time zone {zone!r}; {hint}"
