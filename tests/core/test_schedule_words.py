"""A schedule is read without knowing crontab(5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core import crontab
from afterrun_exporter.core.schedule import Every, parse_cron, parse_oncalendar
from afterrun_exporter.core.schedule_words import in_words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("3-59/10 * * * *", "every 10 minutes from minute 3"),
        ("*/7 * * * *", "at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56 of hour 0 to 23"),
        ("*/10 8-18 * * mon-fri", "every 10 minutes from 08:00 to 18:59, Monday to Friday"),
        ("*/10 8 * * *", "every 10 minutes from 08:00 to 08:59"),
        ("*/10 8,18 * * *", "at minute 0, 10, 20, 30, 40 and 50 of hour 8 and 18"),
        ("@hourly", "every hour"),
        ("15 * * * *", "every hour at minute 15"),
        ("0,30 * * * *", "every 30 minutes"),
        ("0 */6 * * *", "every 6 hours"),
        ("20 */6 * * sun", "every 6 hours at minute 20, Sunday"),
        ("0 */12 * * *", "every day at 00:00 and 12:00"),
        ("30 8-18 * * *", "every hour from 08:30 to 18:30"),
        ("0 2 * * *", "every day at 02:00"),
        ("30 6 * * mon-fri", "Monday to Friday at 06:30"),
        ("0 2,14 * * *", "every day at 02:00 and 14:00"),
        ("0 1,2,5,7,9 * * *", "at minute 0 of hour 1, 2, 5, 7 and 9"),
        ("0,1 1,2,5 * * mon", "at minute 0 and 1 of hour 1, 2 and 5, Monday"),
        ("0 0 * * sat,sun", "Saturday and Sunday at 00:00"),
        ("0 0 * * 5-7", "Friday to Sunday at 00:00"),
        ("0 0 * * 0-2", "Sunday, Monday and Tuesday at 00:00"),
        ("0 0 * * mon,wed,fri", "Monday, Wednesday and Friday at 00:00"),
        ("@weekly", "Sunday at 00:00"),
        ("@monthly", "on day 1 of the month at 00:00"),
        ("@yearly", "on day 1 of the month in January at 00:00"),
        ("0 3 1-7,15,20 1,7 *", "on day 1 to 7, 15 and 20 of the month in January and July at 03:00"),
        ("0 0 * 6 *", "in June at 00:00"),
        # Cron runs on days that match either field, unless one begins with a star.
        ("0 0 13 * fri", "on day 13 of the month and every Friday at 00:00"),
        ("0 0 */2 * fri", "Friday on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month at 00:00"),
        ("0 0 1-31 * fri", "every day at 00:00"),
        ("0 0 13 * 0-6", "every day at 00:00"),
        ("0 0 13 * *", "on day 13 of the month at 00:00"),
        ("0 2 * * SUN#1", "the first Sunday of the month at 02:00"),
        ("0 2 * * MON#1,fri#L", "the first Monday and the last Friday of the month at 02:00"),
        ("0 2 * * mon,7#5", "Monday and the fifth Sunday of the month at 02:00"),
        ("0 2 L * *", "on the last day of the month at 02:00"),
        ("0 2 1,15,L * *", "on day 1 and 15 and the last day of the month at 02:00"),
        ("0 2 L 3 5L", "on the last day of the month and the last Friday of the month in March at 02:00"),
        ("0 2 */2 * 5L", "the last Friday of the month on day 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29 and 31 of the month at 02:00"),
    ],
)  # fmt: skip
def test_cron_is_in_words(expression: str, words: str) -> None:
    assert in_words(parse_cron(expression, "UTC")) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("daily", "every day at 00:00"),
        ("weekly", "Monday at 00:00"),
        ("quarterly", "on day 1 of the month in January, April, July and October at 00:00"),
        ("*:0/15", "every 15 minutes"),
        ("Mon..Fri 9..17:30", "every hour from 09:30 to 17:30, Monday to Friday"),
        ("Mon *-*-* 03:00 Europe/Berlin", "Monday at 03:00 (Europe/Berlin)"),
        ("*-*~1 23:00", "on the last day of the month at 23:00"),
        ("Sun *-*~7/1 03:00", "Sunday on the last 7 days of the month at 03:00"),
        ("*-*~3 03:00", "on day 3 from the end of the month at 03:00"),
        ("2026-12-24 08:00", "on day 24 of the month in December in 2026 at 08:00"),
        ("2027..2199-*-1", "on day 1 of the month from 2027 on at 00:00"),
        ("02:00:30", "every day at 02:00:30"),
        ("Sat 02:00:30", "Saturday at 02:00:30"),
        ("*:*:*", "every second"),
        ("Sat *:*:0/10", "every 10 seconds, Saturday"),
        ("*:*:5/10", "*:*:5/10"),
        ("8..17:*:0/10", "8..17:*:0/10"),
    ],
)  # fmt: skip
def test_an_expression_of_systemd_is_in_words(expression: str, words: str) -> None:
    assert in_words(parse_oncalendar(expression, "UTC")) == words


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        (
            ["0 9 * * 1-5", "0 10 * * 6"],
            "Monday to Friday at 09:00 and Saturday at 10:00",
        ),
        (
            ["0 9,17 * * 1-5", "0 10 * * 6"],
            "Monday to Friday at 09:00 and 17:00; and Saturday at 10:00",
        ),
    ],
)
def test_a_list_is_in_words(expressions: list[str], words: str) -> None:
    assert in_words(parse_cron(expressions, "UTC")) == words


@pytest.mark.parametrize(
    ("exclude", "words"),
    [
        ((), ""),
        (("holidays DE-BY",), ", except public holidays in DE-BY"),
        (("sunday", "12-25"), ", except Sundays and 25 December"),
        (("12-24..01-02",), ", except 24 December to 2 January"),
        (("2026-12-24..2027-01-02",), ", except 24 December 2026 to 2 January 2027"),
        (
            tuple(f"2026-12-0{day}" for day in range(1, 8)),
            (
                ", except 1 December 2026, 2 December 2026, 3 December 2026, "
                "4 December 2026 and 3 more"
            ),
        ),
    ],
)
def test_excluded_days_are_in_words(exclude: tuple[str, ...], words: str) -> None:
    assert (
        in_words(parse_cron("@daily", "UTC", exclude)) == f"every day at 00:00{words}"
    )


def test_a_period_is_in_words() -> None:
    assert in_words(Every(5400)) == "every 1h30m"


def test_no_schedule_has_no_words() -> None:
    assert in_words(None) == ""


def _fields() -> st.SearchStrategy[str]:
    def items(field: crontab.Field) -> st.SearchStrategy[str]:
        number = st.integers(field.low, field.high)
        pairs = st.tuples(number, number).map(sorted)
        item = st.one_of(
            st.just("*"),
            number.map(str),
            pairs.map("{0[0]}-{0[1]}".format),
            st.integers(1, 30).map("*/{}".format),
        )
        return st.lists(item, min_size=1, max_size=3).map(",".join)

    return st.tuples(*map(items, crontab.FIELDS)).map(" ".join)


@given(_fields())
def test_every_schedule_has_words(expression: str) -> None:
    assert in_words(parse_cron(expression, "UTC"))


@given(_fields(), _fields())
def test_equal_words_mean_equal_times(one: str, other: str) -> None:
    first, second = (parse_cron(text, "UTC") for text in (one, other))
    if in_words(first) == in_words(second):
        start = 1_790_000_000.0
        for _ in range(3):
            start = first.next_after(start)
            assert second.next_after(start - 1) == start


@given(
    st.sampled_from(["*", "1", "L", "1,15,L", "*/2", "*,L"]),
    st.lists(
        st.sampled_from(["1", "1-5", "SUN#1", "0#L", "5L", "7#5", "MON#2"]),
        min_size=1,
        max_size=3,
    ).map(",".join),
    st.sampled_from(["*", "1", "L", "1,15,L", "*/2", "*,L"]),
    st.sampled_from(["*", "sun#1", "0#1", "FRI#L", "5L", "1-5", "0L,MON#2"]),
)
def test_equal_words_of_days_in_their_month_mean_equal_times(
    days: str, week: str, other_days: str, other_week: str
) -> None:
    one, other = f"0 2 {days} * {week}", f"0 2 {other_days} * {other_week}"
    first, second = (parse_cron([text, "30 3 1 * *"], "UTC") for text in (one, other))
    if in_words(first) == in_words(second):
        start = 1_790_000_000.0
        for _ in range(12):
            start = first.next_after(start)
            assert second.next_after(start - 1) == start
