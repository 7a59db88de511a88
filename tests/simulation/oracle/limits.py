"""Limits of runs that are open, and runs that are too many."""

from __future__ import annotations

import math
from typing import Final

from tests.simulation.oracle.facts import CLOSE_BEHIND, Open, held, is_later
from tests.simulation.oracle.known import Known

#: Periods after which a run without a limit is given up.
SEVERAL: Final = 5
DAY: Final = 86_400.0


class Limits(Known):
    """A job whose runs have limits."""

    def _limit(self, run: Open) -> float:
        """Return when *run* must have ended, or sent a sign of life."""
        return min(self._time_limit(run), self._silence(run))

    def _time_limit(self, run: Open) -> float:
        return run.began + (self.job.max_runtime or math.inf)

    def _silence(self, run: Open) -> float:
        if not run.alive:
            return math.inf
        return run.alive + (self.job.heartbeat or math.inf)

    def _over_at(self, run: Open) -> float:
        """Return when *run* is overrunning, as far as it was observed."""
        down, job = self.downtime, self.job
        if run.over or max(run.began, run.alive) >= down.until:
            return self._limit(run)
        limit = self._time_limit(run)
        if down.had(limit):
            if job.after_downtime is None:
                return math.inf
            limit = max(down.settled, down.until + job.after_downtime)
        elif run.began <= down.until < limit < down.settled:
            limit = down.settled
        silence = self._silence(run)
        if silence >= down.since:
            silence = max(silence, down.until + (job.heartbeat or math.inf))
        return min(limit, silence)

    def _may_be_lost(self, run: Open) -> bool:
        """Return True if *run* may have ended in the downtime, as it must have."""
        return (
            not run.over
            and max(run.began, run.alive) < self.downtime.until
            and self.job.after_downtime is None
            and self.downtime.had(self._time_limit(run))
        )

    def _overrunning_from(self) -> tuple[float, float]:
        """Return when the job is overrunning, as far as is known, and the limit of that.

        A limit that had passed when the start was reported is noticed later.
        """
        noticed = self.noticed
        found = (math.inf, math.inf)
        for one in self.hung:
            waits = one.held_until if one.limit > noticed else 0.0
            found = min(found, (max(one.limit, waits), one.limit))
        for run in self.open:
            limit = self._over_at(run)
            waits = held(limit, run) if limit > noticed else 0.0
            found = min(found, (max(limit, waits), limit))
        return found

    def _certain_from(self, run: Open) -> float:
        """Return when *run* is overrunning, and its end is not on its way."""
        limit = self._over_at(run)
        return max(limit, held(limit, run))

    def _watch(self, now: float) -> None:
        """Note which open runs are overrunning, and which have not ended at once."""
        for run in self.open:
            if self.active or run.over:
                run.over = self._certain_from(run) < now
            if self.job.max_open is not None and self._has_arrived(run, now):
                run.reported = 0.0

    def _has_arrived(self, run: Open, now: float) -> bool:
        return not run.reported or run.reported + CLOSE_BEHIND < now

    def _is_abandoned(self, run: Open) -> bool:
        """Return True if *run* has no limit and is open for several periods."""
        if math.isfinite(self._limit(run)):
            return False
        if any(is_later(run, one) for one in self.retries):
            return False
        period = DAY / SEVERAL
        if self.job.every is not None:
            period = self.job.every
        elif self.job.schedule is not None:
            slot = self._after(run.began)
            period = self._after(slot) - slot
        usual = max(period, self.last_duration)
        return max(run.began, run.alive) + SEVERAL * usual < self.now

    def _overlap(self, now: float) -> bool:
        """Return True from one run too many until those before it have ended."""
        most = self.job.max_open
        if most is None:
            return False
        runs = [
            run
            for run in self.open
            if self._has_arrived(run, now) and not self._may_be_lost(run)
        ]
        if len(runs) > most:
            for run in sorted(runs, key=lambda one: one.began)[:-1]:
                run.among = max(run.among, len(runs))
            return True
        return any(run.among > most for run in runs)

    def _after(self, instant: float) -> float:
        """Return the first slot after that."""
        if self.job.schedule is not None:
            return self.job.schedule.after(instant)
        return math.inf if self.job.every is None else instant + self.job.every
