from __future__ import annotations

import math
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Every, parse_cron
from afterrun_exporter.page.times import away, happened, moment, span, zone_of
from tests.core.jobs import at

RIGA = ZoneInfo("Europe/Riga")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (4.183, "4.2s"),
        (-90, "-1m30s"),
        (418.38, "6m58s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3599, "59m59s"),
        (3600, "1h"),
        (3661, "1h1m"),
        (86399, "23h59m"),
        (86400, "1d"),
        (90000, "1d1h"),
        (86400 * 400, "400d"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-120, "2m ago"), (-0.5, "just now"), (0.9, "just now"), (90, "in 1m30s")],
)
def test_what_is_away_lies_before_or_behind(seconds: float, words: str) -> None:
    assert away(seconds) == words


def test_a_moment_is_told_on_the_clocks_of_the_job_and_in_utc() -> None:
    shown = moment(at("22 02:00"), at("22 05:12"), RIGA)

    assert shown is not None
    assert shown.iso == "2026-11-22T02:00:00Z"
    assert (shown.local, shown.utc) == ("Sun 22 Nov 04:00 EET", "Sun 22 Nov 02:00 UTC")
    assert (shown.beside, shown.away) == ("02:00 UTC", "3h12m ago")


@pytest.mark.parametrize(
    ("now", "words", "ahead"),
    [
        ("22 05:12", "3h12m ago", ""),
        ("22 02:00", "just now", ""),
        ("22 01:59:30", "30s ahead", "30s"),
        ("21 23:00", "3h ahead", "3h"),
    ],
)
def test_what_happened_and_lies_ahead_is_by_a_clock_that_was_ahead(
    now: str, words: str, ahead: str
) -> None:
    shown = happened(at("22 02:00"), at(now))

    assert shown is not None
    assert (shown.away, shown.ahead) == (words, ahead)


def test_another_day_in_utc_is_told_with_the_time() -> None:
    shown = moment(at("21 23:00"), at("22 05:12"), RIGA)

    assert shown is not None
    assert (shown.local, shown.beside) == (
        "Sun 22 Nov 01:00 EET",
        "Sat 21 Nov 23:00 UTC",
    )


def test_another_year_is_told_and_seconds_where_there_are_some() -> None:
    shown = moment(at("22 02:00:07") - 365 * 86400, at("22 02:00"))

    assert shown is not None
    assert shown.utc == "Sat 22 Nov 2025 02:00:07 UTC"
    assert shown.local == ""


@pytest.mark.parametrize("never", [0.0, math.inf, math.nan, 1e12])
def test_never_is_no_moment(never: float) -> None:
    assert moment(never, at("22 02:00")) is None


def test_the_zone_is_that_of_the_schedule() -> None:
    cron = Job(name="a", schedule=parse_cron("0 2 * * *", "Europe/Riga"))

    assert zone_of(cron) == RIGA
    assert zone_of(Job(name="a", schedule=parse_cron("0 2 * * *", "UTC"))) is UTC
    assert zone_of(Job(name="a", schedule=Every(3600))) is UTC
    assert zone_of(Job(name="a")) is UTC
