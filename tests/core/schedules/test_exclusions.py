"""Days without slots."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import Calendar, parse_cron, parse_oncalendar
from afterrun_exporter.core.schedules import exclusions

from .times import after, rows, shown, slots_until, unix


@pytest.mark.parametrize(
    ("items", "days"),
    rows("""
        2026-12-24                                24
        2026-12-24..2026-12-27                    24 25 26 27
        2026-12-24..2026-12-26 2026-12-26..2026-12-28  24 25 26 27 28
        2026-12-30..2027-01-02 2026-12-24         24 30 31
        12-25                                     25
        12-30..01-02                              30 31
        01-01..12-25                              20 21 22 23 24 25
        02-29                                     -
        sunday monday                             20 21 27 28
        saturday 12-25 2026-12-24                 24 25 26
        holidays:DE-BY                            25 26
        holidays:NYSE holidays:GB-SCT 12-31       25 26 28 31
    """),
)
def test_days_are_excluded_by_date_by_weekday_and_by_calendar(
    items: str, days: str
) -> None:
    """From 20 December 2026, a Sunday, to the end of the year."""
    texts = [exclusions.checked(item.replace(":", " ")) for item in items.split()]
    excluded = exclusions.parse(tuple(texts))
    found = [day for day in range(20, 32) if excluded.contains(ordinal(2026, 12, day))]

    assert " ".join(map(str, found)) == days.strip("-")


def ordinal(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal()


@pytest.mark.parametrize(
    ("item", "first", "last"),
    [
        ("02-29", "2028-02-29", "2028-02-29"),
        ("12-31..02-29", "2028-02-29", "2028-02-29"),
        ("02-28..03-01", "2028-02-28", "2028-03-01"),
        ("11-15..03-15", "2027-11-15", "2028-03-15"),
    ],
)
def test_the_29th_of_february_is_excluded_with_the_days_beside_it(
    item: str, first: str, last: str
) -> None:
    excluded = exclusions.parse((exclusions.checked(item),))
    start, end = (date.fromisoformat(text).toordinal() for text in (first, last))

    assert all(map(excluded.contains, range(start, end + 1)))
    assert not excluded.contains(end + 1)


@pytest.mark.parametrize(
    ("items", "is_every_day"),
    [
        (exclusions.WEEKDAYS, True),
        (exclusions.WEEKDAYS[1:], False),
        (("01-01..06-30", "07-01..12-31"), True),
        (("01-01..06-30", "07-01..12-30"), False),
        (("03-01..02-29",), True),
        (("03-01..02-28",), False),
        (("2026-01-01..2030-12-31",), False),
        ((), False),
    ],
)
def test_not_every_day_can_be_excluded(
    items: tuple[str, ...], is_every_day: bool
) -> None:
    if not is_every_day:
        exclusions.check_all(items)
        return

    with pytest.raises(ValueError, match="leaves out every day"):
        exclusions.check_all(items)


@pytest.mark.parametrize(
    ("text", "message"),
    rows("""
        2026-02-30              there is no day '2026-02-30'
        02-30                   there is no day '02-30'
        2026-12-24..2026-13-01  there is no day '2026-13-01'
        2026-12-24..            cannot read '2026-12-24..': write a date
        12/25                   cannot read '12/25': write a date
        24.12.                  cannot read '24.12.': write a date
        tomorrow                cannot read 'tomorrow': write a date
        12-24 to 01-02          cannot read '12-24 to 01-02': write a range with two dots: '12-24..01-02'
        12-24...01-02           cannot read '12-24...01-02': write a range with two dots: '12-24..01-02'
        Sat                     cannot read 'Sat'; did you mean 'saturday'?
        S                       cannot read 'S': write a date
        wendesday               cannot read 'wendesday'; did you mean 'wednesday'?
        weekend                 cannot read 'weekend': write saturday and sunday
        US                      cannot read 'US': for public holidays write {holidays: US}
        2026-12-24..01-02       '2026-12-24..01-02' has a year at one end only
        2026-12-24..2026-12-23  '2026-12-24..2026-12-23' ends before it begins; use '2026-12-23..2026-12-24'
        2026-01-01..2036-12-31  '2026-01-01..2036-12-31' is too long: at most ten years
    """),
)
def test_what_is_no_day_is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        exclusions.checked(text)


def test_a_slot_on_an_excluded_day_is_none() -> None:
    """The next one is on the next day that is not excluded."""
    schedule = parse_cron(
        "0 9 * * 1-5", "Europe/Berlin", ("holidays DE-BY", "2026-12-24")
    )
    found = after(schedule, unix("2026-12-23T07:59Z"))

    assert [shown(next(found), "Europe/Berlin") for _ in range(3)] == [
        "Dec 23 09:00 +0100",
        "Dec 28 09:00 +0100",
        "Dec 29 09:00 +0100",
    ]
    assert schedule.between(unix("2026-12-23T08:00Z"), unix("2026-12-28T08:00Z")) == (
        2,
        unix("2026-12-28T08:00Z"),
    )


def test_days_are_those_of_the_zone_of_the_job() -> None:
    """Not those of an expression with another one."""
    schedule = parse_oncalendar("20:00 UTC", "Asia/Tokyo", ("2026-12-25",))
    found = after(schedule, unix("2026-12-23T20:00Z"))

    assert [shown(next(found), "UTC") for _ in range(2)] == [
        "Dec 25 20:00 +0000",
        "Dec 26 20:00 +0000",
    ]


def test_a_slot_after_a_gap_is_on_the_day_on_which_it_is_due() -> None:
    """Midnight of 6 September does not exist in Santiago, and Samoa left out a day."""
    schedule = parse_cron("0 12 * * *", "Pacific/Apia", ("2011-12-31",))

    assert shown(schedule.next_after(unix("2011-12-30T00:00Z")), "Pacific/Apia") == (
        "Jan 01 12:00 +1400"
    )


@pytest.mark.parametrize(
    ("expression", "exclude"),
    [
        ("0 0 25 12 *", ("12-25",)),
        ("0 0 * * 6,0", ("saturday", "sunday")),
        ("* * 24-26 12 *", ("12-23..12-27",)),
    ],
)
def test_a_schedule_may_have_no_day_left(
    expression: str, exclude: tuple[str, ...]
) -> None:
    schedule = parse_cron(expression, "Europe/Riga", exclude)

    assert schedule.next_after(unix("2026-11-22T00:00Z")) == math.inf


def test_long_exclusions_are_skipped_day_by_day_not_slot_by_slot() -> None:
    schedule = parse_oncalendar("*:*:*", "UTC", ("2020-01-01..2029-12-31",))

    assert schedule.next_after(unix("2020-01-01T00:00Z")) == unix("2030-01-01T00:00Z")


ZONES = st.sampled_from(
    ["UTC", "Europe/Riga", "America/Santiago", "Australia/Lord_Howe"]
)
EXPRESSIONS = st.sampled_from(
    ["0 2 * * *", "*/30 * * * *", "0 */7 * * *", "30 23 * * *", "0 0 * * MON#1,5L"]
)
ITEMS = st.one_of(
    st.dates(date(2026, 1, 1), date(2027, 12, 31)).map(str),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)).map(lambda day: f"{day:%m-%d}"),
    st.tuples(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.integers(0, 40)).map(
        lambda one: f"{one[0]}..{one[0] + timedelta(one[1])}"
    ),
    st.sampled_from(
        ["sunday", "friday", "holidays DE-BY", "holidays US", "12-24..01-02"]
    ),
)
INSTANTS = st.floats(unix("2026-01-01T00:00Z"), unix("2027-06-01T00:00Z"))


@given(EXPRESSIONS, ZONES, st.lists(ITEMS, min_size=1, max_size=4), INSTANTS)
def test_exactly_the_slots_of_excluded_days_are_left_out(
    expression: str, zone: str, items: list[str], start: float
) -> None:
    exclude = tuple(items)
    excluded = exclusions.parse(exclude)
    end = start + 40 * 86400

    def is_excluded(slot: float) -> bool:
        return excluded.contains(
            datetime.fromtimestamp(slot, ZoneInfo(zone)).toordinal()
        )

    everything = slots_until(parse_cron(expression, zone), start, end)
    found = slots_until(parse_cron(expression, zone, exclude), start, end)

    assert found == [slot for slot in everything if not is_excluded(slot)]


@given(EXPRESSIONS, ZONES, st.lists(ITEMS, max_size=3), INSTANTS)
def test_slots_are_counted_as_they_come(
    expression: str, zone: str, items: list[str], start: float
) -> None:
    schedule: Calendar = parse_cron([expression, "15 3 1 * *"], zone, tuple(items))
    first = schedule.next_after(start)
    following = slots_until(schedule, first, first + 20 * 86400)

    assert schedule.between(first, first + 20 * 86400 - 1) == (
        len(following) + 1,
        following[-1] if following else first,
    )
