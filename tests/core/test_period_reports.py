"""Reports: periods, ratios, percentiles, and the time in which jobs were broken."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from io import StringIO
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.daily_figures import (
    DAY,
    OUTCOMES,
    BrokenSpan,
    DayTotals,
    JobFigures,
)
from afterrun_exporter.core.durations import (
    count_marks,
    duration_of,
    mark_of,
    percentiles,
    percentiles_of,
)
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.period_report_html import document, fragment, summary
from afterrun_exporter.core.period_report_texts import (
    duration,
    percent,
    to_csv,
    to_markdown,
)
from afterrun_exporter.core.period_reports import (
    Period,
    Report,
    ReportBuilder,
    decode_report,
    encode_report,
    parse_period,
)
from afterrun_exporter.core.schedule import Every

#: 2026-11-21, a Saturday, at noon.
NOON: Final = 1_795_262_400.0
TODAY: Final = 20_778
PERIOD: Final = Period(TODAY - 1, TODAY)
START: Final = PERIOD.first * DAY
HOURLY: Final = Job(name="backup", schedule=Every(3600), project="shop", tags=("db",))


def counts(**runs: int) -> tuple[int, ...]:
    return tuple(runs.get(one.value, 0) for one in OUTCOMES)


def figures(job: str, missed: int = 0, late: int = 0, **runs: int) -> JobFigures:
    return JobFigures(
        job, counts(**runs), missed, late, mark_of(60.0) * sum(runs.values())
    )


def built(
    *jobs: tuple[Job, JobFigures | None],
    spans: Mapping[str, list[BrokenSpan]] | None = None,
    limit: int = 9,
) -> Report:
    builder = ReportBuilder(PERIOD, NOON, 0)
    for job, one in jobs:
        builder.add(job.name, job, one, (spans or {}).get(job.name, ()))
    return builder.report([DayTotals(TODAY, counts(ok=3, fail=1), 2)], limit)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1d", 0, 0),
        ("30d", -29, 0),
        ("2026-11-01..2026-11-15", -20, -6),
        ("2026-11-20..2026-12-31", -1, 0),
        ("2026-11", -20, 0),
        ("2026-02", -293, -266),
        ("last-week", -12, -6),
        ("last-month", -51, -21),
    ],
)
def test_a_period_is_whole_days_up_to_today(text: str, first: int, last: int) -> None:
    assert parse_period(text, NOON) == Period(TODAY + first, TODAY + last)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a period"),
        ("d", "is not a period"),
        ("0d", "is not a period"),
        ("9999d", "is not a period"),
        ("2026-13", "is not a period"),
        ("week", "is not a period"),
        ("2026-11-02..2026-11-01", "ends before it begins"),
        ("2026-12", "is in the future"),
        ("0001-01-01..2026-11-21", "has 739941 days: use at most 3660"),
        ("2016-11-13..9999-12-31", "has 3661 days"),
    ],
)
def test_another_text_is_no_period(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_period(text, NOON)


def test_canceled_and_skipped_runs_are_not_judged() -> None:
    total = built(
        (HOURLY, figures("backup", ok=6, fail=2, canceled=5, skipped=1))
    ).total

    assert (total.runs, total.ok, total.fail, total.canceled) == (8, 6, 2, 5)
    assert total.ok_ratio == 0.75


def test_a_late_run_and_a_slot_without_a_run_are_not_on_time() -> None:
    """Ten slots: seven in time, one skipped in time, one late, one without a run."""
    total = built((HOURLY, figures("backup", missed=2, late=1, ok=8, skipped=1))).total

    assert (total.due, total.missed, total.on_time_ratio) == (10, 2, 0.8)


def test_a_job_without_a_schedule_has_no_slots() -> None:
    total = built((Job(name="x"), figures("x", ok=3))).total

    assert (total.due, total.on_time_ratio) == (0, None)


def test_overlapping_conditions_count_once() -> None:
    """Only the part within the period, and up to now."""
    spans = [
        BrokenSpan(START - 100, START + 100),
        BrokenSpan(START + 50, START + 150),
        BrokenSpan(START + 60, START + 70),
        BrokenSpan(NOON - 10, None),
    ]

    total = built((HOURLY, None), spans={"backup": spans}).total

    assert (total.broken_seconds, total.incidents) == (160.0, 2)


def test_jobs_are_grouped_by_project_tag_and_label() -> None:
    shop = figures("backup", ok=1)
    other = Job(name="sync", tags=("db", "big"), labels=(("team", "data"), ("env", "")))

    report = built((HOURLY, shop), (other, figures("sync", fail=1)))

    assert [
        (one.by, [(r.name, r.jobs, r.ok) for r in one.rows]) for one in report.groups
    ] == [
        ("project", [("shop", 1, 1)]),
        ("tag", [("big", 1, 0), ("db", 2, 1)]),
        ("label:team", [("data", 1, 0)]),
    ]


def test_the_worst_jobs_come_first() -> None:
    def job(name: str) -> Job:
        return Job(name=name)

    report = built(
        (job("fine"), figures("fine", ok=9)),
        (job("missed"), figures("missed", missed=1)),
        (job("failed"), figures("failed", fail=3)),
        (job("broken"), None),
        spans={"broken": [BrokenSpan(START, START + 5)]},
        limit=3,
    )

    assert [row.name for row in report.worst] == ["broken", "missed", "failed"]
    assert [row.name for row in report.jobs] == ["broken", "missed", "failed"]
    assert [(d.date, d.ok, d.not_ok, d.missed) for d in report.days] == [
        ("2026-11-20", 0, 0, 0),
        ("2026-11-21", 3, 1, 2),
    ]


@given(st.lists(st.floats(0.002, 1e6), min_size=1, max_size=200))
def test_percentiles_are_exact_to_three_percent(seconds: list[float]) -> None:
    marks = count_marks("".join(map(mark_of, seconds)))

    results = percentiles(marks, (0.5, 0.95, 1.0))
    assert results == percentiles_of("".join(map(mark_of, seconds)), (0.5, 0.95, 1.0))

    ordered = sorted(seconds)
    ranks = [-(-len(seconds) * share // 100) for share in (50, 95, 100)]
    for value, rank in zip(results, ranks, strict=True):
        assert value == pytest.approx(ordered[max(rank, 1) - 1], rel=0.03)


def test_durations_beyond_the_range_are_at_its_ends() -> None:
    assert duration_of(ord(mark_of(0.0))) == 0.0
    assert duration_of(ord(mark_of(1e300))) > 1e9
    assert percentiles({}, (0.5,)) == [None]


def test_a_report_is_the_same_after_encoding() -> None:
    report = built((HOURLY, figures("backup", ok=1)))

    assert decode_report(encode_report(report)) == report


def test_groups_of_very_many_runs_are_sampled() -> None:
    """The percentiles of the job itself are not."""
    builder = ReportBuilder(PERIOD, NOON, 10_000_000)
    marks = mark_of(1.0) * 900 + mark_of(100.0) * 100
    one = JobFigures("backup", counts(ok=1000), 0, 0, marks, ((4, mark_of(1.0)),))
    for n in range(40):
        builder.add(f"job-{n}", HOURLY, one._replace(job=f"job-{n}"), ())

    report = builder.report([], 1)

    assert report.total.p50 == report.jobs[0].p50 == 1.0
    assert report.total.p95 == report.jobs[0].p95 == 100.0


NASTY: Final = built(
    (
        Job(name="a", project='<b>"x"|y', labels=(("team", "=1+1"),)),
        figures("a", ok=1999, fail=1, missed=1),
    ),
    spans={"a": [BrokenSpan(START, START + 90_061)]},
)


def test_as_csv_it_has_a_line_for_each_row_and_no_formula() -> None:
    lines = list(csv.DictReader(StringIO(to_csv(NASTY))))

    assert [(one["by"], one["name"]) for one in lines] == [
        ("total", ""),
        ("project", '<b>"x"|y'),
        ("label:team", "'=1+1"),
        ("job", "a"),
    ]
    assert {one["runs"] for one in lines} == {"2000"}


@pytest.mark.parametrize("jobs", [0, 1, 999, 1000, 2001])
def test_a_report_of_any_length_is_read_as_it_was_written(jobs: int) -> None:
    every = [Job(name=f"job-{n}") for n in range(jobs)]

    report = built(*((job, figures(job.name, ok=1)) for job in every), limit=9999)

    assert len(report.jobs) == jobs
    assert decode_report(encode_report(report)) == report


def test_as_markdown_it_is_tables() -> None:
    text = to_markdown(NASTY)

    assert "# Jobs from 2026-11-20 to 2026-11-21\n" in text
    assert '| \\<b>"x"\\|y | 1 | 2,000 | 99.9% |' in text
    assert "## By label team\n" in text


def test_as_html_it_is_one_page_without_scripts_and_with_charts() -> None:
    page = document(NASTY)

    assert page.count("<svg") == 2
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "1d1h" in page
    assert not re.search(r"<script|https?://|\son\w+=", page)


def test_the_summary_leaves_out_what_is_unknown() -> None:
    missed = built((HOURLY, figures("backup", missed=2)))
    fine = built((Job(name="x"), figures("x", ok=1)), (Job(name="y"), None))

    assert summary(missed) == "1 job, 0 runs, 0.0% of 2 slots on time."
    assert summary(fine) == "2 jobs, 1 run, 100% of them ok."


def test_a_removed_job_is_in_no_group() -> None:
    builder = ReportBuilder(PERIOD, NOON, 0)
    builder.add("gone", None, figures("gone", ok=1), ())

    report = builder.report([], 9)

    assert (report.groups, report.total.ok) == ([], 1)


def test_on_a_page_jobs_are_links_and_groups_are_not() -> None:
    html = fragment(NASTY, "../")

    # In the list of the worst ones, and in that of all.
    assert html.count("<a ") == html.count('<a href="../jobs/a">a</a>') == 2


def test_a_report_on_nothing_is_a_report() -> None:
    empty = ReportBuilder(PERIOD, NOON, 0).report([], 9)

    assert "no runs in this period" in document(empty)
    assert to_csv(empty).count("\n") == 2
    assert "| All jobs | 0 |" in to_markdown(empty)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, ""), (1.0, "100%"), (0.99999, "99.9%"), (0.9994, "99.9%"), (0.0, "0.0%")],
)
def test_a_percentage_is_100_only_if_nothing_is_missing(
    ratio: float | None, text: str
) -> None:
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.25, "250ms"), (59.6, "1m"), (3661.0, "1h1m"), (90_061.0, "1d1h")],
)
def test_a_duration_has_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
