"""What `afterrun check` warns of: it is right, and may not mean what it looks like."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import lint, parse, warnings
from afterrun_exporter.core.schedule import parse_cron
from tests.core.jobs import at

NOW = at("22 02:00")


def warned(job: str) -> list[str]:
    """Return the warnings about a file with a *job*, which stands on line 2."""
    text = f"jobs:\n  a: {{{job}}}\n"
    return [*map(str, warnings(text, parse(text), NOW))]


@pytest.mark.parametrize(
    ("schedule", "warning"),
    [
        (
            "*/90 * * * *",
            (
                "'*/90' is not every 90 minutes: it is minute 0 alone; for that, write "
                "every: 90m"
            ),
        ),
        (
            "*/31 * * * *",
            (
                "'*/31' is not every 31 minutes: minute 0 comes 29 after minute 31; for that, "
                "write every: 31m"
            ),
        ),
        (
            "*/7 9 * * *",
            "'*/7' is not every 7 minutes: minute 0 comes 4 after minute 56",
        ),
        (
            "0 */5 * * *",
            (
                "'*/5' is not every 5 hours: hour 0 comes 4 after hour 20; for that, write "
                "every: 5h"
            ),
        ),
        ("0 0 */31 * *", "'*/31' is not every 31 days: it is day of month 1 alone"),
        (
            "0 0 */2 * *",
            "'*/2' starts again on the 1st of each month, so days are not always 2 apart",
        ),
        (
            "0 0 1 */5 *",
            "'*/5' is not every 5 months: month 1 comes 2 after month 11",
        ),
        (
            "0 3 1-7 * 1",
            (
                "day of month '1-7' and day of week '1': a day that matches either is enough; "
                "to require both, the job must check one of them itself"
            ),
        ),
        (
            "0 3 */1 * 1",
            None,
        ),
        (
            "0 3 1 * *,1",
            None,
        ),
        ("0 0 30 2 *", "'0 0 30 2 *' matches no future day"),
    ],
)
def test_a_schedule_that_does_not_do_what_it_looks_like(
    schedule: str, warning: str | None
) -> None:
    expected = [] if warning is None else [f"2: jobs.a.schedule: {warning}"]

    assert warned(f'schedule: "{schedule}"') == expected


@pytest.mark.parametrize(
    ("keys", "warnings"),
    [
        ("oncalendar: '2026-01-01'", ["oncalendar: '2026-01-01' matches no future day"]),
        ("oncalendar: '*-02-30'", ["oncalendar: '*-02-30' matches no future day"]),
        ("oncalendar: [daily, '2026-01-01']", ["oncalendar[1]: '2026-01-01' matches no future day"]),
        ("schedule: ['@daily', '*/90 * * * *']", ["schedule[1]: '*/90' is not every 90 minutes: it is minute 0 alone; for that, write every: 90m"]),
        ("schedule: '0 2 25 12 *', exclude: 12-25", ["schedule: all days of '0 2 25 12 *' are excluded"]),
        ("oncalendar: [Sat, Mon], exclude: saturday", ["oncalendar[0]: all days of 'Sat' are excluded"]),
        ("schedule: '0 2 * * MON#1'", []),
        ("schedule: '0 2 1,L * *'", []),
        ("schedule: '0 2 1 * MON#1'", ["schedule: day of month '1' and day of week 'MON#1': a day that matches either is enough; to require both, the job must check one of them itself"]),
        ("schedule: '@daily', exclude: sunday", []),
        ("oncalendar: [daily, 'Mon *:*:0/7']", []),
    ],
)  # fmt: skip
def test_lists_and_excluded_days_are_checked_one_by_one(
    keys: str, warnings: list[str]
) -> None:
    assert warned(keys) == [f"2: jobs.a.{warning}" for warning in warnings]


def test_two_days_of_which_one_starts_with_a_star_must_both_match() -> None:
    assert warned('schedule: "0 3 */7 * 1"')[-1] == (
        "2: jobs.a.schedule: day of month '*/7' and day of week '1': a day must match "
        "both, as one of them starts with *"
    )


@pytest.mark.parametrize(
    ("zone", "offset", "meant"),
    [
        ("EST", "-05", "America/New_York"),
        ("MST", "-07", "America/Denver"),
        ("HST", "-10", "Pacific/Honolulu"),
    ],
)
def test_a_zone_without_daylight_saving_time(
    zone: str, offset: str, meant: str
) -> None:
    assert warned(f'schedule: "0 2 * * *", timezone: {zone}') == [
        (
            f"2: jobs.a.timezone: {zone} is UTC{offset} all year, without daylight saving "
            f"time; {meant} has it"
        )
    ]


@pytest.mark.parametrize(
    ("early", "told"), [("0s", "0s"), ("1s", "1s"), ("1999ms", "1.999s")]
)
def test_hardly_any_early_needs_clocks_that_agree(early: str, told: str) -> None:
    (warning,) = warned(f'schedule: "0 2 * * *", early: {early}')

    assert warning.startswith(
        f"2: jobs.a.early: with {told}, a run that ends a second or two before"
    )
    assert warned('schedule: "0 2 * * *", early: 2s') == []
    assert warned(f"every: 1h, early: {early}") == []


@pytest.mark.parametrize(
    "schedule",
    [
        "@daily", "@weekly", "*/15 * * * *", "*/60 * * * *", "0 */12 * * *",
        "0 */24 * * *", "0 0 * * */7", "1-59/2 * * * *", "0 0 1 * *", "0 0 * * 1",
        "0 0 1 * 0-7", "0 0 1-31 * 1", "0 0 1 */3 *",
    ],
)  # fmt: skip
def test_a_schedule_that_does_what_it_looks_like_is_not_warned_of(
    schedule: str,
) -> None:
    assert warned(f'schedule: "{schedule}"') == []


@given(step=st.integers(1, 120), hourly=st.booleans())
def test_a_step_is_warned_of_if_and_only_if_it_is_not_even(
    step: int, hourly: bool
) -> None:
    """By the slots that the schedule has."""
    text = f"0 */{step} * * *" if hourly else f"*/{step} * * * *"
    cron, slots = parse_cron(text, "UTC"), [at("22 00:00") - 1]
    for _ in range(200):
        slots.append(cron.next_after(slots[-1]))
    unit = 3600 if hourly else 60
    gaps = {after - before for before, after in itertools.pairwise(slots[1:])}

    assert (warned(f'schedule: "{text}"') == []) is (gaps == {step * unit})


def test_labels_that_targets_have_on_kubernetes_are_told() -> None:
    text = "labels: [team, namespace, endpoint]\njobs: {a: {every: 1h}}\n"

    first, second = (str(one) for one in warnings(text, parse(text), NOW))
    assert first == (
        "1: labels[1]: on Kubernetes, Prometheus gives targets a label 'namespace' of "
        "its own, and this one becomes exported_namespace; choose another key, or set "
        "honorLabels: true"
    )
    assert "exported_endpoint" in second


def test_a_schedule_of_many_jobs_is_checked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checking it for each of 100,000 jobs would take a second."""
    checked: list[object] = []

    def check(schedule: object, _: float) -> tuple[str, ...]:
        checked.append(schedule)
        return ()

    monkeypatch.setattr(lint, "of_schedule", check)
    text = "jobs:\n" + "".join(
        f"  j{n}: {{schedule: '7 3 * * 4'}}\n" for n in range(99)
    )

    assert warnings(text, parse(text), NOW) == ()
    assert len(checked) == 1
