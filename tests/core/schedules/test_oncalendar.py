"""Expressions of systemd, by example; the rest is compared with systemd itself."""

from __future__ import annotations

import math
import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import parse_oncalendar
from afterrun_exporter.core.schedules import oncalendar, slots

from .times import after, rows, shown, unix


@pytest.mark.parametrize(
    "cells",
    rows("""
        minutely                    Nov 29 12:35 +0000  Nov 29 12:36 +0000
        hourly                      Nov 29 13:00 +0000  Nov 29 14:00 +0000
        daily                       Nov 30 00:00 +0000  Dec 01 00:00 +0000
        weekly                      Nov 30 00:00 +0000  Dec 07 00:00 +0000
        monthly                     Dec 01 00:00 +0000  Jan 01 00:00 +0000
        quarterly                   Jan 01 00:00 +0000  Apr 01 00:00 +0000
        Semi-Annually               Jan 01 00:00 +0000  Jul 01 00:00 +0000
        yearly                      Jan 01 00:00 +0000  Jan 01 00:00 +0000
        02:00                       Nov 30 02:00 +0000  Dec 01 02:00 +0000
        Mon..Fri 09:30              Nov 30 09:30 +0000  Dec 01 09:30 +0000
        Sat, 10:00                  Dec 05 10:00 +0000  Dec 12 10:00 +0000
        Mon                         Nov 30 00:00 +0000  Dec 07 00:00 +0000
        *-*-1..7 18:00              Dec 01 18:00 +0000  Dec 02 18:00 +0000
        Mon *-*-1..7 18:00          Dec 07 18:00 +0000  Jan 04 18:00 +0000
        *-*~1 23:00                 Nov 30 23:00 +0000  Dec 31 23:00 +0000
        Sun *-*~7/1 03:00           Dec 27 03:00 +0000  Jan 31 03:00 +0000
        *-2~1                       Feb 28 00:00 +0000  Feb 29 00:00 +0000
        12:34:57,58                 Nov 29 12:34 +0000  Nov 29 12:34 +0000
        *:0/20                      Nov 29 12:40 +0000  Nov 29 13:00 +0000
        03:00 Europe/Berlin         Nov 30 02:00 +0000  Dec 01 02:00 +0000
        Mon *-*-* 03:00 Asia/Tokyo  Nov 29 18:00 +0000  Dec 06 18:00 +0000
        *:30..30/10                 Nov 29 13:30 +0000  Nov 29 14:30 +0000
        *~1..4/2                    Nov 30 00:00 +0000  Dec 29 00:00 +0000
        12-24 08:00 UTC             Dec 24 08:00 +0000  Dec 24 08:00 +0000
    """),
    ids=lambda cells: cells[0],
)
def test_an_expression_is_due_when_systemd_would_start_it(cells: list[str]) -> None:
    expression, *expected = cells
    found = after(parse_oncalendar(expression, "UTC"), unix("2026-11-29T12:34:56Z"))

    assert [shown(next(found), "UTC") for _ in expected] == expected


@pytest.mark.parametrize(
    "cells",
    rows("""
        America/New_York  2026-03-07T12:00-05:00  02:30    Mar 09 02:30 -0400  Mar 10 02:30 -0400
        America/New_York  2026-03-08T00:00-05:00  *:0/30   Mar 08 00:30 -0500  Mar 08 01:00 -0500  Mar 08 01:30 -0500  Mar 08 03:00 -0400
        America/New_York  2026-11-01T00:59-04:00  01:30    Nov 01 01:30 -0400  Nov 02 01:30 -0500
        America/New_York  2026-11-01T00:59-04:00  *:0/30   Nov 01 01:00 -0400  Nov 01 01:30 -0400  Nov 01 02:00 -0500
        Pacific/Apia      2011-12-29T13:00-10:00  12:00    Dec 31 12:00 +1400
    """),
    ids=lambda cells: " ".join(cells[:3]),
)
def test_a_time_comes_once_or_never_when_the_clock_changes(cells: list[str]) -> None:
    """Unlike in cron: a timer does not make up for a time that does not exist."""
    zone, start, expression, *expected = cells
    found = after(parse_oncalendar(expression, zone), unix(start))

    assert [shown(next(found), zone) for _ in expected] == expected


@pytest.mark.parametrize(
    ("expression", "last"),
    [
        ("2026-12-24", "2026-12-24T00:00Z"),
        ("2027..2029-02-29 12:00", "2028-02-29T12:00Z"),
        ("2199-12-31 23:59:59", "2199-12-31T23:59:59Z"),
        ("Fri 2199-*-*", "2199-12-27T00:00Z"),
    ],
)
def test_an_expression_can_end(expression: str, last: str) -> None:
    schedule = parse_oncalendar(expression, "UTC")

    assert schedule.next_after(unix(last) - 1) == unix(last)
    assert schedule.next_after(unix(last)) == math.inf


@pytest.mark.parametrize("expression", ["2019-01-01", "*-02-30", "*-*-* 02:00"])
def test_no_slot_is_after_the_year_2199(expression: str) -> None:
    schedule = parse_oncalendar(expression, "UTC")

    assert schedule.next_after(unix("2199-12-31T23:00Z")) == math.inf


def test_a_time_of_each_second_is_cheap() -> None:
    """By blocks of an hour, not of a day."""
    schedule = parse_oncalendar("*:*:*", "Europe/Riga")
    start = unix("2026-10-25T00:59:58Z")

    assert [*islice(after(schedule, start), 3)] == [
        start + 1,
        start + 3602,
        start + 3603,
    ]
    assert len(slots.block(schedule.source, int(start // 3600))) <= 3601


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("Daily", "daily"),
        ("bi-annually", "semiannually"),
        (" DAILY \t Europe/Riga\n", "daily Europe/Riga"),
        ("Mon  02:00", "Mon 02:00"),
    ],
)
def test_an_expression_is_kept_as_it_is_written(text: str, expression: str) -> None:
    assert parse_oncalendar(text, "UTC").text == expression


@pytest.mark.parametrize(
    ("text", "message"),
    rows("""
        0 2 * * *                  cannot read '0 2 * * *': for a cron expression use schedule:
        @daily                     cannot read '@daily': systemd has no '@': use 'daily'
        @reboot                    cannot read '@reboot' (its day of week); write it like
        dayly                      cannot read 'dayly'; did you mean 'daily'?
        OnCalendar=Mon 02:00       cannot read 'OnCalendar=Mon 02:00': write 'Mon 02:00' without OnCalendar=
        every 5 minutes            cannot read 'every 5 minutes': for a fixed interval use every: 5m
        15m                        cannot read '15m': for a fixed interval use every: 15m
        02:00:00.5                 cannot read '02:00:00.5': write whole seconds, without a fraction
        *:*:0/0.5                  cannot read '*:*:0/0.5': write whole seconds, without a fraction
        2026-01-01T02:00           cannot read '2026-01-01T02:00': write a space, not T, before the time
        02:0..40/0                 cannot read '02:0..40/0' (its minute); write it like
        02:40..0/5                 cannot read '02:40..0/5' (its minute); write it like
        25:00                      cannot read '25:00' (its hour); write it like
        *-13-01                    cannot read '*-13-01' (its month); write it like
        Fri..Mon                   cannot read 'Fri..Mon' (its day of week); write it like
        Mon Tue 02:00              cannot read 'Mon Tue 02:00'; write it like
        02:00 Europe/Rigga         unknown time zone 'Europe/Rigga'; did you mean 'Europe/Riga'?
        *-*-* 02:00 CEST           unknown time zone 'CEST'; use one like 'Europe/Riga'
    """),
)
def test_what_systemd_does_not_read_is_refused_with_the_way_out(
    text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_oncalendar(text, "UTC")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  ", "empty: write it like"),
        ("Mon," * 100, "is too long: at most 200 characters"),
    ],
)
def test_a_text_that_is_no_expression_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_oncalendar(text, "UTC")


@given(st.text("0123456789*-~:/.,@ \tMonFriTdaily", max_size=30) | st.text(max_size=20))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expression = oncalendar.normalized(text)
    except ValueError:
        return
    assert oncalendar.normalized(expression) == expression
    parse_oncalendar(expression, "UTC").next_after(0.0)
