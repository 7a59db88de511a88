"""What is remembered of a job between pings, and what a decision changes.

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
    #: Which other runs it may not overlap: a value of `concurrency.by`.
    group: str = ""
    #: The last sign of life; 0 for a run that sends none.
    alive_at: float = 0.0
    #: What its start and its progress reported: a JSON object of bounded size, or "".
    metadata: str = ""
    #: How many attempts the run has, where its start says so.
    max_attempts: int | None = None
    #: Seconds within which its own reports announced the next one; 0 for none.
    heartbeat: float = 0.0
    #: The time limit that its own start sets, in seconds; 0 for none.
    max_runtime: float = 0.0
    #: When its start was reported, if that was late: later than it says; 0 if not.
    reported_at: float = 0.0
    #: The most runs of its group that were open at once when another one began; 0 while
    #: none has.
    among: int = 0
    #: True once it was overrunning while it was watched: no downtime changes that.
    is_overrunning: bool = False


class HungRun(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A run that was given up past its limit, until a run that followed it ends."""

    run_id: str | None
    attempt: int
    started_at: float
    #: The limit that passed.
    deadline: float
    #: Runs that started at this instant or later followed it.
    followed_from: float
    #: True until any run is judged after it: its timeout alone is no failing job.
    is_last: bool = False
    #: Until when its alert waits, if its start was reported after its limit; or 0.
    held_until: float = 0.0


class Retry(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A run whose last attempt failed and that waits for the next one."""

    run_id: str | None
    #: The attempt that failed, of how many, and how.
    attempt: int
    max_attempts: int
    outcome: Outcome
    #: When the first attempt that is known of began.
    begun_at: float
    started_at: float | None
    ended_at: float
    duration: float | None
    #: When the next attempt must have reported: if none has, this one is judged.
    until: float
    #: The slots up to here are those of this run.
    covers: float
    exit_code: int | None = None
    metrics: Mapping[str, float] = field(default_factory=nothing)
    message: str = ""
    metadata: str = ""
    #: By which a repeat is recognised that does not number its attempt.
    contents: bytes = b""


class AlertKey(Struct, frozen=True, array_like=True, gc=False):
    """Names one condition of a job; `rule` only where a rule is broken."""

    condition: Condition
    rule: str = ""


class OpenAlert(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A condition that holds."""

    key: AlertKey
    #: When it became true, not when we noticed.
    opened_at: float
    #: When it could first be seen.
    shown_at: float
    #: The deadline that passed, for a missed or overrunning job.
    deadline: float | None = None
    #: Whether a run timed out since the job was ok last: the alert says so.
    timed_out: bool = False


class RecentlyResolved(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A condition that is over and still shown, so that a scrape can see it."""

    key: AlertKey
    until: float
    deadline: float | None = None


class EndedAlert(Struct, frozen=True, array_like=True, gc=False):
    """An alert that a run ended which was the last one by its time.

    Another run may have ended at the same moment. Where that one brings the condition
    back, it is the same alert, which has not ended.
    """

    alert: OpenAlert
    at: float


class Mark(Struct, frozen=True, array_like=True, gc=False):
    """The latest time that pushes reported in one metric: see core/pushes.py."""

    #: In Unix seconds; 0 for none yet.
    value: float
    #: When it was received.
    at: float
    #: The most series of the metric in one push.
    series: int = 0


class UnobservedSlots(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Slots that were due in downtimes and for which no run has been reported."""

    count: int
    first: float
    last: float
    #: The last of these downtimes; 0 where its begin is not known.
    down_since: float
    up_since: float


class JobState(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What we remember about a job between pings.

    Facts only. What follows from facts and the time of day is computed when
    asked for.
    """

    created_at: float
    #: Slots up to here need no further run: it ran, was paused or unknown.
    due_after: float
    #: Whether the configuration named it when we last looked.
    configured: bool = False
    #: When it left the configuration; None while it is watched.
    retired_at: float | None = None
    #: The schedule that `due_after` and the missed slots belong to.
    schedule: str = ""
    #: Slots up to here are counted in `missed_total`.
    missed_through: float = 0.0
    #: The deadline that passed first since the job last ran.
    missed_deadline: float | None = None
    #: Slots up to here are counted in `unobserved_total`.
    unobserved_through: float = 0.0
    #: The unobserved slots, where they are the last that is known of the job.
    unobserved: UnobservedSlots | None = None

    last_ping_at: float = 0.0
    last_start_at: float = 0.0
    last_finish_at: float = 0.0
    last_success_at: float = 0.0
    last_failure_at: float = 0.0
    #: End of the last run that was reported and judged.
    last_judged_at: float = 0.0
    #: Of the last run that was not canceled.
    last_outcome: Outcome | None = None
    last_duration: float | None = None
    consecutive_failures: int = 0
    #: Whether one of the bad runs timed out: of those now, or of the last ones.
    timed_out: bool = False
    #: Consecutive ok runs, as far as `recover_after` looks; 0 where it is 1.
    recovering: int = 0
    #: True from `after_failures` bad runs in a row on until `recover_after` ok ones,
    #: also while no alert says so: see core/recovery.py.
    failing: bool = False
    #: Last value of each reported metric.
    metrics: Mapping[str, float] = field(default_factory=dict)
    #: What the last ok run reported, its duration included.
    previous: Mapping[str, float] = field(default_factory=dict)
    #: Whether the last run that was judged was one of the past (core/loading.py).
    loaded: bool = False
    #: Names of the rules that the last judged run broke.
    violated: tuple[str, ...] = ()
    #: Whether the last run that told its duration took unusually long, and from
    #: which duration on it did; None while there is nothing to compare with.
    slow: bool = False
    slow_threshold: float | None = None
    #: Required jobs that are unhealthy, and since when none is any more, as
    #: long as that still matters; 0 for never.
    upstream: tuple[str, ...] = ()
    upstream_healed_at: float = 0.0
    #: A test alert: until when, when a client asked for it last, and its severity if
    #: not the job's.
    test_until: float = 0.0
    test_asked_at: float = 0.0
    test_severity: str = ""
    #: Whether somebody is told of each ok run, and until when that is shown of the
    #: last one; 0 while it is not.
    announces_success: bool = False
    success_until: float = 0.0
    #: Since when nothing is expected, as somebody has asked for; 0 while it is not
    #: so. Until when, or None until somebody asks for the opposite; and whether a
    #: ping is as good as asking.
    paused_at: float = 0.0
    paused_until: float | None = None
    #: For how long it was paused, where that is what was asked for; 0 where a time was.
    paused_for: float = 0.0
    resumes_on_ping: bool = False
    #: Since when it is watched without a break: 0 for always, None while it is not,
    #: because it is paused or disabled. No alert opens for an earlier moment.
    watched_since: float | None = 0.0
    #: What a client has said of the job, where the configuration does not name it:
    #: words of afterrun.yml as a JSON object.
    said: str = ""
    #: What else a client says of the job and cannot be used, and why; and whether the
    #: job lacks a schedule for that.
    unusable: str = ""
    lacks_schedule: bool = False

    open_runs: tuple[OpenRun, ...] = ()
    #: Runs that were given up past their limits: the job is overrunning until a run
    #: that followed them ends.
    hung: tuple[HungRun, ...] = ()
    #: Runs between two attempts.
    retries: tuple[Retry, ...] = ()
    alerts: tuple[OpenAlert, ...] = ()
    healed: tuple[RecentlyResolved, ...] = ()
    ended: tuple[EndedAlert, ...] = ()
    #: Keys of the last finished runs, 8 bytes each, the newest last; of all that are
    #: kept if `seen_whole` (core/repeats.py).
    seen: bytes = b""
    seen_whole: bool = False
    #: Pings without a run id that a repeat may still follow.
    unnamed_seen: bytes = b""
    #: The runs that windows look at (core/history.py), and what they come to.
    #: Derived from the stored runs, hence not stored with the rest.
    history: History = NO_HISTORY
    success_ratio: Ratio | None = None
    #: The same of a window that is a little shorter, and of one that is a little
    #: longer.
    ratio_edges: tuple[Ratio, Ratio] | None = None
    #: When a run leaves one of these windows next.
    ratio_until: float = math.inf

    runs_total: int = 0
    #: Failed attempts that another one was to follow: no runs, and not among them.
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

    @property
    def recorded(self) -> int:
        """The number of the last run or attempt that was recorded."""
        return self.runs_total + self.attempts_total

    @property
    def covered_until(self) -> float:
        """Up to which slot runs have come, those included that wait for an attempt."""
        if not self.retries:
            return self.due_after
        return max(self.due_after, *(retry.covers for retry in self.retries))


class AlertOpened(Struct, frozen=True, gc=False):
    """A condition became true, at `alert.opened_at`.

    For an alert that is open already: from `alert.shown_at` on it has other labels. For
    one that is resolved: it goes on, as a run that ended at the same moment has it.
    """

    alert: OpenAlert
    severity: str
    #: Why, in words for a person.
    summary: str
    #: The run that broke it; 0 where none did.
    run: int = 0
    #: The metric that the broken rule is about.
    metric: str = ""
    #: The declared labels of the job, as the alert carries them.
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> AlertKey:
        return self.alert.key


class AlertResolved(Struct, frozen=True, gc=False):
    """A condition is over."""

    key: AlertKey
    at: float


class AlertMoved(Struct, frozen=True, gc=False):
    """An open alert was recorded by a clock that was ahead, and opened at `opened_at`."""

    key: AlertKey
    opened_at: float


class Unusable(NamedTuple):
    """The part of a client's description that cannot be used."""

    why: str = ""
    #: True if the job lacks its schedule for that.
    schedule: bool = False


USABLE: Final = Unusable()


class LogEntry(Struct, frozen=True, gc=False):
    """What a log ping said, or what happened to a run that nobody reported."""

    at: float
    run_id: str | None
    message: str
    metadata: str = ""


AlertEvent = AlertOpened | AlertResolved | AlertMoved

#: Facts of a state that are not stored with it.
DERIVED: Final = (
    "seen_whole",
    "history",
    "success_ratio",
    "ratio_edges",
    "ratio_until",
)


class Transition(Struct, frozen=True, kw_only=True, gc=False):
    """What one decision comes to; it is stored whole or not at all."""

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
