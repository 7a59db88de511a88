"""The reports of jobs, as the document has them; `ingest` takes them."""

from __future__ import annotations

from typing import Final

from pydantic import Field, RootModel

from afterrun_exporter.api import request_models, response_models
from afterrun_exporter.api.operation import Operation
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


class Taken(response_models.Answer):
    """What was made of a report; it is on disk."""

    job: str
    kind: Kind
    run_id: str | None
    outcome: Outcome | None = Field(description="null unless a run has ended")
    duplicate: bool = Field(description="the rest is what was recorded first")
    warnings: list[str]
    violations: list[BrokenRule]
    deadline: response_models.Time | None = Field(description="of the next run")


class NotTaken(response_models.Problem):
    """Why a report was not taken."""

    job: str
    recorded: bool = Field(description="as a run with outcome `invalid`")
    outcome: str | None


class AllTaken(response_models.Answer):
    """What was made of many reports."""

    accepted: int
    rejected: int
    results: list[Taken | NotTaken] = Field(description="in the order of the reports")


class ReportOfJob(Report):
    """A report among others."""

    job: str


class Reports(RootModel[list[ReportOfJob]]):
    """Many reports, in one transaction."""


PING: Final = Operation(
    name="ping",
    method="GET",
    path="/ping/{job}",
    summary="Report that a job ran, and ran well",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=Taken,
    problems=(PingError, HistoryError, UnknownJobError, StorageError),
)
REPORT: Final = Operation(
    name="report",
    method="POST",
    path="/ping/{job}",
    summary="Report a run; without a body, that it went well",
    query=request_models.NoQuery,
    body=Report,
    answer=Taken,
    problems=(PingError, HistoryError, UnknownJobError, StorageError),
)
REPORT_MANY: Final = Operation(
    name="reportMany",
    method="POST",
    path="/ping",
    summary="Report many runs in one transaction; a bad report harms no other",
    query=request_models.NoQuery,
    body=Reports,
    answer=AllTaken,
    problems=(PingError, HistoryError, StorageError),
    text=("reports", ("application/x-ndjson",)),
)
PINGS: Final = (PING, REPORT, REPORT_MANY)
