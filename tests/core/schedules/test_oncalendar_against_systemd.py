"""Our slots of calendar expressions against those of the real systemd-analyze."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import parse_oncalendar
from tests.examples import examples

from .times import after

NUMBER = 5
#: Base times beside clock changes, and far from them.
BASES = (
    "2026-11-29 12:34:56",
    "2026-03-07 23:10:00",
    "2026-03-28 23:10:00",
    "2026-10-24 23:10:00",
    "2026-10-31 23:10:00",
    "2026-04-04 20:00:00",
    "2027-12-31 23:59:59",
    "2028-02-28 00:00:00",
    "2099-12-31 12:00:00",
)
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "America/Santiago", "America/St_Johns"),
)


def numbers(low: int, high: int, *, any_of: bool = True) -> st.SearchStrategy[str]:
    """Return items of a field: single numbers, lists, ranges, steps."""
    number = st.integers(low, high)
    pairs = st.tuples(number, number).map(sorted)
    steps = st.integers(1, max(1, (high - low) // 3))
    items = [
        number.map("{:02}".format),
        st.lists(number.map(str), min_size=1, max_size=3).map(",".join),
        pairs.map("{0[0]}..{0[1]}".format),
        st.builds("{0[0]}..{0[1]}/{1}".format, pairs, steps),
        # systemd refuses a step beyond the end.
        st.builds("{}/{}".format, st.integers(low, low + (high - low) // 2), steps),
    ]
    return st.one_of(st.just("*"), *items) if any_of else st.one_of(*items)


weekdays = st.sampled_from(
    ["", "", "Mon", "mon..fri", "Sat,Sun", "Mon,Wed..Fri", "Sunday", "Tue,", "Mon-Thu"]
)
days = st.builds("-{}".format, numbers(1, 28)) | st.builds(
    # systemd refuses the third day of a list beyond 22.
    "~{}".format,
    numbers(1, 22, any_of=False),
)
dates = st.just("") | st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "*-", "*-", "2026..2030-", "2028-", "27-"]),
    numbers(1, 12),
    days | st.sampled_from(["-29", "-30", "-31", "-1", "~1"]),
)
times = st.one_of(
    st.just(""),
    st.builds("{}:{}".format, numbers(0, 23), numbers(0, 59)),
    st.builds("{}:{}:{}".format, numbers(0, 23), numbers(0, 59), numbers(0, 59)),
    st.sampled_from(["01:30", "02:30", "00:00", "*:0/30", "00..03:15", "02:00:30"]),
)
own_zones = st.sampled_from(["", "", "", "UTC", "Europe/Berlin", "America/New_York"])
expressions = st.builds(
    lambda *parts: " ".join(filter(None, parts)), weekdays, dates, times
).map(lambda text: text or "weekly")


def theirs(expression: str, zone: str, base: str) -> list[float]:
    """Return the slots of systemd, of which it prints local times with their offset."""
    command = [
        *("systemd-analyze", "calendar", f"--iterations={NUMBER}"),
        *(f"--base-time={base}", expression),
    ]
    environment = {"TZ": zone, "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    # It refuses some that could be read, such as `*~27,28` and `*~1/1`.
    assume(result.returncode == 0)
    # In UTC each line is printed once.
    lines = re.findall(
        r"(?:in UTC\)|elapse|Iter. #\d+): \w+ (\S+ \S+) UTC", result.stdout
    )
    return [datetime.fromisoformat(f"{line}Z").timestamp() for line in lines]


def ours(expression: str, zone: str, base: str) -> list[float]:
    start = datetime.fromisoformat(base).replace(tzinfo=ZoneInfo(zone)).timestamp()
    found = islice(after(parse_oncalendar(expression, zone), start), NUMBER)
    return [slot for slot in found if slot < float("inf")]


@settings(max_examples=examples(100), derandomize=True, database=None, deadline=None)
@given(expressions, own_zones, st.sampled_from(ZONES), st.sampled_from(BASES))
def test_slots_are_those_of_systemd(
    expression: str, own_zone: str, zone: str, base: str
) -> None:
    """In the zone of the expression, else in that of the job."""
    text = f"{expression} {own_zone}".rstrip()

    expected = theirs(text, zone, base)
    assert ours(text, zone, base) == expected, (text, zone, base)


@pytest.mark.thorough
@settings(max_examples=examples(600), derandomize=True, database=None, deadline=None)
@given(expressions, own_zones, st.sampled_from(ZONES), st.sampled_from(BASES))
def test_slots_of_many_expressions_are_those_of_systemd(
    expression: str, own_zone: str, zone: str, base: str
) -> None:
    text = f"{expression} {own_zone}".rstrip()

    expected = theirs(text, zone, base)
    assert ours(text, zone, base) == expected, (text, zone, base)
