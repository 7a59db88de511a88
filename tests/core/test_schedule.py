from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core import crontab
from afterrun_exporter.core.deadlines import covered_by
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import (
    Calendar,
    Every,
    early_limit,
    parse_cron,
    syntax_of,
)
from afterrun_exporter.core.schedules import slots as cached


def rows(table: str) -> list[list[str]]:
    """Return the cells of each line; two spaces or more stand between them."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.strip().splitlines()]


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def shown(instant: float, zone: str) -> str:
    return f"{datetime.fromtimestamp(instant, ZoneInfo(zone)):%b %d %H:%M %z}"


def slots(expression: str, zone: str, start: str) -> Iterator[float]:
    cron = parse_cron(expression, zone)
    instant = unix(start)
    while True:
        instant = cron.next_after(instant)
        yield instant


CLOCK_CHANGES: Final = {
    ("America/New_York", "2026-03-07T12:00-05:00"): """
        30 2 * * *        Mar 08 03:00 -0400  Mar 09 02:30 -0400
        0 2 * * *         Mar 08 03:00 -0400  Mar 09 02:00 -0400
        0 2,3 * * *       Mar 08 03:00 -0400  Mar 09 02:00 -0400
        0-59 2 * * *      Mar 08 03:00 -0400  Mar 09 02:00 -0400
        59 1 * * *        Mar 08 01:59 -0500  Mar 09 01:59 -0400
        30 2 8 3 *        Mar 08 03:00 -0400  Mar 08 02:30 -0500
        */30 2 * * *      Mar 09 02:00 -0400  Mar 09 02:30 -0400
        0 */2 * * 0       Mar 08 00:00 -0500  Mar 08 04:00 -0400
        30 1,2,3 8 3 *    Mar 08 01:30 -0500  Mar 08 03:00 -0400  Mar 08 03:30 -0400
    """,
    ("America/New_York", "2026-11-01T00:59-04:00"): """
        30 1 * * *        Nov 01 01:30 -0400  Nov 02 01:30 -0500
        0 1,2 * * *       Nov 01 01:00 -0400  Nov 01 02:00 -0500
        0 * * * *         Nov 01 01:00 -0400  Nov 01 01:00 -0500  Nov 01 02:00 -0500
        */59 1 1 11 *     Nov 01 01:00 -0400  Nov 01 01:59 -0400  Nov 01 01:00 -0500
    """,
    ("America/New_York", "2026-11-01T01:10-05:00"): """
        30 1 * * *        Nov 02 01:30 -0500
        30 * * * *        Nov 01 01:30 -0500
    """,
    ("Europe/Riga", "2026-03-29T00:00+02:00"): """
        30 3 * * *        Mar 29 04:00 +0300  Mar 30 03:30 +0300
        0 */3 * * *       Mar 29 06:00 +0300  Mar 29 09:00 +0300
    """,
    ("Europe/Riga", "2026-10-25T00:00+03:00"): """
        30 3 * * *        Oct 25 03:30 +0300  Oct 26 03:30 +0200
        0 */3 * * *       Oct 25 03:00 +0300  Oct 25 03:00 +0200  Oct 25 06:00 +0200
    """,
    ("Asia/Tokyo", "2026-03-29T00:00+09:00"): """
        30 2 * * *        Mar 29 02:30 +0900  Mar 30 02:30 +0900
        0 */12 * * *      Mar 29 12:00 +0900  Mar 30 00:00 +0900
    """,
    # By half an hour.
    ("Australia/Lord_Howe", "2026-10-04T00:45+10:30"): """
        15 2 * * *        Oct 04 02:30 +1100  Oct 05 02:15 +1100
        45 2 * * *        Oct 04 02:45 +1100  Oct 05 02:45 +1100
        0 */2 * * *       Oct 04 04:00 +1100  Oct 04 06:00 +1100
        30 * * * *        Oct 04 01:30 +1030  Oct 04 02:30 +1100
        * 3 * * *         Oct 04 03:00 +1100  Oct 04 03:01 +1100
    """,
    ("Australia/Lord_Howe", "2026-04-05T00:45+11:00"): """
        15 1 * * *        Apr 05 01:15 +1100  Apr 06 01:15 +1030
        45 1 * * *        Apr 05 01:45 +1100  Apr 06 01:45 +1030
        0 */2 * * *       Apr 05 02:00 +1030  Apr 05 04:00 +1030
        30 * * * *        Apr 05 01:30 +1100  Apr 05 01:30 +1030  Apr 05 02:30 +1030
    """,
    # A day that begins at 01:00, and one whose last hour comes twice.
    ("America/Santiago", "2026-09-05T12:00-04:00"): """
        0 0 * * *         Sep 06 01:00 -0300  Sep 07 00:00 -0300
        0 0 * * 0         Sep 06 01:00 -0300  Sep 13 00:00 -0300
        0 */2 * * 0       Sep 06 02:00 -0300  Sep 06 04:00 -0300
        */30 0 * * 0      Sep 13 00:00 -0300  Sep 13 00:30 -0300
    """,
    ("America/Santiago", "2026-04-04T22:45-03:00"): """
        30 23 * * 6       Apr 04 23:30 -0300  Apr 11 23:30 -0400
        30 * * * 6        Apr 04 23:30 -0300  Apr 04 23:30 -0400  Apr 11 00:30 -0400
    """,
    ("Asia/Beirut", "2026-03-28T12:00+02:00"): """
        30 0 * * *        Mar 29 01:00 +0300  Mar 30 00:30 +0300
    """,
    # At 00:01 it was 23:01 of the day before.
    ("America/St_Johns", "2010-11-06T23:45-02:30"): """
        30 0,23 * * *     Nov 07 00:30 -0330  Nov 07 23:30 -0330
        0,30 0,23 7 * *   Nov 07 00:00 -0230  Nov 07 00:30 -0330
        */30 0,23 * * *   Nov 07 00:00 -0230  Nov 06 23:30 -0330  Nov 07 00:00 -0330
        */9 0-21,23 * * *  Nov 06 23:54 -0230  Nov 07 00:00 -0230  Nov 06 23:09 -0330
    """,
    ("America/Goose_Bay", "2010-11-07T00:00:30-03:00"): """
        */9 0-21,23 * * *  Nov 06 23:09 -0400
    """,
    # The 30th was left out.
    ("Pacific/Apia", "2011-12-29T13:00-10:00"): """
        0 12 * * *        Dec 31 00:00 +1400  Dec 31 12:00 +1400
        0 */12 30,31 * *  Dec 31 00:00 +1400  Dec 31 12:00 +1400
    """,
}


@pytest.mark.parametrize(
    ("zone", "start", "expression", "expected"),
    [
        (zone, start, expression, expected)
        for (zone, start), table in CLOCK_CHANGES.items()
        for expression, *expected in rows(table)
    ],
)
def test_clock_changes_are_those_of_cron(
    zone: str, start: str, expression: str, expected: list[str]
) -> None:
    """A fixed time runs once, after the gap if need be; a ``*`` in real time."""
    found = slots(expression, zone, start)

    assert [shown(next(found), zone) for _ in expected] == expected


@pytest.mark.parametrize(
    ("expression", "instant", "slot"),
    rows("""
        0 2 * * *        2026-11-22T01:59:59.999Z  2026-11-22T02:00Z
        0 2 * * *        2026-11-22T02:00Z         2026-11-23T02:00Z
        0 2 * * *        2026-12-31T02:00Z         2027-01-01T02:00Z
        * * * * *        2026-11-22T02:00:59.5Z    2026-11-22T02:01Z
        */7 * * * *      2026-11-22T02:56Z         2026-11-22T03:00Z
        0 0 1 1 *        2026-01-01T00:00Z         2027-01-01T00:00Z
        30 6 * * wed     1969-12-31T06:30Z         1970-01-07T06:30Z
        0 0 31 * *       2026-03-31T00:00Z         2026-05-31T00:00Z
        0 0 29 2 *       2026-06-01T00:00Z         2028-02-29T00:00Z
        0 0 29 2 *       2096-02-29T00:00Z         2104-02-29T00:00Z
        0 0 29 2 */7     2032-02-29T00:00Z         2060-02-29T00:00Z
        0 0 29 2 */7     2088-02-29T00:00Z         2128-02-29T00:00Z
    """),
)
def test_the_next_slot_is_the_first_one_strictly_later(
    expression: str, instant: str, slot: str
) -> None:
    assert next(slots(expression, "UTC", instant)) == unix(slot)


@pytest.mark.parametrize(
    "expression", ["0 0 30 2 *", "* * 31 2,4,6,9,11 *", "0 0 */30 2 5L"]
)
def test_a_day_that_does_not_exist_never_comes(expression: str) -> None:
    cron = parse_cron(expression, "Europe/Riga")

    assert cron.next_after(unix("2026-11-22T00:00Z")) == math.inf
    assert cron.next_after(math.inf) == math.inf


@pytest.mark.parametrize(
    ("days", "expected"),
    rows("""
        * * 1         05 12 19 26
        13 * *        13
        13 * fri      02 09 13 16 23 30
        */2 * 1       05 19
        1-29/7 * 1    01 05 08 12 15 19 22 26 29
        13-19 * */5   16 18
        1-31/3 * */7  04 25
        1,* * */7     04 11 18 25
        *,1 * 1       05 12 19 26
        2,3-4 * 1,0   02 03 04 05 11 12 18 19 25 26
    """),
)
def test_a_day_must_match_both_day_fields_if_one_starts_with_a_star(
    days: str, expected: str
) -> None:
    """Else either; a star further back is none. January 2026 begins on a Thursday."""
    found = slots(f"0 0 {days}", "UTC", "2025-12-31T23:59Z")
    in_january = takewhile(lambda slot: slot < unix("2026-02-01T00:00Z"), found)

    assert " ".join(shown(slot, "UTC")[4:6] for slot in in_january) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    rows("""
        * * SUN#1       04
        * * sun#1,5#L   04 30
        * * 7#1         04
        * * 0#L         25
        * * 5L          30
        * * FRIL        30
        * * fri#l       30
        * * THU#5       29
        1 * MON#2       01 12
        L * *           31
        1,15,l * *      01 15 31
        L * MON#1       05 31
        */2 * MON#1     05
        *,L * 5L        30
        * * 1-2,FRI#1   02 05 06 12 13 19 20 26 27
        * 1 */4,MON#1   01 04 05 08 11 15 18 22 25 29
    """),
)
def test_days_can_be_counted_within_their_month(days: str, expected: str) -> None:
    """January 2026 has five Thursdays, the first on the 1st."""
    found = slots(f"0 0 {days}", "UTC", "2025-12-31T23:59Z")
    in_january = takewhile(lambda slot: slot < unix("2026-02-01T00:00Z"), found)

    assert " ".join(shown(slot, "UTC")[4:6] for slot in in_january) == expected


@pytest.mark.parametrize(
    ("expression", "instant", "slot"),
    rows("""
        0 0 L 2 *        2026-01-01T00:00Z  2026-02-28T00:00Z
        0 0 L 2 *        2028-01-01T00:00Z  2028-02-29T00:00Z
        0 0 * 2 5#5      2026-01-01T00:00Z  2036-02-29T00:00Z
        0 0 * * 5#5      2026-01-30T00:00Z  2026-05-29T00:00Z
    """),
)
def test_a_day_that_is_not_in_each_month_is_waited_for(
    expression: str, instant: str, slot: str
) -> None:
    assert next(slots(expression, "UTC", instant)) == unix(slot)


@pytest.mark.parametrize(
    ("one", "other"),
    rows("""
        0 0 * * 7                0 0 * * 0
        0 0 * * SUN              0 0 * * 0
        0 0 * * Mon-fri          0 0 * * 1-5
        0 0 * * fri-7            0 0 * * 0,5,6
        0 0 * * 5/1              0 0 * * 0,5,6
        0 0 * * 0-7              0 0 * * *
        0 0 * * */7              0 0 * * 0
        0 0 * * */2              0 0 * * 0,2,4,6
        0 0 1,* * 1              0 0 * * *
        0 0 1-31 * 1             0 0 * * *
        0 0 1 jan,MAR-Apr,dec *  0 0 1 1,3,4,12 *
        05 007 * * *             5 7 * * *
        5-5 * * * *              5 * * * *
        5-5/2 * * * *            5 * * * *
        10-30/10 * * * *         10,20,30 * * * *
        5/15 * * * *             5,20,35,50 * * * *
        */100 * * * *            0 * * * *
        1-5/07 * * * *           1 * * * *
        5,1,5,1-2 * * * *        1,2,5 * * * *
    """),
)
def test_fields_are_read_as_cron_does(one: str, other: str) -> None:
    found, expected = (slots(text, "UTC", "2026-11-22T00:00Z") for text in (one, other))

    assert [next(found) for _ in range(40)] == [next(expected) for _ in range(40)]


@pytest.mark.parametrize(
    ("nickname", "expression"),
    rows("""
        @yearly    0 0 1 1 *
        @annually  0 0 1 1 *
        @monthly   0 0 1 * *
        @weekly    0 0 * * 0
        @daily     0 0 * * *
        @midnight  0 0 * * *
        @Hourly    0 * * * *
    """),
)
def test_a_nickname_stands_for_five_fields(nickname: str, expression: str) -> None:
    assert parse_cron(f" {nickname}\n", "UTC") == parse_cron(expression, "UTC")


def test_white_space_is_brought_into_order() -> None:
    assert parse_cron(" 0\t2 *  * MON\n", "UTC").text == "0 2 * * MON"


@pytest.mark.parametrize(
    ("text", "message"),
    rows("""
        60 * * * *        minute '60' is out of range; use 0-59
        * 24 * * *        hour '24' is out of range; use 0-23
        * * 0 * *         day of month '0' is out of range; use 1-31
        * * * 13 *        month '13' is out of range; use 1-12 or jan-dec
        * * * * 8         day of week '8' is out of range; use 0-7 or sun-sat
        * * * * monday    day of week 'monday' is unknown; use 0-7 or sun-sat
        * * mon * *       day of month 'mon' is unknown; use 1-31
        0,90-95 * * * *   minute '90' is out of range; use 0-59
        * * 15W * *       cron has no '15W' for the nearest working day: write the days themselves, such as 15; exclude: leaves out weekends and holidays
        * * LW * *        cron has no 'LW' for the nearest working day: write the days themselves, such as L; exclude: leaves out weekends and holidays
        * * L-2 * *       cron has no 'L-2': write oncalendar: "*-*~03 02:00" for 02:00 on the last day but two
        * * 1#1 * *       cannot read day of month '1#1'; write it like *, 1, 1-31, L or */2
        * * 5L * *        day of month '5L' is unknown; use 1-31
        * * L/2 * *       day of month 'L' is unknown; use 1-31
        * * * * L         day of week 'L' is unclear: write sat for each Saturday, or SAT#L for the last one of the month
        * * * * 1#6       day of week '1#6' is of no week of a month; use 1#1 to 1#5, or 1#L for the last one
        * * * * mon#0     day of week 'mon#0' is of no week of a month; use mon#1 to mon#5, or mon#L for the last one
        * * * * mon#two   day of week 'mon#two' is of no week of a month; use mon#1 to mon#5, or mon#L for the last one
        * * * * 8#1       day of week '8' is out of range; use 0-7 or sun-sat
        * * * * 8L        day of week '8L' is unknown; use 0-7 or sun-sat
        * * * * xyzL      day of week 'xyz' is unknown; use 0-7 or sun-sat
        * * * * 1-5#1     cannot read day of week '1-5#1'; write it like *, 0, 0-7, MON#1, FRI#L or */2
        L * * * *         minute 'L' is unknown; use 0-59
        H * * * *         cron has no 'H', which is Jenkins': write the minute itself, such as 29
        H/15 * * * *      cron has no 'H/15', which is Jenkins': write the minute itself, such as */15
        0 H(0-7) * * *    cron has no 'H(0-7)', which is Jenkins': write the hour itself, such as 11
        R * * * *         minute 'R' is unknown; use 0-59
        * * ? * *         cron has no '?': write * for any day of month
        1,,2 * * * *      cannot read minute ''; write it like *, 0, 0-59 or */2
        -5 * * * *        cannot read minute '-5'; write it like *, 0, 0-59 or */2
        */0 * * * *       cannot read minute '*/0'; write it like *, 0, 0-59 or */2
        1-5-9 * * * *     cannot read minute '1-5-9'; write it like *, 0, 0-59 or */2
        * 22-2 * * *      hour '22-2' runs backwards; use '22-23,0-2'
        * * * * sat-sun   day of week 'sat-sun' runs backwards; use '6-7,0'
    """),
)
def test_a_field_that_is_not_cron_s_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        parse_cron(text, "UTC")


@pytest.mark.parametrize("count", [0, 4, 7])
def test_anything_but_five_fields_is_refused(count: int) -> None:
    text = " ".join("*" * count)
    fields = "minute, hour, day of month, month, day of week"
    message = f"cron expression {text!r} has {count} fields; write 5: {fields}"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_cron(text, "UTC")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0 0 2 * * *", "drop the seconds field: '0 2 * * *'"),
        ("30 0 12 ? * MON-FRI", "drop the seconds field: '0 12 * * MON-FRI'"),
        # Where ? is known, 1 is Sunday.
        (
            "0 0 12 ? * 2-6",
            "drop the seconds field, and write days of the week by name",
        ),
        ("0 0 2 * * ? *", "drop the seconds field and the year: '0 2 * * *'"),
        ("0 10 * * ? *", "drop the year: '0 10 * * *'"),
        ("0 10 ? * MON-FRI *", "drop the year: '0 10 * * MON-FRI'"),
        ("0 2 * * * 2026", "drop the year: '0 2 * * *'"),
        ("*/10 * * * * *", "seconds are not supported: use every: 10s"),
        ("*/10 0 2 * * *", "seconds are not supported"),
        ("* * * * * *", "seconds are not supported"),
        ("0 2 * * * root", "drop the rest: '0 2 * * *'"),
        ("0 2 * * * /usr/bin/backup --all", "drop the rest: '0 2 * * *'"),
        (
            "15 10 ? * 6L 2022",
            "drop the year, and write days of the week by name",
        ),
        ("a b c d e f", "day of month, month, day of week"),
        ("@every 3h", "use every: 3h"),
        ("@every 1h30m", "use every: 1h30m"),
        ("@EVERY 5 minutes", "use every: 5m"),
        ("every 5 min", "use every: 5m"),
        ("1h", "use every: 1h"),
        ("hourly", "use '@hourly'"),
        ("@reboot", "omit the schedule"),
        (
            "CRON_TZ=Europe/Riga 0 2 * * *",
            'timezone: Europe/Riga, and schedule: "0 2 * * *"',
        ),
        ("TZ='UTC' @daily", 'write timezone: UTC, and schedule: "@daily"'),
    ],
)
def test_what_other_schedulers_take_is_refused_with_the_way_out(
    text: str, hint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse_cron(text, "UTC")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("@dayly", "did you mean '@daily'?"),
        ("@Minthly", "did you mean '@monthly'?"),
        ("@fortnightly", f"use {', '.join(crontab.NICKNAMES)}"),
        ("@minutely", "use '* * * * *'"),
        ("@weekdays", "use '0 0 * * 1-5'"),
    ],
)
def test_a_nickname_without_slots_is_refused(text: str, hint: str) -> None:
    message = f"unknown cron nickname {text!r}; {hint}"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_cron(text, "UTC")


@pytest.mark.parametrize(
    ("zone", "hint"),
    rows("""
        Europe/Rigga      did you mean 'Europe/Riga'?
        europe/riga       did you mean 'Europe/Riga'?
        riga              did you mean 'Europe/Riga'?
        New York          did you mean 'America/New_York'?
        utc               did you mean 'UTC'?
        CEST              use one like 'Europe/Riga'
        GMT+3             use one like 'Europe/Riga'
        ../../etc/passwd  use one like 'Europe/Riga'
    """),
)
def test_an_unknown_time_zone_is_refused(zone: str, hint: str) -> None:
    """An abbreviation or an offset is not guessed at: half the guesses were wrong."""
    message = f"unknown time zone {zone!r}; {hint}"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_cron("@daily", zone)


def test_every_is_due_again_a_period_later() -> None:
    assert Every(90.0).next_after(1000.5) == 1090.5
    assert Every(5400.0).text == "every 1h30m"


@pytest.mark.parametrize(
    ("expression", "slot", "expected"),
    rows("""
        * * * * *     2026-11-22T02:00Z  6
        */5 * * * *   2026-11-22T02:00Z  30
        */10 * * * *  2026-11-22T02:00Z  60
        0 2 * * *     2026-11-22T02:00Z  60
        0,2 2 * * *   2026-11-22T02:00Z  12
        0,2 2 * * *   2026-11-22T02:02Z  60
        0 0 30 2 *    2026-11-22T02:00Z  60
    """),
)
def test_early_is_at_most_a_tenth_of_the_time_to_the_next_slot(
    expression: str, slot: str, expected: str
) -> None:
    cron = parse_cron(expression, "UTC")

    assert early_limit(cron, unix(slot), early=60) == float(expected)


@pytest.mark.parametrize(("period", "expected"), [(60, 6), (600, 60), (3600, 60)])
def test_early_is_at_most_a_tenth_of_a_period(period: float, expected: float) -> None:
    assert early_limit(Every(period), unix("2026-11-22T02:00Z"), 60) == expected


@pytest.mark.parametrize(
    ("texts", "syntax"),
    [
        (["0 2 * * *"], "cron"),
        (["@daily", "0 2 * * MON#1"], "cron"),
        (["daily"], "oncalendar"),
        (["Mon"], "oncalendar"),
        (["Mon 25:00"], "oncalendar"),
        (["*-*-32"], "oncalendar"),
        (["soon"], "cron"),
        (["0 25 * * *"], "cron"),
    ],
)
def test_the_syntax_of_a_client_is_that_which_reads_its_schedule(
    texts: list[str], syntax: str
) -> None:
    """One that neither reads is refused with the message of the more likely one."""
    assert syntax_of(texts) == syntax


crons = st.builds(
    lambda fields, zone: parse_cron(" ".join(fields), zone),
    st.tuples(
        st.sampled_from(["*", "*/20", "30", "0-59/7", "0,45"]),
        st.sampled_from(["*", "*/5", "0", "2", "1-3", "0,23"]),
        st.sampled_from(["*", "*/2", "1-15", "31"]),
        st.sampled_from(["*", "3,4,10,11", "2"]),
        st.sampled_from(["*", "0", "*/3", "mon-fri"]),
    ),
    st.sampled_from(["UTC", "Europe/Riga", "Australia/Lord_Howe", "America/Santiago"]),
)
instants = st.floats(unix("2024-01-01T00:00Z"), unix("2028-01-01T00:00Z"))


@given(crons, instants)
def test_a_slot_is_strictly_later_than_its_argument(
    cron: Calendar, instant: float
) -> None:
    assert cron.next_after(instant) > instant


@given(crons, instants, instants)
def test_asking_later_never_gives_an_earlier_slot(
    cron: Calendar, first: float, second: float
) -> None:
    early, late = sorted((first, second))

    assert cron.next_after(early) <= cron.next_after(late)


@given(crons, st.lists(instants, max_size=8), instants, st.integers(-2, 2))
def test_the_answer_is_the_same_whatever_was_asked_before(
    cron: Calendar, before: list[float], instant: float, beside: int
) -> None:
    """Also right at a slot, and beside it."""
    slot = cron.next_after(instant)
    for earlier in before:
        cron.next_after(earlier)

    assert cron.next_after(instant) == slot
    near = slot + beside
    fresh = Calendar(cron.source)
    assert cron.next_after(near) == fresh.next_after(near)


@given(crons, instants, st.floats(0, 1))
def test_until_it_comes_the_next_slot_stays_the_same(
    cron: Calendar, instant: float, share: float
) -> None:
    slot = cron.next_after(instant)
    meanwhile = instant + share * (min(slot, instant + 1e9) - instant)

    assert meanwhile >= slot or cron.next_after(meanwhile) == slot


@given(crons, st.lists(instants, min_size=2, max_size=20))
def test_what_is_remembered_is_what_would_be_found_anew(
    cron: Calendar, moments: list[float]
) -> None:
    """In whatever order it was asked for."""
    remembered = [cron.next_after(moment) for moment in moments]
    cached.block.cache_clear()
    cached.plans.cache_clear()

    assert sorted(remembered) == [cron.next_after(moment) for moment in sorted(moments)]


def test_equal_schedules_share_what_is_remembered() -> None:
    start = unix("2026-11-22T00:00Z")
    parse_cron("17 3 * * *", "Europe/Riga").next_after(start)
    found = cached.block.cache_info().misses

    parse_cron("17  3 * * *", "Europe/Riga").next_after(start + 3600)

    assert cached.block.cache_info().misses == found


def test_a_run_covers_no_slot_where_none_follows() -> None:
    job = Job(name="never", schedule=parse_cron("0 0 30 2 *", "UTC"))

    assert covered_by(job, 5.0, None) == 5.0
