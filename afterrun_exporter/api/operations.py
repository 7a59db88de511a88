"""The operations of the HTTP API, for routes, documentation and authorization.

Reports of jobs are in `pings`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from afterrun_exporter.api import backtest_models, request_models, response_models
from afterrun_exporter.api.operation import HTML, PREFIX, SVG, Operation
from afterrun_exporter.errors import (
    AlertmanagerError,
    AlertmanagerRefusedError,
    ConfiguredJobError,
    GenerateError,
    ReceiverExistsError,
    StorageError,
    UnknownJobError,
    UnknownReceiverError,
    UnreadableStorageError,
)

_UNAVAILABLE: Final = (
    StorageError,
    GenerateError,
    AlertmanagerError,
    AlertmanagerRefusedError,
)

JOBS: Final = Operation(
    name="listJobs",
    method="GET",
    path=f"{PREFIX}/jobs",
    summary="Jobs by name, a page at a time",
    query=request_models.JobsQuery,
    body=request_models.NoBody,
    answer=response_models.Jobs,
    paged_by="after",
    leads_to=("job", "/jobs/0/name"),
)
JOB: Final = Operation(
    name="getJob",
    method="GET",
    path=f"{PREFIX}/jobs/{{job}}",
    summary="One job, with its rules, last metrics and counters",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.WholeJob,
    problems=(UnknownJobError,),
)
PAUSE: Final = Operation(
    name="pauseJob",
    method="POST",
    path=f"{PREFIX}/jobs/{{job}}/pause",
    summary="Pause monitoring of a job, for a time or until it is resumed",
    query=request_models.NoQuery,
    body=request_models.Pause,
    answer=response_models.WholeJob,
    problems=(UnknownJobError, StorageError),
)
RESUME: Final = Operation(
    name="resumeJob",
    method="POST",
    path=f"{PREFIX}/jobs/{{job}}/resume",
    summary="Resume monitoring of a paused job",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.WholeJob,
    problems=(UnknownJobError, StorageError),
)
REMOVE_JOB: Final = Operation(
    name="removeJob",
    method="DELETE",
    path=f"{PREFIX}/jobs/{{job}}",
    summary="Remove an auto-registered job; its next report registers it again",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Nothing,
    status=204,
    problems=(UnknownJobError, ConfiguredJobError, StorageError),
)
RUNS: Final = Operation(
    name="listRuns",
    method="GET",
    path=f"{PREFIX}/jobs/{{job}}/runs",
    summary="The finished runs of a job, the newest first, a page at a time",
    query=request_models.RunsQuery,
    body=request_models.NoBody,
    answer=response_models.Runs,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
BACKTEST: Final = Operation(
    name="tryRules",
    method="POST",
    path=f"{PREFIX}/jobs/{{job}}/backtest",
    summary="Backtest rules on the recorded runs of a job; changes nothing",
    query=request_models.NoQuery,
    body=backtest_models.RulesToTry,
    answer=backtest_models.BacktestResult,
    problems=(UnknownJobError, UnreadableStorageError),
)
JOB_ALERTS: Final = Operation(
    name="listJobAlerts",
    method="GET",
    path=f"{PREFIX}/jobs/{{job}}/alerts",
    summary="The recorded alerts of a job, the newest first, a page at a time",
    query=request_models.JobAlertsQuery,
    body=request_models.NoBody,
    answer=response_models.Alerts,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
JOB_RECEIVERS: Final = Operation(
    name="listJobReceivers",
    method="GET",
    path=f"{PREFIX}/jobs/{{job}}/receivers",
    summary="Receivers of a job, except those in afterrun.yml",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.JobReceivers,
    problems=(UnknownJobError, UnreadableStorageError),
)
ADD_RECEIVER: Final = Operation(
    name="addReceiver",
    method="POST",
    path=f"{PREFIX}/jobs/{{job}}/receivers",
    summary="Add a receiver to a job",
    query=request_models.NoQuery,
    body=request_models.NewReceiver,
    answer=response_models.AddedReceiver,
    status=201,
    problems=(UnknownJobError, ReceiverExistsError, *_UNAVAILABLE),
    location=f"{PREFIX}/receivers/{{id}}",
    leads_to=("id", "/id"),
)
RECEIVERS: Final = Operation(
    name="listReceivers",
    method="GET",
    path=f"{PREFIX}/receivers",
    summary="The receivers of all jobs",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Receivers,
    leads_to=("id", "/receivers/0/id"),
    problems=(UnreadableStorageError,),
)
RECEIVER: Final = Operation(
    name="getReceiver",
    method="GET",
    path=f"{PREFIX}/receivers/{{id}}",
    summary="One receiver",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Receiver,
    problems=(UnknownReceiverError, UnreadableStorageError),
)
REMOVE_RECEIVER: Final = Operation(
    name="removeReceiver",
    method="DELETE",
    path=f"{PREFIX}/receivers/{{id}}",
    summary="Remove a receiver",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Nothing,
    status=204,
    problems=(UnknownReceiverError, *_UNAVAILABLE),
)
ALERTS: Final = Operation(
    name="listAlerts",
    method="GET",
    path=f"{PREFIX}/alerts",
    summary="Recorded alerts of all jobs, the newest first, a page at a time",
    query=request_models.AlertsQuery,
    body=request_models.NoBody,
    answer=response_models.Alerts,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
ALERT_STATS: Final = Operation(
    name="countAlerts",
    method="GET",
    path=f"{PREFIX}/alerts/stats",
    summary="Statistics of the alerts since a time",
    query=request_models.StatsQuery,
    body=request_models.NoBody,
    answer=response_models.Stats,
    problems=(UnreadableStorageError,),
)
TEST_ALERT: Final = Operation(
    name="testAlert",
    method="POST",
    path=f"{PREFIX}/alerts/test",
    summary="Open a test alert, which ends by itself",
    query=request_models.NoQuery,
    body=request_models.TestAlert,
    answer=response_models.OpenedTest,
    status=202,
    problems=(UnknownJobError, StorageError),
)
CHECK: Final = Operation(
    name="checkConfiguration",
    method="POST",
    path=f"{PREFIX}/check",
    summary="Check an afterrun.yml: reports every problem, each with its line",
    query=request_models.NoQuery,
    body=request_models.Document,
    answer=response_models.Checked,
    text=("config", ("application/yaml", "text/plain")),
    most=4 * 2**20,
)
DOCUMENT: Final = Operation(
    name="getDocument",
    method="GET",
    path=f"{PREFIX}/openapi.json",
    summary="This API as an OpenAPI 3.1 document",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Document,
)
REFERENCE: Final = Operation(
    name="getReference",
    method="GET",
    path=f"{PREFIX}/docs",
    summary="The API reference as a web page",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Nothing,
    media=HTML,
)
INDEX: Final = replace(REFERENCE, name="getIndex", path=f"{PREFIX}/")
BADGE: Final = Operation(
    name="getBadge",
    method="GET",
    path="/badge/{job}.svg",
    summary="The state of a job as an SVG picture, also for unknown jobs",
    query=request_models.NoQuery,
    body=request_models.NoBody,
    answer=response_models.Nothing,
    media=SVG,
)

#: All operations except reports of jobs.
OPERATIONS: Final = (
    *(JOBS, JOB, PAUSE, RESUME, REMOVE_JOB),
    *(RUNS, BACKTEST, JOB_ALERTS, JOB_RECEIVERS, ADD_RECEIVER),
    *(RECEIVERS, RECEIVER, REMOVE_RECEIVER, ALERTS, ALERT_STATS, TEST_ALERT),
    *(CHECK, DOCUMENT, REFERENCE, INDEX, BADGE),
)
