"""Calendars of the library holidays, which is optional."""

from __future__ import annotations

import re
import sys
from datetime import date

import pytest

from afterrun_exporter.core.schedules import public_holidays

from .times import rows


@pytest.fixture(autouse=True)
def _reads_the_library() -> None:
    """Another test may have read it already."""
    public_holidays._countries.cache_clear()


@pytest.mark.parametrize("calendar", ["DE", "DE-BY", "DEU", "US-CA", "XNYS", "FR-57"])
def test_a_calendar_is_a_country_a_part_of_it_or_a_market(calendar: str) -> None:
    public_holidays.check(calendar)

    assert date(2026, 12, 25).toordinal() in public_holidays.days(calendar, 2026)
    assert date(2026, 12, 22).toordinal() not in public_holidays.days(calendar, 2026)


def test_parts_have_holidays_of_their_own() -> None:
    epiphany = date(2026, 1, 6).toordinal()

    assert epiphany in public_holidays.days("DE-BY", 2026)
    assert epiphany not in public_holidays.days("DE-BE", 2026)


def test_holidays_are_those_of_one_year() -> None:
    """Also where a holiday of the next year is observed before it begins."""
    assert all(
        date.fromordinal(day).year == 2021 for day in public_holidays.days("US", 2021)
    )


@pytest.mark.parametrize(
    ("calendar", "message"),
    rows("""
        de         unknown holidays 'de'; did you mean 'DE'?
        de-by      unknown holidays 'de-by'; did you mean 'DE-BY'?
        Germany    unknown holidays 'Germany'; did you mean 'DE'?
        germny-XX  unknown holidays 'germny-XX'; did you mean 'DE'?
        nyse       unknown holidays 'nyse'; did you mean 'NYSE'?
        XX         unknown holidays 'XX'; use the code of a country (AD, AE,
        DE-by      DE has no part 'by' with holidays of its own; did you mean 'DE-BY'?
        DE-XX      DE has no part 'XX' with holidays of its own; use 'DE' or one of its parts: BB, BE,
        LV-RIX     LV has no part 'RIX' with holidays of its own; use 'LV'
    """),
)
def test_an_unknown_calendar_is_refused_with_those_there_are(
    calendar: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        public_holidays.check(calendar)


def test_without_the_library_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)

    with pytest.raises(
        ValueError, match=r"pip install 'afterrun-exporter\[holidays\]'"
    ):
        public_holidays.check("DE")
