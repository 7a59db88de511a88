"""Names that other systems see. Changing one breaks dashboards."""

from __future__ import annotations

from typing import Final

DEFAULT_PORT: Final = 10707

# Labels. Not "job", because Prometheus adds its own "job" label to every series.
JOB: Final = "job_name"
SEVERITY: Final = "severity"
#: Severities that every configuration may have, from the worst one.
SEVERITIES: Final = ("critical", "warning", "info")
#: The severity of an alert that only inhibits others.
NO_SEVERITY: Final = "none"
RULE: Final = "rule"
METRIC: Final = "metric"
OP: Final = "op"
#: The unit of a bound in the text of an alert: "B", "s", "%" or "-" for none.
UNIT: Final = "detail_unit"
NO_UNIT: Final = "-"
#: "true" if one of the runs that a job failed with timed out; otherwise absent.
TIMED_OUT: Final = "timed_out"
TRUE: Final = "true"
STATE: Final = "state"
CONDITION: Final = "condition"
#: The meaning of a value in the text of an alert.
DETAIL: Final = "detail"
DETAIL_RUNS: Final = "runs"
DETAIL_OUTCOME: Final = "outcome"
DETAIL_SUCCESS: Final = "success"
DETAIL_EXIT_CODE: Final = "exit_code"
DETAIL_VALUE: Final = "value"
DETAIL_BOUND: Final = "bound"
DETAIL_LIMIT: Final = "limit"
DETAIL_USUAL: Final = "usual"
DETAIL_SILENT: Final = "silent"
#: A label for values in the text of an alert; it is dropped before sending.
CARRIED: Final = "alert_detail"
DIALECT: Final = "dialect"
CODE: Final = "code"
METHOD: Final = "method"
HANDLER: Final = "handler"
RESULT: Final = "result"
ALERTMANAGER: Final = "alertmanager"

# Label keys that users cannot declare: those of AfterRun, of Prometheus, and those with
# a meaning in other tools.
RESERVED_LABELS: Final = frozenset(
    {
        JOB,
        SEVERITY,
        RULE,
        METRIC,
        OP,
        UNIT,
        CONDITION,
        DETAIL,
        "alertname",
        "alertstate",
        "instance",
        "job",
        "pod",
        "project",
        "schedule",
        TIMED_OUT,
        "timezone",
        CARRIED,
    }
)

# Series that alerting rules record.
OPEN: Final = "afterrun:job_condition:open"
HELD_BACK: Final = "afterrun:job_alerts:held_back"
KNOWN: Final = "afterrun:job:known"

# Metric families of a job.
OF_JOB: Final = "afterrun_job_"
INFO: Final = "afterrun_job_info"
CREATED: Final = "afterrun_job_created_timestamp_seconds"
LAST_PING: Final = "afterrun_job_last_ping_timestamp_seconds"
LAST_START: Final = "afterrun_job_last_start_timestamp_seconds"
LAST_RUN: Final = "afterrun_job_last_run_timestamp_seconds"
LAST_SUCCESS: Final = "afterrun_job_last_success_timestamp_seconds"
LAST_FAILURE: Final = "afterrun_job_last_failure_timestamp_seconds"
LAST_RUN_SUCCESS: Final = "afterrun_job_last_run_success"
LAST_OUTCOME: Final = "afterrun_job_last_run_outcome"
LAST_DURATION: Final = "afterrun_job_last_duration_seconds"
METRIC_VALUE: Final = "afterrun_job_metric"
RULE_VIOLATED: Final = "afterrun_job_rule_violated"
RULE_THRESHOLD: Final = "afterrun_job_rule_threshold"
NEXT_RUN: Final = "afterrun_job_next_run_timestamp_seconds"
DEADLINE: Final = "afterrun_job_deadline_timestamp_seconds"
STALE: Final = "afterrun_job_stale"
RUNNING: Final = "afterrun_job_running"
RUN_DEADLINE: Final = "afterrun_job_run_deadline_timestamp_seconds"
PAUSED: Final = "afterrun_job_paused"
UNOBSERVED: Final = "afterrun_job_unobserved"
CONSECUTIVE_FAILURES: Final = "afterrun_job_consecutive_failures"
FAILING: Final = "afterrun_job_failing"
SUCCESS_RATIO: Final = "afterrun_job_success_ratio"
SUCCESS_RATIO_LOW: Final = "afterrun_job_success_ratio_low"
SLOW: Final = "afterrun_job_slow"
SLOW_THRESHOLD: Final = "afterrun_job_slow_threshold_seconds"
OVERLAPPING: Final = "afterrun_job_overlapping"
UPSTREAM_UNHEALTHY: Final = "afterrun_job_upstream_unhealthy"
TEST_ALERT: Final = "afterrun_job_test_alert"
SUCCEEDED: Final = "afterrun_job_succeeded"
ALERT_DETAIL: Final = "afterrun_job_alert_detail"
SCHEDULE_INVALID: Final = "afterrun_job_schedule_invalid"
RUNS: Final = "afterrun_job_runs_total"
FAILED_ATTEMPTS: Final = "afterrun_job_failed_attempts_total"
RUN_FAILURES: Final = "afterrun_job_run_failures_total"
RUNS_BY_OUTCOME: Final = "afterrun_job_runs_by_outcome_total"
VIOLATING_RUNS: Final = "afterrun_job_violating_runs_total"
MISSED_RUNS: Final = "afterrun_job_missed_runs_total"
UNOBSERVED_SLOTS: Final = "afterrun_job_unobserved_slots_total"
DUPLICATE_PINGS: Final = "afterrun_job_duplicate_pings_total"
DURATION: Final = "afterrun_job_duration_seconds"

# Metric families of the exporter itself.
JOBS: Final = "afterrun_jobs"
UNOBSERVED_JOBS: Final = "afterrun_unobserved_jobs"
PINGS: Final = "afterrun_pings_total"
METRICS_DROPPED: Final = "afterrun_metrics_dropped_total"
BUILD_INFO: Final = "afterrun_build_info"
CONFIG_INFO: Final = "afterrun_config_info"
RELOAD_SUCCESSFUL: Final = "afterrun_config_last_reload_successful"
RELOAD_TIMESTAMP: Final = "afterrun_config_last_reload_success_timestamp_seconds"
CONFIG_FETCHES: Final = "afterrun_config_fetches_total"
FETCH_SUCCESSFUL: Final = "afterrun_config_last_fetch_successful"
FETCH_TIMESTAMP: Final = "afterrun_config_last_fetch_success_timestamp_seconds"
COMMIT_DURATION: Final = "afterrun_commit_duration_seconds"
STORAGE_ERRORS: Final = "afterrun_storage_errors_total"
CLOCK_STEPS: Final = "afterrun_clock_steps_total"
PAUSES: Final = "afterrun_pauses_total"
CLOCK: Final = "afterrun_clock_timestamp_seconds"
HTTP_REQUESTS: Final = "afterrun_http_requests_total"
HTTP_DURATION: Final = "afterrun_http_request_duration_seconds"
PUSHES: Final = "afterrun_alertmanager_pushes_total"
PUSH_WAITING: Final = "afterrun_alertmanager_waiting_alerts"
ALERTMANAGER_MISSING_SECRETS: Final = "afterrun_alertmanager_missing_secrets"
ALERTMANAGER_RELOAD_SUCCESSFUL: Final = (
    "afterrun_alertmanager_config_last_reload_successful"
)
DATABASE_SIZE: Final = "afterrun_database_size_bytes"
# Only where replicas share the database.
LEADER: Final = "afterrun_leader"
REPLICAS: Final = "afterrun_replicas"
FEED_LAG: Final = "afterrun_feed_lag_seconds"
STORE_CONFLICTS: Final = "afterrun_store_conflicts_total"
CLOCK_OFFSET: Final = "afterrun_clock_offset_seconds"

HELP: Final = {
    INFO: "A metric with a constant '1' value, labeled with settings of the job.",
    CREATED: "Unix time at which the job was registered.",
    LAST_PING: "Unix time of the last ping of any kind; 0 = never.",
    LAST_START: "Unix time at which a run last started; 0 = never.",
    LAST_RUN: "Unix time at which a run last finished; 0 = never.",
    LAST_SUCCESS: "Unix time at which a run last finished ok; 0 = never.",
    LAST_FAILURE: "Unix time at which a run last finished not ok; 0 = never.",
    LAST_RUN_SUCCESS: "Whether the last run was ok; absent before the first.",
    LAST_OUTCOME: "Outcome of the last run: 0 ok, 1 fail, 2 violated, 3 partial, "
    "4 timeout, 5 canceled, 6 invalid, 7 skipped; absent before the first.",
    LAST_DURATION: "Duration of the last run that reported one; NaN before the first.",
    METRIC_VALUE: "Last value of each metric reported by the job.",
    RULE_VIOLATED: "Whether the last evaluated run broke the rule.",
    RULE_THRESHOLD: "Threshold of the rule; NaN if it is not known yet. "
    "Absent for rules on text.",
    NEXT_RUN: "Unix time of the next slot of the schedule; +Inf = none.",
    DEADLINE: "Unix time after which the job counts as missed; +Inf = never.",
    STALE: "Whether the deadline has passed without a run.",
    RUNNING: "Number of open runs.",
    RUN_DEADLINE: "Unix time after which an open run is overrunning, by its "
    "max_runtime or its heartbeat; +Inf = never.",
    PAUSED: "Whether the job is disabled in the configuration.",
    UNOBSERVED: "Whether the last slot of the job fell in a downtime and no run has been reported since.",
    CONSECUTIVE_FAILURES: "Number of runs since the last one that was ok.",
    FAILING: "Whether the job is failing: after_failures is reached and recover_after is not.",
    SUCCESS_RATIO: "Ratio of ok runs in the window; NaN without runs.",
    SUCCESS_RATIO_LOW: "Whether the ratio of ok runs is below the configured one.",
    SLOW: "Whether the last run with a duration was slow.",
    SLOW_THRESHOLD: "Duration above which the last run was slow; "
    "NaN if there are too few runs to compare with.",
    OVERLAPPING: "Whether more runs are open than concurrency.max.",
    UPSTREAM_UNHEALTHY: "Whether a job that this one requires is missed, overrunning, "
    "failing or violated, or was when this one was last due.",
    SUCCEEDED: "Whether a run finished ok recently; only for jobs with a receiver for successes.",
    TEST_ALERT: "Whether a test alert is open.",
    ALERT_DETAIL: "Values for the texts of open alerts of the job, by condition; absent "
    "without open alerts.",
    SCHEDULE_INVALID: "Whether the schedule has no future slot, or the schedule sent by the client cannot be used.",
    RUNS: "Total number of finished runs.",
    FAILED_ATTEMPTS: "Total number of failed attempts that were followed by another one; not "
    "counted as runs or failures.",
    RUN_FAILURES: "Total number of runs that finished with fail, partial, timeout or invalid.",
    RUNS_BY_OUTCOME: "Total number of finished runs, by outcome; absent before the first run "
    "with an outcome.",
    VIOLATING_RUNS: "Total number of runs that reported ok and broke a rule.",
    MISSED_RUNS: "Total number of slots whose deadline passed without a run.",
    UNOBSERVED_SLOTS: "Total number of slots whose deadline passed in a downtime without a "
    "reported run.",
    DUPLICATE_PINGS: "Total number of repeated pings, which are not counted again.",
    DURATION: "Durations of runs that reported one.",
    JOBS: "Number of jobs, by state.",
    UNOBSERVED_JOBS: "Number of jobs whose last slot fell in a downtime and without a reported run since.",
    PINGS: "Total number of pings received, by dialect and result.",
    METRICS_DROPPED: "Total number of reported metric values that were dropped, by reason.",
    BUILD_INFO: "A metric with a constant '1' value, labeled by version, revision, branch, Python "
    "version and platform of the exporter.",
    CONFIG_INFO: "A metric with a constant '1' value, labeled with the hash and commit of the loaded configuration.",
    RELOAD_SUCCESSFUL: "Whether the last configuration reload was successful.",
    RELOAD_TIMESTAMP: "Unix time of the last successful configuration reload.",
    CONFIG_FETCHES: "Fetches of the configuration from its git repository, by result.",
    FETCH_SUCCESSFUL: "Whether the last fetch of the configuration was successful.",
    FETCH_TIMESTAMP: "Unix time of the last successful fetch of the configuration, 0 if none.",
    COMMIT_DURATION: "Duration of commits to the database, including fsync.",
    STORAGE_ERRORS: "Total number of failed transactions and reads of the database.",
    CLOCK_STEPS: "Total number of steps of the system clock by more than a second.",
    CLOCK: "Current Unix time of the clock of the exporter.",
    HTTP_REQUESTS: "Total number of answered HTTP requests, by status code, method and route.",
    HTTP_DURATION: "Duration of HTTP requests until the response is sent, by route.",
    PAUSES: "Total number of times that the daemon was suspended for 5 seconds or more.",
    PUSHES: "Total number of posts of alerts to Alertmanager, by result.",
    PUSH_WAITING: "Number of alert updates not yet accepted by this Alertmanager.",
    ALERTMANAGER_MISSING_SECRETS: "Number of files with secrets that the managed "
    "alertmanager.yml names and that are missing or empty.",
    ALERTMANAGER_RELOAD_SUCCESSFUL: "Whether the managed alertmanager.yml was last "
    "written successfully and accepted by Alertmanager.",
    DATABASE_SIZE: "Size of the database on disk, including the write-ahead log.",
    LEADER: "Whether this replica does the work of the whole service, such as posting alerts.",
    REPLICAS: "Number of live replicas that share the database, including this one.",
    FEED_LAG: "Seconds since this replica last read the changes of the others.",
    STORE_CONFLICTS: "Total number of changes that were decided again, because another "
    "replica had changed the job.",
    CLOCK_OFFSET: "Seconds by which the clock of this replica is ahead of that of the database.",
}

# Alerts, as Prometheus rules and the runbook name them.
JOB_MISSED: Final = "AfterRunJobMissed"
JOB_FAILING: Final = "AfterRunJobFailing"
JOB_RULE_VIOLATED: Final = "AfterRunJobRuleViolated"
JOB_OVERRUNNING: Final = "AfterRunJobOverrunning"
JOB_OVERLAPPING: Final = "AfterRunJobOverlapping"
JOB_SLOW: Final = "AfterRunJobSlow"
JOB_SUCCESS_RATIO_LOW: Final = "AfterRunJobSuccessRatioLow"
JOB_UPSTREAM_UNHEALTHY: Final = "AfterRunJobUpstreamUnhealthy"
JOB_SUCCEEDED: Final = "AfterRunJobSucceeded"
JOB_DISAPPEARED: Final = "AfterRunJobDisappeared"
EXPORTER_DOWN: Final = "AfterRunExporterDown"
EXPORTER_ABSENT: Final = "AfterRunExporterAbsent"
CONFIG_RELOAD_FAILED: Final = "AfterRunConfigReloadFailed"
CONFIG_FETCH_FAILING: Final = "AfterRunConfigFetchFailing"
PINGS_REJECTED: Final = "AfterRunPingsRejected"
STORAGE_FAILING: Final = "AfterRunStorageFailing"
REPLICA_DOWN: Final = "AfterRunReplicaDown"
REPLICA_STORAGE_FAILING: Final = "AfterRunReplicaStorageFailing"
REPLICA_LAGGING: Final = "AfterRunReplicaLagging"
REPLICA_CLOCK_OFF: Final = "AfterRunReplicaClockOff"
LEADER_MISSING: Final = "AfterRunLeaderMissing"
RULES_OUTDATED: Final = "AfterRunRulesOutdated"
PUSH_FAILING: Final = "AfterRunPushFailing"
NOTIFICATIONS_DROPPED: Final = "AfterRunNotificationsDropped"
NOTIFICATION_QUEUE_SMALL: Final = "AfterRunNotificationQueueSmall"
JOBS_UNOBSERVED: Final = "AfterRunJobsUnobserved"
FILE_MISSING: Final = "AfterRunSecretMissing"
SCRAPED_TWICE: Final = "AfterRunScrapedTwice"
CLOCK_SKEWED: Final = "AfterRunClockSkewed"
WATCHDOG: Final = "AfterRunWatchdog"
#: A test alert that a user has requested.
TEST: Final = "AfterRunTest"

#: The job of test alerts without a job; removed with them.
TEST_JOB: Final = "afterrun-test"

#: Names of alerts, by the value of the condition.
ALERT_OF: Final = {
    "missed": JOB_MISSED,
    "failing": JOB_FAILING,
    "violated": JOB_RULE_VIOLATED,
    "overrunning": JOB_OVERRUNNING,
    "overlapping": JOB_OVERLAPPING,
    "slow": JOB_SLOW,
    "success_ratio_low": JOB_SUCCESS_RATIO_LOW,
    "upstream_unhealthy": JOB_UPSTREAM_UNHEALTHY,
    "test": TEST,
    "succeeded": JOB_SUCCEEDED,
}

#: Families of jobs that generated files cannot do without, and what reads them.
NEEDED_BY: Final = {
    INFO: "the dashboards, which select jobs by it,",
    LAST_SUCCESS: "the dashboards' tables of open conditions",
    DEADLINE: f"the alerts {JOB_MISSED} and {JOB_DISAPPEARED}",
    RUN_DEADLINE: f"the alert {JOB_OVERRUNNING}",
    RULE_VIOLATED: f"the alert {JOB_RULE_VIOLATED}",
    FAILING: f"the alert {JOB_FAILING}",
    OVERLAPPING: f"the alert {JOB_OVERLAPPING}",
    SLOW: f"the alert {JOB_SLOW}",
    SUCCESS_RATIO_LOW: f"the alert {JOB_SUCCESS_RATIO_LOW}",
    UPSTREAM_UNHEALTHY: f"the alert {JOB_UPSTREAM_UNHEALTHY}, which holds back others,",
    SUCCEEDED: f"the alert {JOB_SUCCEEDED}",
    TEST_ALERT: f"the alert {TEST}",
    ALERT_DETAIL: "the texts of alerts",
}

#: Summaries of alerts about jobs. They are constant, because pagers group by them.
SUMMARIES: Final = {
    JOB_MISSED: "A job did not run by its deadline.",
    JOB_FAILING: "A job is failing.",
    JOB_RULE_VIOLATED: "A run of a job broke a rule.",
    JOB_OVERRUNNING: "A run exceeds its time limit, or sends no sign of life.",
    JOB_OVERLAPPING: "Runs of a job overlap.",
    JOB_SLOW: "A run was slower than usual.",
    JOB_SUCCESS_RATIO_LOW: "A job fails too often.",
    JOB_UPSTREAM_UNHEALTHY: "A job waits for another one that is unhealthy.",
    TEST: "A test alert.",
    JOB_SUCCEEDED: "A run finished ok.",
}

# The runbook, which has a section for each alert.
RUNBOOK: Final = (
    "https://github.com/afterrun/afterrun-exporter/blob/main/docs/runbook.md"
)

# The name of the scrape job in Prometheus, as a regular expression: "afterrun",
# "afterrun-staging", "serviceMonitor/monitoring/afterrun/0".
SCRAPE_JOB: Final = ".*afterrun.*"
