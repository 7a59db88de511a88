"""Detection of downtimes in which no report could arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from afterrun_exporter.clock import Clock
from afterrun_exporter.core.clock_watch import MIN_PAUSE
from afterrun_exporter.core.downtimes import settling
from afterrun_exporter.engine.decisions import Decisions
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.storage.replicas import Downtime

#: Seconds without a step after which the clock counts as correct.
STEADY: Final = 86_400.0

#: Seconds of a step after which the stored runs are read again.
LEAP: Final = 60.0

#: Seconds between attempts to write to a store that refuses to commit.
PROBE_EVERY: Final = 5.0

log = structlog.get_logger()


class DowntimeMonitor:
    """Steps of the clock, pauses of the daemon, and outages of the storage.

    Each is a downtime, after which all jobs must be checked again: `is_pending` is True
    until that is done. Of a daemon that is one of several replicas only those count in
    which all of them were down, as the database knows (`down`).
    """

    def __init__(
        self,
        clock: Clock,
        decisions: Decisions,
        wakeups: WakeupQueue,
        *,
        is_shared: bool = False,
    ) -> None:
        self._clock = clock
        self._decisions = decisions
        self._wakeups = wakeups
        #: True if other replicas receive reports while this one is down.
        self._is_shared = is_shared
        #: True while jobs wait to be checked again.
        self.is_pending = False
        #: True if the clock was set by so much that windows may lack runs.
        self.is_leapt = False
        self.steps = 0
        self.pauses = 0
        #: The start of an outage of the storage, or None. Like the next two, it is a
        #: value of `Clock.elapsed`.
        self._refusing_since: float | None = None
        self._probed_at = 0.0
        self._stepped_at = 0.0
        #: Seconds by which the clock may be ahead.
        self._ahead = 0.0

    @property
    def is_refusing(self) -> bool:
        """True from the first transaction that failed to the first that succeeds."""
        return self._refusing_since is not None

    def begin(self, newest: float, last: Downtime | None = None) -> None:
        """Begin to watch at the start of the daemon; *newest* is the last stored time.

        The daemon may have been down since then, or the clock may be ahead. *last* is
        the last downtime of all replicas.
        """
        self._clock.look()
        now = self._clock.now()
        self._stepped_at = self._clock.elapsed()
        self._ahead = max(0.0, now - newest)
        if not self._is_shared:
            self._settle(float("-inf"), now)
        elif last is not None:
            self._settle(last.since, last.until)

    def down(self, downtime: Downtime) -> None:
        """Record a *downtime* of all replicas."""
        log.warning(
            "all_replicas_down", seconds=round(downtime.until - downtime.since, 3)
        )
        self._settle(downtime.since, downtime.until, self._longest_wait())
        self._check_all()

    def look(self, *, starting: bool = False) -> None:
        """Detect a step of the clock or a pause since the last call.

        All jobs must be checked again after it. A long start is no pause.
        """
        if (noticed := self._clock.look()) is None or (starting and not noticed.step):
            return
        if noticed.step:
            self.steps += 1
            self.is_leapt |= abs(noticed.step) >= LEAP
            log.warning("clock_stepped", seconds=round(noticed.step, 3))
            self._ahead = max(0.0, self.ahead() + noticed.step)
            self._stepped_at = self._clock.elapsed()
            self._decisions.is_set_back |= noticed.step < 0
        if noticed.pause:
            self.pauses += 1
            log.warning("suspended", seconds=round(noticed.pause, 3))
        self._note(noticed.since, noticed.now)

    @contextmanager
    def planning(self) -> Iterator[bool]:
        """Check all jobs again inside; yield True if their windows may lack runs.

        After an error the check is pending again. Another downtime may be detected
        during the check.
        """
        is_leapt, self.is_leapt = self.is_leapt, False
        self.is_pending = False
        try:
            yield is_leapt
        except BaseException:
            self.is_leapt |= is_leapt
            self.is_pending = True
            raise

    def ahead(self) -> float:
        """Return the seconds by which the clock may be ahead; 0 if it counts as correct."""
        if self._clock.elapsed() - self._stepped_at >= STEADY:
            self._ahead = 0.0
        return self._ahead

    def refused(self, error: object) -> None:
        """Record that a transaction could not be committed."""
        since = self._refusing_since
        self._extend(self._refuse(0.0, error) if since is None else since)

    def accepted(self) -> None:
        """Record that a transaction was committed."""
        if self._refusing_since is None:
            return
        lasted, now = self._clock.elapsed() - self._refusing_since, self._clock.now()
        self._refusing_since = None
        log.info("storage_recovered", seconds=round(lasted, 3))
        self._note(now - lasted, now)

    def watch_storage(self, writing_for: float) -> bool:
        """Record the duration of the transaction in progress in seconds, 0 for none.

        Returns True at the start of an outage, and whenever it is time for another
        attempt to write.
        """
        if self._refusing_since is None:
            if writing_for < MIN_PAUSE:
                return False
            self._refuse(writing_for, f"a transaction takes {writing_for:.0f} s")
            return True
        self._extend(self._refusing_since)
        elapsed = self._clock.elapsed()
        if elapsed - self._probed_at < PROBE_EVERY:
            return False
        self._probed_at = elapsed
        return True

    def _refuse(self, lasted: float, error: object) -> float:
        elapsed, now = self._clock.elapsed(), self._clock.now()
        self._refusing_since = elapsed - lasted
        self._probed_at = elapsed
        log.error("storage_failing", error=str(error))
        self._settle_own(now - lasted, now, self._longest_wait())
        return self._refusing_since

    def _extend(self, since: float) -> None:
        """Extend the downtime until now."""
        now = self._clock.now()
        self._settle_own(now - (self._clock.elapsed() - since), now)

    def _note(self, since: float, now: float) -> None:
        self._settle_own(since, now, self._longest_wait())
        self._check_all()

    def _check_all(self) -> None:
        self._wakeups.clear()
        self.is_pending = True

    def _longest_wait(self) -> float:
        jobs = self._decisions.job_registry
        return max((job.after_downtime or 0.0 for job in jobs), default=0.0)

    def _settle_own(self, since: float, now: float, waits: float = 0.0) -> None:
        """Record a downtime of this process, unless other replicas were up."""
        if not self._is_shared:
            self._settle(since, now, waits)

    def _settle(self, since: float, now: float, waits: float = 0.0) -> None:
        settle = self._decisions.job_registry.job_config.settle
        self._decisions.settings = settling(
            self._decisions.settings, since, now, settle, waits
        )
