"""The state of one job at a moment."""

from __future__ import annotations

import math

from tests.simulation.found import Alerts
from tests.simulation.oracle.facts import (
    SETTLE,
    Downtime,
    Healthy,
    Hung,
    Open,
    Retry,
)
from tests.simulation.oracle.windows import Windows
from tests.simulation.settings import Job
from tests.simulation.world import Daemon


class Known:
    """The state of a job, and the alerts that are open."""

    def __init__(
        self,
        job: Job,
        required: dict[str, bool],
        begin: float,
        alerts: Alerts,
        waits: float,
        daemon: Daemon,
    ) -> None:
        self.job = job
        self.daemon = daemon
        self.alerts = alerts
        #: The longest `after_downtime` of any job.
        self.waits = waits
        #: True time, and the clock of the daemon less that.
        self.true = begin
        self.offset = 0.0
        self.downtime = Downtime(until=begin, settled=begin + SETTLE)
        #: Slots up to here need no run; the next one counts from here for `every`.
        self.covered = begin
        self.last_ended = 0.0
        #: Slots without a run that were missed, and the deadline that was first.
        self.missed: list[float] = []
        self.missed_at: float | None = None
        #: Slots up to here are unobserved, in a downtime until then.
        self.unobserved = 0.0
        self.unobserved_until: float | None = None
        self.open: list[Open] = []
        self.hung: list[Hung] = []
        self.retries: list[Retry] = []
        #: Consecutive bad and ok runs.
        self.bad = 0
        self.good = 0
        self.failing = False
        self.violated = False
        self.slow = False
        self.last_judged = 0.0
        self.last_duration = 0.0
        self.last_report = 0.0
        self.finished: set[tuple[str | None, int]] = set()
        self.given_up: set[tuple[str | None, int]] = set()
        #: The last report, and the time when it arrived.
        self.last_mark: tuple[int, float] | None = None
        self.windows = Windows(job)
        self.paused = False
        self.paused_until = math.inf
        self.paused_at = 0.0
        self.resumes = False
        self.disabled = False
        self.watched_since = 0.0
        self.required = required
        self.upstream: dict[str, frozenset[str]] = {}
        #: Whether a required job is unhealthy, and since when none is any more.
        self.held_back = False
        self.healed_at: float | None = None
        #: Conditions that hold, with the beginning that is recorded.
        self.holding: dict[str, float] = {}
        self.changes: list[Healthy] = []

    @property
    def now(self) -> float:
        return self.true + self.offset

    @property
    def active(self) -> bool:
        return not (self.paused or self.disabled)

    @property
    def noticed(self) -> float:
        """The limit that an open alert on a run is about; -inf without one."""
        return self.holding.get("overrunning", -math.inf)
