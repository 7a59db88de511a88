"""Models of responses with a report over a period."""

from __future__ import annotations

from pydantic import Field

from afterrun_exporter.api.response_models import Answer, Seconds, Time


class ReportFigures(Answer):
    """Figures of one or many jobs in a period."""

    jobs: int
    runs: int = Field(description="finished runs, except canceled and skipped ones")
    ok: int
    fail: int
    violated: int
    partial: int
    timeout: int
    invalid: int
    canceled: int
    skipped: int
    ok_ratio: float | None = Field(description="share of `runs`; null without any")
    due: int = Field(description="slots of jobs with a schedule")
    missed: int
    on_time_ratio: float | None = Field(
        description="share of `due` for which a run ended in time; null without any"
    )
    p50: Seconds | None = Field(description="median duration, to 3 percent")
    p95: Seconds | None
    p99: Seconds | None
    broken_seconds: Seconds = Field(
        description="time with an open condition of the job itself"
    )
    incidents: int = Field(description="number of such times")


class ReportRow(ReportFigures):
    """Figures of a job, or of a group of jobs."""

    name: str


class ReportGroup(Answer):
    """Figures by project, tag or the value of a label; at most 200 rows."""

    by: str = Field(description="project, tag or label:KEY")
    rows: list[ReportRow]


class ReportDay(Answer):
    """Runs of all jobs on one UTC day."""

    date: str
    ok: int
    not_ok: int
    missed: int


class PeriodReport(Answer):
    """A report on a period."""

    since: str = Field(description="the first UTC day")
    until: str = Field(description="the last UTC day")
    created: Time
    total: ReportFigures
    days: list[ReportDay] = Field(description="empty for a report with filters")
    groups: list[ReportGroup]
    worst: list[ReportRow] = Field(
        description="at most 10 jobs with problems, those broken longest first"
    )
    jobs: list[ReportRow] = Field(description="the worst first, at most `limit`")
