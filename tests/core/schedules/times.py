"""Tables of schedules, and slots as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

from afterrun_exporter.core.schedule import Calendar


def rows(table: str) -> list[list[str]]:
    """Return the cells of each line; two spaces or more stand between them."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.strip().splitlines()]


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def after(schedule: Calendar, instant: float) -> Iterator[float]:
    """Yield the slots after *instant*."""
    while True:
        instant = schedule.next_after(instant)
        yield instant


def slots_until(schedule: Calendar, start: float, end: float) -> list[float]:
    """Return the slots after *start* and before *end*."""
    return [*takewhile(lambda slot: slot < end, after(schedule, start))]


def shown(instant: float, zone: str) -> str:
    return f"{datetime.fromtimestamp(instant, ZoneInfo(zone)):%b %d %H:%M %z}"
