"""Cron expressions of other schedulers keep their meaning."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.core.schedule import parse_cron
from afterrun_exporter.importers.cron_syntax import of_cron, of_kubernetes
from tests.examples import examples

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
#: A year and two months, with a leap day.
START = date(2027, 12, 1)
LENGTH = 430


def robfig_field(text: str, low: int, high: int) -> tuple[set[int], bool]:
    """Return the numbers of a field and its star, as robfig/cron's getField does."""
    values: set[int] = set()
    star = False
    for item in text.split(","):
        span, *steps = item.split("/")
        first, *last = span.split("-")
        step = int(steps[0]) if steps else 1
        if first in {"*", "?"}:
            start, end = low, high
            star = star or step == 1
        else:
            start = DAYS.index(first) if first in DAYS else int(first)
            end = int(last[0]) if last else high if steps else start
        values |= set(range(start, end + 1, step))
    return values, star


def robfig_days(expression: str) -> list[date]:
    """Return the days of *expression* from START on."""
    fields = [
        robfig_field(text, *bounds)
        for text, bounds in zip(expression.split(), BOUNDS, strict=True)
    ]
    (days, day_star), (months, _), (weekdays, weekday_star) = fields[2:]
    found = []
    for number in range(LENGTH):
        day = START + timedelta(number)
        matches = (day.day in days, (day.weekday() + 1) % 7 in weekdays)
        fits = all(matches) if day_star or weekday_star else any(matches)
        if day.month in months and fits:
            found.append(day)
    return found


def our_days(expression: str) -> list[date]:
    cron = parse_cron(expression, "UTC")
    midnight = datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp()
    end = midnight + LENGTH * 86400
    found = []
    slot = cron.next_after(midnight - 1)
    while slot < end:
        found.append(datetime.fromtimestamp(slot, UTC).date())
        slot = cron.next_after(slot)
    return found


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    """Return fields as robfig/cron accepts them."""
    number = st.integers(low, high)
    step = st.integers(1, high + 3)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    items = (
        st.sampled_from(["*", "?"])
        | number.map(str)
        | spans
        | st.tuples(st.sampled_from(["*", "?"]), step).map(lambda p: f"{p[0]}/{p[1]}")
        | st.tuples(number, step).map(lambda p: f"{p[0]}/{p[1]}")
        | st.tuples(spans, step).map(lambda p: f"{p[0]}/{p[1]}")
    )
    return st.lists(items, min_size=1, max_size=3).map(",".join)


@settings(max_examples=examples(150), deadline=None)
@given(fields(1, 31), fields(1, 12), fields(0, 6) | st.sampled_from(DAYS))
def test_a_cron_job_is_due_on_the_days_on_which_kubernetes_runs_it(
    days: str, months: str, weekdays: str
) -> None:
    expression = f"7 3 {days} {months} {weekdays}"

    converted = of_kubernetes(expression).settings["schedule"]

    assert our_days(str(converted)) == robfig_days(expression)


@settings(max_examples=examples(150), deadline=None)
@given(fields(0, 59), fields(0, 23))
def test_a_cron_job_is_due_at_the_times_at_which_kubernetes_runs_it(
    minutes: str, hours: str
) -> None:
    text = str(of_kubernetes(f"{minutes} {hours} * * *").settings["schedule"])
    cron = parse_cron(text, "UTC")
    day = datetime(2027, 5, 4, tzinfo=UTC).timestamp()
    due: list[float] = []
    while (slot := cron.next_after(due[-1] if due else day - 1)) < day + 86400:
        due.append(slot)

    assert due == [
        day + hour * 3600 + minute * 60
        for hour in sorted(robfig_field(hours, 0, 23)[0])
        for minute in sorted(robfig_field(minutes, 0, 59)[0])
    ]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("0 0 * * *", {"schedule": "0 0 * * *"}),
        ("0 0 ? * ?", {"schedule": "0 0 * * *"}),
        ("  15\t4 * * MON-FRI ", {"schedule": "15 4 * * MON-FRI"}),
        ("0 0 */2 * 1", {"schedule": "0 0 1-31/2 * 1"}),
        ("0 0 1 * */2", {"schedule": "0 0 1 * 0-6/2"}),
        ("0 0 * * 5/2", {"schedule": "0 0 * * 5-6/2"}),
        ("0 0 1,* * 1", {"schedule": "0 0 * * 1"}),
        ("0 0 1-31 * 1", {"schedule": "0 0 * * *"}),
        ("@daily", {"schedule": "@daily"}),
        ("@every 90m", {"every": "1h30m"}),
        ("@every 1.5h", {"every": "1h30m"}),
        ("@every 1h0m30s", {"every": "1h30s"}),
        ("@every 100ms", {"every": "1s"}),
        (
            "TZ=Asia/Tokyo 0 9 * * *",
            {"schedule": "0 9 * * *", "timezone": "Asia/Tokyo"},
        ),
        ("CRON_TZ=UTC @daily", {"schedule": "@daily", "timezone": "UTC"}),
    ],
)
def test_schedules_of_kubernetes_are_written_as_ours(
    text: str, settings: dict[str, object]
) -> None:
    assert of_kubernetes(text).settings == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 * * 7", "day of week '7' is out of range for Kubernetes, which has 0-6"),
        ("0 0 * * fri-7", "write 0 or sun for Sunday"),
        ("0 24 * * *", "hour '24' is out of range"),
        ("0 0 0 * * *", "has 6 fields"),
        ("0 0 L * *", "cannot read day of month 'L'"),
        ("0 0 * * 1#2", "cannot read day of week '1#2'"),
        ("H 0 * * *", "cannot read minute 'H'"),
        ("5-1 * * * *", "runs backwards"),
        ("*/0 * * * *", "has a step of 0"),
        ("1-2-3 * * * *", "cannot read minute '1-2-3'"),
        ("1/2/3 * * * *", "cannot read minute '1/2/3'"),
        (", * * * *", "has no value"),
        ("", "has 0 fields"),
        ("@reboot", "Kubernetes does not know '@reboot'"),
        ("@Daily", "Kubernetes does not know '@Daily': write @daily"),
        ("@every 1 hour", "is not a duration of Go"),
        ("@every 1d", "is not a duration of Go"),
        ("@every 900000h", "is too long"),
        ("TZ=Mars/Base 0 0 * * *", "unknown time zone 'Mars/Base'"),
        ("TZ=UTC @every 1h", "has a time zone"),
    ],
)
def test_what_kubernetes_refuses_is_refused(text: str, message: str) -> None:
    with pytest.raises(
        ValueError, match=message.replace("(", r"\(").replace("#", r"\#")
    ):
        of_kubernetes(text)


@given(st.text(st.sampled_from("0123456789*/-,?@ TZ=evrydailyhms\n\x00٣")))
def test_any_text_is_a_schedule_or_an_error(text: str) -> None:
    try:
        timing = of_kubernetes(text)
    except ValueError:
        return
    schedule = timing.settings.get("schedule")
    if schedule is not None:
        parse_cron(str(schedule), "UTC")


@pytest.mark.parametrize(
    ("text", "library", "notes"),
    [
        ("0 0 1 * *", "node-cron", 0),
        ("0 */15 * * * *", "node-cron", 0),
        ("0 0 */2 * *", "node-cron", 1),
        ("0 0 1-7 * 1", "node-cron", 1),
        ("0 0 * * 1", "APScheduler", 1),
        ("0 0 * * mon", "APScheduler", 0),
        ("0 0 * * */2", "APScheduler", 0),
        ("0 0 1-7 * mon", "APScheduler", 1),
    ],
)
def test_differences_of_a_library_are_noted(
    text: str, library: str, notes: int
) -> None:
    assert len(of_cron(text, library).notes) == notes
