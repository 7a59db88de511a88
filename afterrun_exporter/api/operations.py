"""The operations of the HTTP API, for routes, documentation and authorization.

Reports of jobs are in `report_operations`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from afterrun_exporter.api import (
    backtest_models,
    report_models,
    request_models,
    response_models,
    state_models,
)
from afterrun_exporter.api.operation import HTML, PREFIX, SVG, Operation
from afterrun_exporter.auth import endpoints
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
    endpoint=endpoints.JOBS,
    summary="Jobs by name, a page at a time",
    query=request_models.JobsQuery,
    answer=response_models.Jobs,
    paged_by="after",
    leads_to=("job", "/jobs/0/name"),
)
JOB: Final = Operation(
    name="getJob",
    endpoint=endpoints.JOB,
    summary="One job, with its rules, last metrics and counters",
    answer=response_models.WholeJob,
    problems=(UnknownJobError,),
)
PAUSE: Final = Operation(
    name="pauseJob",
    endpoint=endpoints.PAUSE,
    summary="Pause monitoring of a job, for a time or until it is resumed",
    body=request_models.Pause,
    answer=response_models.WholeJob,
    problems=(UnknownJobError, StorageError),
)
RESUME: Final = Operation(
    name="resumeJob",
    endpoint=endpoints.RESUME,
    summary="Resume monitoring of a paused job",
    answer=response_models.WholeJob,
    problems=(UnknownJobError, ConfiguredJobError, StorageError),
)
DISABLE: Final = Operation(
    name="disableJob",
    endpoint=endpoints.DISABLE,
    summary="Disable a job until it is enabled: a pause without an end",
    answer=response_models.WholeJob,
    problems=(UnknownJobError, StorageError),
)
ENABLE: Final = Operation(
    name="enableJob",
    endpoint=endpoints.ENABLE,
    summary="Enable a job, which ends its pause",
    answer=response_models.WholeJob,
    problems=(UnknownJobError, ConfiguredJobError, StorageError),
)
STATE: Final = Operation(
    name="getState",
    endpoint=endpoints.STATE,
    summary="Open runs, jobs by state, and the next slots",
    query=request_models.StateQuery,
    answer=state_models.State,
)
REMOVE_JOB: Final = Operation(
    name="removeJob",
    endpoint=endpoints.REMOVE_JOB,
    summary="Remove an auto-registered job; its next report registers it again",
    status=204,
    problems=(UnknownJobError, ConfiguredJobError, StorageError),
)
RUNS: Final = Operation(
    name="listRuns",
    endpoint=endpoints.RUNS,
    summary="The finished runs of a job, the newest first, a page at a time",
    query=request_models.RunsQuery,
    answer=response_models.Runs,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
ALL_RUNS: Final = Operation(
    name="listAllRuns",
    endpoint=endpoints.ALL_RUNS,
    summary="The finished runs of all jobs, the last recorded one first, a page at a time",
    query=request_models.AllRunsQuery,
    answer=response_models.AllRuns,
    problems=(UnreadableStorageError,),
    paged_by="before",
)
OPEN_RUNS: Final = Operation(
    name="listOpenRuns",
    endpoint=endpoints.OPEN_RUNS,
    summary="The open runs of all jobs, by the name of the job, a page at a time",
    query=request_models.OpenRunsQuery,
    answer=response_models.OpenRuns,
    paged_by="after",
)
BACKTEST: Final = Operation(
    name="tryRules",
    endpoint=endpoints.BACKTEST,
    summary="Backtest rules on the recorded runs of a job; changes nothing",
    body=backtest_models.RulesToTry,
    answer=backtest_models.BacktestResult,
    problems=(UnknownJobError, UnreadableStorageError),
)
JOB_ALERTS: Final = Operation(
    name="listJobAlerts",
    endpoint=endpoints.JOB_ALERTS,
    summary="The recorded alerts of a job, the newest first, a page at a time",
    query=request_models.JobAlertsQuery,
    answer=response_models.Alerts,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
JOB_RECEIVERS: Final = Operation(
    name="listJobReceivers",
    endpoint=endpoints.JOB_RECEIVERS,
    summary="Receivers of a job, except those in afterrun.yml",
    answer=response_models.JobReceivers,
    problems=(UnknownJobError, UnreadableStorageError),
)
ADD_RECEIVER: Final = Operation(
    name="addReceiver",
    endpoint=endpoints.ADD_RECEIVER,
    summary="Add a receiver to a job",
    body=request_models.NewReceiver,
    answer=response_models.AddedReceiver,
    status=201,
    problems=(UnknownJobError, ReceiverExistsError, *_UNAVAILABLE),
    location=f"{PREFIX}/receivers/{{id}}",
    leads_to=("id", "/id"),
)
RECEIVERS: Final = Operation(
    name="listReceivers",
    endpoint=endpoints.RECEIVERS,
    summary="The receivers of all jobs",
    answer=response_models.Receivers,
    leads_to=("id", "/receivers/0/id"),
    problems=(UnreadableStorageError,),
)
RECEIVER: Final = Operation(
    name="getReceiver",
    endpoint=endpoints.RECEIVER,
    summary="One receiver",
    answer=response_models.Receiver,
    problems=(UnknownReceiverError, UnreadableStorageError),
)
REMOVE_RECEIVER: Final = Operation(
    name="removeReceiver",
    endpoint=endpoints.REMOVE_RECEIVER,
    summary="Remove a receiver",
    status=204,
    problems=(UnknownReceiverError, *_UNAVAILABLE),
)
ALERTS: Final = Operation(
    name="listAlerts",
    endpoint=endpoints.ALERTS,
    summary="Recorded alerts of all jobs, the newest first, a page at a time",
    query=request_models.AlertsQuery,
    answer=response_models.Alerts,
    problems=(UnknownJobError, UnreadableStorageError),
    paged_by="before",
)
ALERT_STATS: Final = Operation(
    name="countAlerts",
    endpoint=endpoints.ALERT_STATS,
    summary="Statistics of the alerts since a time",
    query=request_models.StatsQuery,
    answer=response_models.Stats,
    problems=(UnreadableStorageError,),
)
TEST_ALERT: Final = Operation(
    name="testAlert",
    endpoint=endpoints.TEST_ALERT,
    summary="Open a test alert, which ends by itself",
    body=request_models.TestAlert,
    answer=response_models.OpenedTest,
    status=202,
    problems=(UnknownJobError, StorageError),
)
CHECK: Final = Operation(
    name="checkConfiguration",
    endpoint=endpoints.CHECK,
    summary="Check an afterrun.yml: reports every problem, each with its line",
    body=request_models.Document,
    answer=response_models.Checked,
    text=("config", ("application/yaml", "text/plain")),
    most=4 * 2**20,
)
REPORT: Final = Operation(
    name="getReport",
    endpoint=endpoints.PERIOD_REPORT,
    summary="Runs, success, punctuality, durations and time broken over a period",
    query=request_models.ReportQuery,
    answer=report_models.PeriodReport,
    problems=(UnreadableStorageError,),
)
DOCUMENT: Final = Operation(
    name="getDocument",
    endpoint=endpoints.DOCUMENT,
    summary="This API as an OpenAPI 3.1 document",
    answer=response_models.Document,
)
REFERENCE: Final = Operation(
    name="getReference",
    endpoint=endpoints.REFERENCE,
    summary="The API reference as a web page",
    media=HTML,
)
INDEX: Final = replace(REFERENCE, name="getIndex", endpoint=endpoints.INDEX)
BADGE: Final = Operation(
    name="getBadge",
    endpoint=endpoints.BADGE,
    summary="The state of a job as an SVG picture, also for unknown jobs",
    media=SVG,
)

#: All operations except reports of jobs.
OPERATIONS: Final = (
    *(JOBS, JOB, PAUSE, RESUME, DISABLE, ENABLE, REMOVE_JOB, STATE),
    *(RUNS, ALL_RUNS, OPEN_RUNS, BACKTEST, JOB_ALERTS, JOB_RECEIVERS, ADD_RECEIVER),
    *(RECEIVERS, RECEIVER, REMOVE_RECEIVER, ALERTS, ALERT_STATS, TEST_ALERT),
    *(REPORT, CHECK, DOCUMENT, REFERENCE, INDEX, BADGE),
)
