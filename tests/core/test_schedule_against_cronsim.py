"""Our slots against those of cronsim, which Healthchecks and Sentry rely on.

Frequent schedules are compared around every clock change, the others through
whole years: where no clock changes, their slots are as good as identical days.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, product, zip_longest
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import parse_cron
from tests.examples import examples

DAY: Final = 86400

#: Changes at all hours of the day, by 30 minutes to 2 hours, and none at all.
SOME_ZONES: Final = """
    Africa/Cairo Africa/Casablanca Africa/El_Aaiun Africa/Johannesburg Asia/Beirut
    Asia/Gaza Asia/Jerusalem Asia/Kathmandu Asia/Kolkata Asia/Tehran Asia/Tokyo
    America/Anchorage America/Asuncion America/Bogota America/Caracas America/Chicago
    America/Denver America/Halifax America/Havana America/Los_Angeles America/Nuuk
    America/Mexico_City America/Miquelon America/New_York America/Phoenix
    America/Santiago America/Sao_Paulo America/Scoresbysund America/St_Johns
    Antarctica/Troll Atlantic/Azores Australia/Adelaide Australia/Lord_Howe
    Australia/Sydney Europe/Chisinau Europe/Dublin Europe/Lisbon Europe/London
    Europe/Riga Pacific/Auckland Pacific/Chatham Pacific/Easter Pacific/Norfolk UTC
"""
ZONES: Final = SOME_ZONES.split()

#: Changes that were stranger than any of today's.
HISTORY: Final = [
    ("Africa/Cairo", 2014),  # four of them
    ("America/Caracas", 2007),  # by half an hour, for good
    ("America/St_Johns", 2010),  # a minute past midnight, back to the day before
    ("Antarctica/Casey", 2020),  # three hours, a minute past midnight
    ("Asia/Pyongyang", 2015),
    ("Europe/Lisbon", 1992),
    ("Europe/Moscow", 2011),
    ("Pacific/Apia", 2011),  # a day left out
]

#: Several slots on a day, or following real time.
MANY_A_DAY: Final = """
    * * * * *        */5 * * * *      */7 * * * *         */45 * * * *
    7-59/10 * * * *  5/15 * * * *     0,30 * * * *        0 * * * *
    30 * * * *       59 * * * *       0 */2 * * *         15 */3 * * *
    30 */4 * * *     * 1 * * *        * 2 * * *           * 3 * * *
    */10 0-3 * * *   */15 2 * * *     */20 0 * * *        */7 23 * * *
    */30 1-3 * * 0   */20 0 * * 0     * 0 * * 0           0 */2 * * 0
    0 */6 * * sat    * * 1 1 *        */30 * 1-15 * *     * 2 29 3,10 *
    0-59 2 * * *     0 0-23 * * *     */13 1-3 * 3,4,9-11 *
    30 0-23/2 * * *  0-59/7 0-4 * * *  1-59/2 1,2,3 * * *
    */20 * * * 0L  0 */2 * * SUN#1,0L
"""
FEW_A_DAY: Final = """
    0 0 * * *        30 0 * * *       0 1 * * *           30 1 * * *
    0 2 * * *        15 2 * * *       30 2 * * *          59 2 * * *
    0 3 * * *        30 3 * * *       0 4 * * *           0 12 * * *
    30 23 * * *      59 23 * * *      0 0,1,2,3 * * *     15,45 0-3 * * 0
    30 2 * * sun     0 0 * * 7        5 4 * * SUN,3       0 0 * * 6,0
    0 0 */2 * 1      0 0 1-31 * 1     0 0 1-31/2 * 1      0 0 1,15 * 3
    30 2 30 * */2    0 0 1,* * 1      0 22 * * 1-5        0 9-17/4 * * mon-fri
    0 0 1 * *        0 0 31 * *       30 2 8 3 *          30 1 1 11 *
    0 0 29 2 *       0 0 1 1 *        0 0 1 JAN-MAR *
    30 2 * * 0L   30 1 L * *       15 2 1,L * SUN#1,MON#2
"""


def expressions(table: str) -> list[str]:
    return re.split(r"\s{2,}", table.strip())


QUIET: Final = expressions(FEW_A_DAY)
EXPRESSIONS: Final = expressions(MANY_A_DAY) + QUIET
MORE_EXPRESSIONS: Final = [
    " ".join(parts)
    for parts in product(
        ("0", "30", "*/20", "1-59/29", "0,59"),
        ("*", "*/3", "0", "1-3", "2,23"),
        ("* * *", "* * 0,6", "*/2 * 0-3", "1-15 * mon"),
    )
]


@pytest.mark.thorough
@pytest.mark.parametrize("zone", ZONES)
def test_slots_around_clock_changes_are_those_of_cronsim(zone: str) -> None:
    spans = around_changes(zone, 2026)

    assert list(differences(zone, EXPRESSIONS, spans)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("zone", ZONES)
def test_slots_of_a_whole_year_are_those_of_cronsim(zone: str) -> None:
    """Each quiet schedule in every other zone; the rest is in the slow test."""
    share = QUIET[ZONES.index(zone) % 2 :: 2]

    assert list(differences(zone, share, [whole(2026)])) == []


@pytest.mark.thorough
@pytest.mark.parametrize(("zone", "year"), HISTORY)
def test_the_strangest_clock_changes_give_the_slots_of_cronsim(
    zone: str, year: int
) -> None:
    spans = around_changes(zone, year)

    assert spans
    assert list(differences(zone, EXPRESSIONS, spans)) == []


@settings(max_examples=examples(500), derandomize=True, database=None)
@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from(EXPRESSIONS),
    change=st.integers(0, 3),
    distance=st.floats(-1.5 * DAY, 1.5 * DAY) | st.floats(-5400, 5400),
)
def test_wherever_one_starts_the_next_slot_is_that_of_cronsim(
    zone: str, expression: str, change: int, distance: float
) -> None:
    """Within an hour that comes twice, too."""
    moments = [*clock_changes(zone, 2025, 2026), whole(2025)[0]]
    instant = moments[change % len(moments)] + distance
    soon = int(instant) + 30 * DAY

    theirs = next(cronsim_slots(expression, zone, int(instant // 1) + 1, soon), None)
    ours = next(our_slots(expression, zone, instant, soon), None)

    assert ours == theirs, line(zone, expression, ours, theirs)


weekdays: Final = st.sampled_from(["SUN", "mon", "2", "Wed", "4", "fri", "6", "7", "0"])
places: Final = st.sampled_from(["1", "2", "3", "4", "5"])
counted: Final = (
    st.builds("{}#{}".format, weekdays, places)
    | st.sampled_from(["0L", "1L", "5L", "7L"])
    | weekdays
    | st.sampled_from(["*/3", "1-3", "mon-fri"])
)
month_days: Final = st.sampled_from(["L", "l", "1", "15", "28-31", "*/10", "31"])


def lists(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("*") | st.lists(items, min_size=1, max_size=3).map(",".join)


@settings(max_examples=examples(300), derandomize=True, database=None)
@given(
    days=lists(month_days),
    months=st.sampled_from(["*", "2", "*/3", "jan,DEC"]),
    week=lists(counted),
    year=st.integers(1999, 2040),
)
def test_days_counted_within_their_month_are_those_of_cronsim(
    days: str, months: str, week: str, year: int
) -> None:
    """Also in lists, and whether a day must match both fields or either."""
    expression = f"0 0 {days} {months} {week}"
    start, end = whole(year)
    first = datetime.fromtimestamp(start, UTC).toordinal()

    ours = [int(slot) for slot in our_slots(expression, "UTC", start - 1, end)]
    try:
        theirs = CronSim(expression, datetime(year, 1, 1, tzinfo=UTC))
    except CronSimError:
        # It refuses days that no month has.
        assert ours == []
        return
    dates = (
        date.fromordinal(day) for day in range(first, first + (end - start) // DAY)
    )
    matching = [one for one in dates if one.month in theirs.months]

    assert ours == [
        int(datetime(one.year, one.month, one.day, tzinfo=UTC).timestamp())
        for one in matching
        if theirs.match_day(one)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("zone", sorted(available_timezones()))
def test_slots_in_every_zone_are_those_of_cronsim(zone: str) -> None:
    spans = [span for year in (2024, 2026) for span in around_changes(zone, year)]

    assert list(differences(zone, EXPRESSIONS + MORE_EXPRESSIONS, spans)) == []
    assert list(differences(zone, QUIET, [whole(2026)])) == []


@pytest.mark.parametrize(
    ("zone", "expression", "before", "stumble"),
    [
        # It steps by whole hours, beside them: 03:00 to 03:29 are lost.
        ("Australia/Lord_Howe", "* 3 * * *", "04-05T01:50+11:00", "04-05T03:30+10:30"),
        # It goes back to the hour before, and will do so again for ever.
        ("Pacific/Chatham", "* 3 * * *", "04-05T03:44+13:45", "04-05T03:00+13:45"),
        # It takes a midnight that does not exist for a slot.
        ("America/Santiago", "0 */2 * * 0", "09-05T23:00-04:00", "09-06T01:00-03:00"),
    ],
)
def test_cronsim_stumbles_over_an_awkward_clock_change(
    zone: str, expression: str, before: str, stumble: str
) -> None:
    """The reason for `minute_by_minute`; when this fails, it may be needless."""
    start, slot = (
        datetime.fromisoformat(f"2026-{text}").timestamp() for text in (before, stumble)
    )
    walk = CronSim(expression, datetime.fromtimestamp(start, ZoneInfo(zone)))

    assert next(walk).timestamp() == slot
    assert parse_cron(expression, zone).next_after(start) != slot


def differences(
    zone: str, which: Iterable[str], spans: Iterable[tuple[int, int]]
) -> Iterator[str]:
    """Yield the first difference in each span, for each expression."""
    for (start, end), expression in product(spans, which):
        pairs = zip_longest(
            our_slots(expression, zone, start - 1, end),
            cronsim_slots(expression, zone, start, end),
        )
        for ours, theirs in pairs:
            if ours != theirs:
                yield line(zone, expression, ours, theirs)
                break


def line(zone: str, expression: str, ours: float | None, theirs: float | None) -> str:
    shown = [
        "none" if slot is None else datetime.fromtimestamp(slot, ZoneInfo(zone))
        for slot in (ours, theirs)
    ]
    return f"{zone} {expression!r}: ours {shown[0]}, cronsim's {shown[1]}"


def our_slots(expression: str, zone: str, after: float, end: float) -> Iterator[float]:
    """Yield the slots later than *after* and before *end*."""
    cron = parse_cron(expression, zone)
    slot = cron.next_after(after)
    while slot < end:
        yield slot
        slot = cron.next_after(slot)


def cronsim_slots(expression: str, zone: str, start: int, end: int) -> Iterator[float]:
    """Yield cronsim's slots from *start* on, before *end*."""
    minute, hour, *_ = expression.split()
    follows_real_time = minute.startswith("*") or hour.startswith("*")
    if follows_real_time and has_awkward_changes(zone, start, end):
        yield from minute_by_minute(expression, zone, start, end)
        return
    for at in CronSim(expression, datetime.fromtimestamp(start - 1, ZoneInfo(zone))):
        slot = at.timestamp()
        if slot >= end:
            return
        # Begun within an hour that comes twice, it may name the first one.
        if slot >= start:
            yield slot


def minute_by_minute(
    expression: str, zone: str, start: int, end: int
) -> Iterator[float]:
    """Yield the minutes that cronsim's reading of *expression* fits."""
    tz = ZoneInfo(zone)
    read = CronSim(expression, datetime.fromtimestamp(start, tz))
    for instant in range(start + -start % 60, end, 60):
        wall = datetime.fromtimestamp(instant, tz)
        if (
            wall.minute in read.minutes
            and wall.hour in read.hours
            and wall.month in read.months
            and read.match_day(wall.date())
        ):
            yield instant


def has_awkward_changes(zone: str, start: int, end: int) -> bool:
    """Say whether cronsim stumbles in *zone* when it follows real time.

    Over a change that is not from one full hour to another it can pass slots
    by, or go back and never return. Looking for a day that begins with a gap,
    it takes the midnight that does not exist for a slot.
    """
    first, last = (datetime.fromtimestamp(at, UTC).year for at in (start, end))
    return any(is_awkward(change, zone) for change in clock_changes(zone, first, last))


def is_awkward(change: int, zone: str) -> bool:
    second = timedelta(seconds=1)
    last_before = datetime.fromtimestamp(change - 1, ZoneInfo(zone))
    first_after = datetime.fromtimestamp(change, ZoneInfo(zone))
    midnight_is_missing = last_before.date() < (first_after - second).date()
    return (last_before + second).minute + first_after.minute > 0 or midnight_is_missing


def around_changes(zone: str, year: int) -> list[tuple[int, int]]:
    return [
        (change - DAY // 2, change + DAY) for change in clock_changes(zone, year, year)
    ]


def whole(year: int) -> tuple[int, int]:
    first, after = (datetime(y, 1, 1, tzinfo=UTC) for y in (year, year + 1))
    return int(first.timestamp()), int(after.timestamp())


@lru_cache
def clock_changes(zone: str, first: int, last: int) -> tuple[int, ...]:
    """Return the first instants of each new offset in these years."""
    step = DAY // 8
    probes = range(whole(first)[0], whole(last)[1] + step, step)
    return tuple(
        first_with_offset_of(late, early, zone)
        for early, late in pairwise(probes)
        if offset(early, zone) != offset(late, zone)
    )


def first_with_offset_of(late: int, early: int, zone: str) -> int:
    new = offset(late, zone)
    return early + bisect_left(
        range(early, late), True, key=lambda instant: offset(instant, zone) == new
    )


def offset(instant: int, zone: str) -> timedelta | None:
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).utcoffset()
