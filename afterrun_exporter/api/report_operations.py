"""Reports of jobs for the OpenAPI document; `ingest` implements them."""

from __future__ import annotations

from typing import Final

from pydantic import Field, RootModel

from afterrun_exporter.api import response_models
from afterrun_exporter.api.operation import Operation
from afterrun_exporter.auth import endpoints
from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.errors import (
    HistoryError,
    PingError,
    StorageError,
    UnknownJobError,
)
from afterrun_exporter.ingest.reports import Report


class BrokenRule(response_models.Answer):
    """A rule that the reported run broke."""

    rule: str
    metric: str
    value: response_models.Value | None


class AcceptedReport(response_models.Answer):
    """An accepted report, which is on disk."""

    job: str
    kind: Kind
    run_id: str | None
    outcome: Outcome | None = Field(description="null unless a run has ended")
    duplicate: bool = Field(
        description="the report was a duplicate; the other fields describe the recorded one"
    )
    warnings: list[str]
    violations: list[BrokenRule]
    deadline: response_models.Time | None = Field(description="of the next run")


class RejectedReport(response_models.Problem):
    """A rejected report, with the reason."""

    job: str
    recorded: bool = Field(description="as a run with outcome `invalid`")
    outcome: str | None


class ReportResults(response_models.Answer):
    """Results for many reports."""

    accepted: int
    rejected: int
    results: list[AcceptedReport | RejectedReport] = Field(
        description="in the order of the reports"
    )


class ReportOfJob(Report):
    """A report in a batch."""

    job: str


class Reports(RootModel[list[ReportOfJob]]):
    """Many reports in one transaction."""


PING: Final = Operation(
    name="ping",
    endpoint=endpoints.PING,
    summary="Report a successful run",
    answer=AcceptedReport,
    problems=(PingError, HistoryError, UnknownJobError, StorageError),
)
REPORT: Final = Operation(
    name="report",
    endpoint=endpoints.REPORT,
    summary="Report a run; without a body, a successful one",
    body=Report,
    answer=AcceptedReport,
    problems=(PingError, HistoryError, UnknownJobError, StorageError),
)
REPORT_MANY: Final = Operation(
    name="reportMany",
    endpoint=endpoints.REPORT_MANY,
    summary="Report many runs in one transaction; invalid reports do not affect the others",
    body=Reports,
    answer=ReportResults,
    problems=(PingError, HistoryError, StorageError),
    text=("reports", ("application/x-ndjson",)),
)
PINGS: Final = (PING, REPORT, REPORT_MANY)
