"""Every name another system will see. Change one and you break a dashboard."""

from __future__ import annotations

from typing import Final

DEFAULT_PORT: Final = 10707

# Labels. Not "job": Prometheus puts its own "job" label on every scraped series.
JOB: Final = "job_name"
SEVERITY: Final = "severity"
#: The severity of an alert that only keeps others quiet.
NO_SEVERITY: Final = "none"
RULE: Final = "rule"
METRIC: Final = "metric"
OP: Final = "op"
#: Whether one of the runs that a failing job failed with timed out: "true", or no label.
TIMED_OUT: Final = "timed_out"
TRUE: Final = "true"
STATE: Final = "state"
CONDITION: Final = "condition"
#: What a value in the text of an alert is.
DETAIL: Final = "detail"
DETAIL_RUNS: Final = "runs"
DETAIL_OUTCOME: Final = "outcome"
DETAIL_SUCCESS: Final = "success"
DETAIL_VALUE: Final = "value"
DETAIL_BOUND: Final = "bound"
DETAIL_LIMIT: Final = "limit"
#: A label that brings values to the text of an alert; the alert itself drops it.
CARRIED: Final = "alert_detail"
DIALECT: Final = "dialect"
RESULT: Final = "result"
ALERTMANAGER: Final = "alertmanager"

# Label keys that a user may not declare: ours, Prometheus's, and those whose
# meaning another tool of the chain has already taken.
RESERVED_LABELS: Final = frozenset(
    {
        JOB,
        SEVERITY,
        RULE,
        METRIC,
        OP,
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

# Metric families of a job.
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
COMMIT_DURATION: Final = "afterrun_commit_duration_seconds"
STORAGE_ERRORS: Final = "afterrun_storage_errors_total"
CLOCK_STEPS: Final = "afterrun_clock_steps_total"
PAUSES: Final = "afterrun_pauses_total"
CLOCK: Final = "afterrun_clock_timestamp_seconds"
PUSHES: Final = "afterrun_alertmanager_pushes_total"
PUSH_WAITING: Final = "afterrun_alertmanager_waiting_alerts"
ALERTMANAGER_RELOAD_SUCCESSFUL: Final = (
    "afterrun_alertmanager_config_last_reload_successful"
)
DATABASE_SIZE: Final = "afterrun_database_size_bytes"

HELP: Final = {
    INFO: "What the configuration says of a job; always 1.",
    CREATED: "Unix time at which the job was first known.",
    LAST_PING: "Unix time of the last ping of any kind; 0 = never.",
    LAST_START: "Unix time at which a run last started; 0 = never.",
    LAST_RUN: "Unix time at which a run last finished; 0 = never.",
    LAST_SUCCESS: "Unix time at which a run last finished ok; 0 = never.",
    LAST_FAILURE: "Unix time at which a run last finished not ok; 0 = never.",
    LAST_RUN_SUCCESS: "Whether the last run was ok; absent before the first.",
    LAST_OUTCOME: "How the last run ended: 0 ok, 1 fail, 2 violated, 3 partial, "
    "4 timeout, 5 canceled, 6 invalid, 7 skipped; absent before the first.",
    LAST_DURATION: "Duration of the last run that told it; NaN before the first.",
    METRIC_VALUE: "Last value of each metric that the job reported.",
    RULE_VIOLATED: "Whether the last judged run broke the rule.",
    RULE_THRESHOLD: "What the rule compares with; NaN while there is nothing yet. "
    "A rule on text has none.",
    NEXT_RUN: "Unix time of the next slot of the schedule; +Inf = none.",
    DEADLINE: "Unix time after which the job counts as missed; +Inf = never.",
    STALE: "Whether the deadline has passed without a run.",
    RUNNING: "Runs that started and have not finished.",
    RUN_DEADLINE: "Unix time after which an open run is overrunning: past its "
    "max_runtime, or silent for longer than its heartbeat; +Inf = never.",
    PAUSED: "Whether the job is disabled in the configuration.",
    UNOBSERVED: "Whether the job was last due in a downtime, and has not reported since.",
    CONSECUTIVE_FAILURES: "Runs since the last one that was ok.",
    FAILING: "Whether the job fails: after_failures is reached, recover_after not yet.",
    SUCCESS_RATIO: "Share of ok runs among those in the window; NaN without any.",
    SUCCESS_RATIO_LOW: "Whether the share of ok runs is below what is configured.",
    SLOW: "Whether the last run that told its duration took unusually long.",
    SLOW_THRESHOLD: "Duration beyond which the last run counts as slow; "
    "NaN while there are too few runs to compare with.",
    OVERLAPPING: "Whether more runs are open at once than concurrency.max.",
    UPSTREAM_UNHEALTHY: "Whether a job that this one requires is missed, overrunning, "
    "failing or violated, or was when this one was last due.",
    SUCCEEDED: "Whether a run ended ok just now; only where a receiver is told of it.",
    TEST_ALERT: "Whether somebody asked for a test alert just now.",
    ALERT_DETAIL: "Values in the texts of the job's open alerts, by condition; absent "
    "while none is open.",
    SCHEDULE_INVALID: "Whether no slot will ever come, or the schedule its client gives is unusable.",
    RUNS: "Runs that finished.",
    FAILED_ATTEMPTS: "Failed attempts of runs that another attempt was to follow: no "
    "runs, and no failures.",
    RUN_FAILURES: "Runs that finished with fail, partial, timeout or invalid.",
    VIOLATING_RUNS: "Runs that reported ok and broke a rule.",
    MISSED_RUNS: "Slots whose deadline passed without a run.",
    UNOBSERVED_SLOTS: "Slots whose deadline passed in a downtime, and that no run was "
    "reported for.",
    DUPLICATE_PINGS: "Pings recognised as repeats and not counted again.",
    DURATION: "Durations of the runs that told theirs.",
    JOBS: "Known jobs by state.",
    UNOBSERVED_JOBS: "Jobs that were last due in a downtime, and have not reported since.",
    PINGS: "Pings by what became of them.",
    METRICS_DROPPED: "Reported metric values that were not taken, by reason.",
    BUILD_INFO: "The version that is running; always 1.",
    CONFIG_INFO: "The configuration that is loaded, by its hash; always 1.",
    RELOAD_SUCCESSFUL: "Whether the last reload of the configuration succeeded.",
    RELOAD_TIMESTAMP: "Unix time of the last successful load of the configuration.",
    COMMIT_DURATION: "How long commits to the database took, fsync included.",
    STORAGE_ERRORS: "Transactions that the database refused; nothing was recorded.",
    CLOCK_STEPS: "Steps of the machine's clock by more than a second, forward or back.",
    CLOCK: "The time of day by which jobs are judged, as of this scrape.",
    PAUSES: "Times in which the daemon was stopped or suspended for 5 seconds or more.",
    PUSHES: "Posts of alerts to Alertmanager, by what became of them.",
    PUSH_WAITING: "Alerts whose news an Alertmanager has not taken yet.",
    ALERTMANAGER_RELOAD_SUCCESSFUL: "Whether the alertmanager.yml that is kept up to "
    "date could last be written and was not refused.",
    DATABASE_SIZE: "Size of the database on disk, its write-ahead log included.",
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
PINGS_REJECTED: Final = "AfterRunPingsRejected"
STORAGE_FAILING: Final = "AfterRunStorageFailing"
RULES_OUTDATED: Final = "AfterRunRulesOutdated"
PUSH_FAILING: Final = "AfterRunPushFailing"
NOTIFICATIONS_DROPPED: Final = "AfterRunNotificationsDropped"
NOTIFICATION_QUEUE_SMALL: Final = "AfterRunNotificationQueueSmall"
JOBS_UNOBSERVED: Final = "AfterRunJobsUnobserved"
SCRAPED_TWICE: Final = "AfterRunScrapedTwice"
CLOCK_SKEWED: Final = "AfterRunClockSkewed"
WATCHDOG: Final = "AfterRunWatchdog"
#: One that somebody asked for, to see that alerts arrive.
TEST: Final = "AfterRunTest"

#: The job that test alerts belong to when they belong to none. It goes with them.
TEST_JOB: Final = "afterrun-test"

#: The alert that each condition of a job is, by the condition's value.
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

#: What each alert about a job says first, always the same: pagers group by it.
SUMMARIES: Final = {
    JOB_MISSED: "A job has not run when it should have.",
    JOB_FAILING: "A job fails.",
    JOB_RULE_VIOLATED: "A job ran, and its result breaks a rule.",
    JOB_OVERRUNNING: "A run takes longer than it may, or gives no sign of life.",
    JOB_OVERLAPPING: "Runs of a job overlap.",
    JOB_SLOW: "A run took unusually long.",
    JOB_SUCCESS_RATIO_LOW: "A job fails too often.",
    JOB_UPSTREAM_UNHEALTHY: "A job waits for another one that is unhealthy.",
    TEST: "A test alert.",
    JOB_SUCCEEDED: "A run ended ok.",
}

# Where an alert sends its reader; each alert is a section there.
RUNBOOK: Final = (
    "https://github.com/afterrun/afterrun-exporter/blob/main/docs/runbook.md"
)

# What the scrape job is called in Prometheus, as a regular expression: "afterrun",
# "afterrun-staging", "serviceMonitor/monitoring/afterrun/0".
SCRAPE_JOB: Final = ".*afterrun.*"
