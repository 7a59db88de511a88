"""The state of a job between pings, and the changes of a decision.

All values are frozen. All instants are Unix seconds, all durations seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from afterrun_exporter.core.model import Condition, Outcome, Run, nothing
from afterrun_exporter.core.windows import NO_HISTORY, History, Ratio


class OpenRun(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A run that started and has not finished."""

    run_id: str | None
    attempt: int
    started_at: float
    #: Values that progress pings reported so far.
    metrics: Mapping[str, float] = field(default_factory=nothing)
    #: The group of runs that it must not overlap with: a value of `concurrency.by`.
    group: str = ""
    #: The last heartbeat; 0 for a run that sends none.
    alive_at: float = 0.0
    #: Metadata of its start and progress: a JSON object of limited size, or "".
    metadata: str = ""
    #: The number of attempts of the run, if its start has it.
    max_attempts: int | None = None
    #: The announced interval of heartbeats in seconds; 0 for none.
    heartbeat: float = 0.0
    #: The time limit that its own start sets, in seconds; 0 for none.
    max_runtime: float = 0.0
    #: The arrival of its start, if that was reported late; otherwise 0.
    reported_at: float = 0.0
    #: The most runs of its group that were open when another one began; 0 if none has
    #: begun since.
    among: int = 0
    #: True once it was overrunning while watched: no downtime changes that.
    is_overrunning: bool = False


class HungRun(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A run that was given up past its limit, until a run that followed has ended."""

    run_id: str | None
    attempt: int
    started_at: float
    #: The limit that passed.
    deadline: float
    #: Runs that started at this instant or later followed it.
    followed_from: float
    #: True until another run is judged: its timeout alone does not make the job
    #: failing.
    is_last: bool = False
    #: The time until which its alert waits, if its start was reported after its limit.
    held_until: float = 0.0


class Retry(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A run whose last attempt failed, and which waits for the next one."""

    run_id: str | None
    #: The failed attempt, the number of attempts, and the outcome.
    attempt: int
    max_attempts: int
    outcome: Outcome
    #: The start of the first known attempt.
    begun_at: float
    started_at: float | None
    ended_at: float
    duration: float | None
    #: The deadline for the next attempt: without one, the failed attempt is final.
    until: float
    #: The run covers slots up to here.
    covers: float
    exit_code: int | None = None
    metrics: Mapping[str, float] = field(default_factory=nothing)
    message: str = ""
    metadata: str = ""
    #: Detects a repeat that has no attempt number.
    contents: bytes = b""


class AlertKey(Struct, frozen=True, array_like=True, gc=False):
    """The identity of a condition of a job; `rule` only for violated rules."""

    condition: Condition
    rule: str = ""


class OpenAlert(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A condition that holds."""

    key: AlertKey
    #: The time when it became true, not when it was noticed.
    opened_at: float
    #: The time when it first became visible.
    shown_at: float
    #: The deadline that passed, for a missed or overrunning job.
    deadline: float | None = None
    #: True if a run timed out since the job was last ok; the alert has it as a label.
    timed_out: bool = False


class RecentlyResolved(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A condition that is over but still visible, so that a scrape notices it."""

    key: AlertKey
    until: float
    deadline: float | None = None


class EndedAlert(Struct, frozen=True, array_like=True, gc=False):
    """An alert that ended with the last run by end time.

    Another run may have ended at the same time. If it brings the condition back, that
    is the same alert, which has not ended.
    """

    alert: OpenAlert
    at: float


class Mark(Struct, frozen=True, array_like=True, gc=False):
    """The latest time that pushes reported in one metric; see core/push_outcomes.py."""

    #: In Unix seconds; 0 for none yet.
    value: float
    #: The time of its arrival.
    at: float
    #: The most series of the metric in one push.
    series: int = 0


class BadRun(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The last judged run of a job, if it was not ok or slow, for texts of its alerts."""

    run_id: str | None
    outcome: Outcome
    exit_code: int | None = None
    #: The host in its metadata; "" if it reported none.
    host: str = ""
    #: The end of its message in one line.
    message: str = ""


class UnobservedSlots(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Slots that were due in downtimes and for which no run has been reported."""

    count: int
    first: float
    last: float
    #: The last of these downtimes; 0 if its start is unknown.
    down_since: float
    up_since: float


class JobState(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The stored state of a job.

    It has facts only. Everything that follows from facts and the time of day is
    computed when needed.
    """

    created_at: float
    #: Slots up to here need no further run: it ran, was paused or not yet known.
    due_after: float
    #: True if the configuration had the job at the last check.
    configured: bool = False
    #: The time when it left the configuration; None while it is watched.
    retired_at: float | None = None
    #: The schedule that `due_after` and the missed slots belong to.
    schedule: str = ""
    #: Slots up to here are counted in `missed_total`.
    missed_through: float = 0.0
    #: The first deadline that passed since the job last ran.
    missed_deadline: float | None = None
    #: Slots up to here are counted in `unobserved_total`.
    unobserved_through: float = 0.0
    #: The unobserved slots, if nothing later is known of the job.
    unobserved: UnobservedSlots | None = None

    last_ping_at: float = 0.0
    last_start_at: float = 0.0
    last_finish_at: float = 0.0
    last_success_at: float = 0.0
    last_failure_at: float = 0.0
    #: End of the last judged run.
    last_judged_at: float = 0.0
    #: Outcome of the last run that was not canceled.
    last_outcome: Outcome | None = None
    last_duration: float | None = None
    consecutive_failures: int = 0
    #: True if one of the present, or else of the last, bad runs in a row timed out.
    timed_out: bool = False
    #: Consecutive ok runs, at most `recover_after`; 0 if that is 1.
    recovering: int = 0
    #: True from `after_failures` bad runs in a row until `recover_after` ok ones, even
    #: without an alert: see core/recovery.py.
    failing: bool = False
    #: Last value of each reported metric.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: Metrics of the last ok run, including its duration.
    previous: Mapping[str, float] = field(default_factory=dict)
    #: True if the last judged run was loaded as a past one (core/loaded_runs.py).
    loaded: bool = False
    #: Names of the rules that the last judged run violated.
    violated: tuple[str, ...] = ()
    #: True if the last run with a duration took unusually long, and the duration from
    #: which on it did; None without enough runs to compare with.
    slow: bool = False
    slow_threshold: float | None = None
    #: Required jobs that are unhealthy, and the time since when none is, as long as
    #: that matters; 0 for never.
    upstream: tuple[str, ...] = ()
    upstream_healed_at: float = 0.0
    #: A test alert: its end, the time of its last request, and its severity if not the
    #: job's.
    test_until: float = 0.0
    test_asked_at: float = 0.0
    test_severity: str = ""
    #: True if a receiver is notified of each ok run, and the end of the visibility of
    #: the last one; 0 without one.
    announces_success: bool = False
    success_until: float = 0.0
    #: The start of a pause, 0 without one; its end, None until it is resumed by
    #: request; and True if a ping also resumes it.
    paused_at: float = 0.0
    paused_until: float | None = None
    #: The requested duration of the pause; 0 if its end was requested.
    paused_for: float = 0.0
    resumes_on_ping: bool = False
    #: The start of uninterrupted watching: 0 for always, None while it is paused or
    #: disabled. No alert opens for an earlier time.
    watched_since: float | None = 0.0
    #: Settings that a client sent, if the configuration does not have the job: keys of
    #: afterrun.yml as a JSON object.
    client_settings: str = field(default="", name="said")
    #: Unusable settings of a client with the reason; and True if the job has no
    #: schedule because of that.
    unusable: str = ""
    lacks_schedule: bool = False

    open_runs: tuple[OpenRun, ...] = ()
    #: Runs that were given up past their limits: the job is overrunning until a run
    #: that followed them has ended.
    hung: tuple[HungRun, ...] = ()
    #: Runs between two attempts.
    retries: tuple[Retry, ...] = ()
    alerts: tuple[OpenAlert, ...] = ()
    healed: tuple[RecentlyResolved, ...] = ()
    ended_alerts: tuple[EndedAlert, ...] = field(default=(), name="ended")
    #: Keys of the last finished runs, 8 bytes each, the newest last; of all kept runs
    #: if `run_keys_whole` (core/duplicates.py).
    run_keys: bytes = b""
    run_keys_whole: bool = False
    #: Pings without a run id that may still be repeated.
    unnamed_seen: bytes = b""
    #: The runs in windows (core/history.py), and their results. Not stored with the
    #: state, but derived from the stored runs.
    history: History = NO_HISTORY
    success_ratio: Ratio | None = None
    #: The ratios of a slightly shorter and a slightly longer window.
    ratio_edges: tuple[Ratio, Ratio] | None = None
    #: The time when the next run leaves one of these windows.
    ratio_until: float = math.inf

    runs_total: int = 0
    #: Failed attempts followed by another one, which are not counted as runs.
    attempts_total: int = 0
    failures_total: int = 0
    violating_total: int = 0
    missed_total: int = 0
    unobserved_total: int = 0
    duplicates_total: int = 0
    duration_sum: float = 0.0
    duration_count: int = 0

    #: Times of success and failure in pushes, by metric name; None before the first.
    marks: Mapping[str, Mark] | None = None

    #: The last judged run, if it was not ok or slow.
    bad_run: BadRun | None = None

    #: Runs by outcome (core/outcome_totals.py); empty before the first of these.
    other_totals: tuple[int, ...] = ()

    @property
    def recorded(self) -> int:
        """The number of the last recorded run or attempt."""
        return self.runs_total + self.attempts_total

    @property
    def covered_until(self) -> float:
        """The slot up to which runs have come, including waiting ones."""
        if not self.retries:
            return self.due_after
        return max(self.due_after, *(retry.covers for retry in self.retries))


class AlertOpened(Struct, frozen=True, gc=False):
    """A condition became true, at `alert.opened_at`.

    For an open alert: from `alert.shown_at` on it has other labels. For a resolved one:
    it continues, because of a run that ended at the same time.
    """

    alert: OpenAlert
    severity: str
    #: The reason, in words for a person.
    summary: str
    #: The run that violated the rule; 0 if none did.
    run: int = 0
    #: The metric of the violated rule.
    metric: str = ""
    #: The declared labels of the job, as in the alert.
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> AlertKey:
        return self.alert.key


class AlertResolved(Struct, frozen=True, gc=False):
    """The end of a condition."""

    key: AlertKey
    at: float


class AlertMoved(Struct, frozen=True, gc=False):
    """A corrected time of an open alert: its time came from a clock that was ahead."""

    key: AlertKey
    opened_at: float


class Unusable(NamedTuple):
    """The unusable part of a client's settings."""

    why: str = ""
    #: True if the job has no schedule because of that.
    schedule: bool = False


USABLE: Final = Unusable()


class LogEntry(Struct, frozen=True, gc=False):
    """A log message, or a note on a run whose end was not reported."""

    at: float
    run_id: str | None
    message: str
    metadata: str = ""


AlertEvent = AlertOpened | AlertResolved | AlertMoved

#: Fields of a state that are not stored.
DERIVED: Final = (
    "run_keys_whole",
    "history",
    "success_ratio",
    "ratio_edges",
    "ratio_until",
)


class Transition(Struct, frozen=True, kw_only=True, gc=False):
    """The result of one decision; it is stored whole or not at all."""

    state: JobState
    runs: tuple[Run, ...] = ()
    alerts: tuple[AlertEvent, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    #: The run this ping finished, or the number of the one it repeats.
    run: Run | None = None
    duplicate: bool = False
    duplicate_of: int = 0
    warnings: tuple[str, ...] = ()

    def after(self, before: Transition | None) -> Transition:
        """Return this transition together with the one *before* it."""
        if before is None or not (before.runs or before.alerts or before.logs):
            return self
        return replace(
            self,
            runs=before.runs + self.runs,
            alerts=before.alerts + self.alerts,
            logs=before.logs + self.logs,
        )
