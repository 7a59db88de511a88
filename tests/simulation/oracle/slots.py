"""Slots: which of them were run, missed or unobserved."""

from __future__ import annotations

import math

from tests.simulation.oracle.facts import Due
from tests.simulation.oracle.limits import Limits


class Slots(Limits):
    """A job that is due now and then."""

    def _deadline(self, slot: float) -> float:
        """Return until when a run for *slot* is not late: an open one has its time."""
        found = slot + self.job.grace
        if self.job.max_runtime is not None:
            for run in self.open:
                if self._is_in_time(run.began, slot):
                    found = max(found, run.began + self.job.max_runtime)
        return found

    def _is_in_time(self, began: float, slot: float) -> bool:
        earliest = slot - self.job.early
        if self.job.every is not None:
            earliest = min(self.covered, self.last_ended)
        return earliest <= began <= slot + self.job.grace

    def _decided(self) -> float:
        return max(self._covered_until(), self.unobserved, *self.missed[-1:])

    def _covered_until(self) -> float:
        """Return up to which slot runs have come, also those that are tried again."""
        return max(self.covered, *(one.covers for one in self.retries), 0.0)

    def _due(self, after: float | None = None) -> Due:
        down, job = self.downtime, self.job
        slot = self._after(self._decided() if after is None else after)
        deadline = self._deadline(slot)
        if deadline > down.settled or not math.isfinite(slot):
            return Due(slot, deadline, slot, True, deadline)
        if not down.had(deadline):
            late = self._late(slot, deadline)
            return Due(slot, late, slot, True, late)
        if job.every is not None:
            following = through = down.until + job.every
            through = down.until
        else:
            through = slot
            following = self._after(slot)
            while self._deadline(following) <= down.until:
                through, following = following, self._after(following)
        late = self._late(following, self._deadline(following))
        patience = max(down.settled, down.until + (job.after_downtime or 0.0))
        until = min(patience, late)
        if job.after_downtime is None:
            return Due(slot, until, through, False, late)
        return Due(slot, until, through, True, until)

    def _late(self, slot: float, deadline: float) -> float:
        """Return when *slot* is missed: a report sent in the downtime is tried again."""
        down = self.downtime
        if not slot <= down.until < deadline < down.settled:
            return deadline
        following = slot
        while following <= down.until:
            following = self._after(following)
        return min(down.settled, self._deadline(following))

    def _settle(self, now: float, *, at_once: bool = False) -> None:
        """Decide the slots whose time has come."""
        if not self.active:
            return
        was_missed = self.missed_at is not None
        while True:
            due = self._due()
            if due.missed:
                if not due.at < now:
                    break
                self.missed.append(due.through)
                if self.missed_at is None:
                    self.missed_at = due.at
            else:
                if not (due.at < now or at_once):
                    break
                self.unobserved = due.through
                self.unobserved_until = self.downtime.until
        if self.missed_at is not None and not was_missed:
            self.covered = max(self.covered, self.unobserved)
            self.unobserved_until = None
        if self.downtime.settled < now:
            self.open = [run for run in self.open if not self._may_be_lost(run)]

    def _cover(self, until: float, now: float) -> None:
        """Note that a run has come for the slots up to then."""
        if until <= self.covered:
            return
        self.covered = until
        self._see()
        if self.missed_at is None:
            return
        every, until = self.job.every, self._covered_until()
        if every is None:
            self.missed = [slot for slot in self.missed if slot > until]
        else:
            # Its slots go by that run from now on.
            through = min(max(self.missed, default=0.0), now - self.job.grace)
            count = max(0, math.floor((through - until) / every))
            self.missed = [until + every * (n + 1) for n in range(count)]
            while True:
                due = self._due()
                if not (due.missed and due.deadline < now and due.at < now):
                    break
                self.missed.append(due.through)
        self.missed_at = None
        if self.missed:
            self.missed_at = self.missed[0] + self.job.grace
        else:
            due = self._due(max(until, self.unobserved))
            if due.missed and due.at <= now:
                self.missed_at = due.slot + self.job.grace

    def _see(self) -> None:
        """Note which unobserved slots a run was for after all."""
        job = self.job
        slot = self._after(self._covered_until())
        if self.unobserved_until is not None:
            if slot + job.grace > self.unobserved_until:
                self.unobserved, self.unobserved_until = 0.0, None
        elif job.every is not None and slot + job.grace > self.unobserved:
            self.unobserved = 0.0

    def _covers(self, began: float, ended: float) -> float:
        """Return up to which slot a run counts: also for one that comes at once."""
        if self.job.schedule is None:
            return ended
        slot = self.job.schedule.after(ended)
        gap = self.job.schedule.after(slot) - slot
        is_early = slot - min(began, ended) <= min(self.job.early, gap / 10)
        return slot if is_early else ended

    def _forget_slots(self, now: float) -> None:
        """Expect no run for the slots until now, or at once where one came early."""
        if not now < self.covered <= now + self.job.early:
            self.covered = now
        self.missed, self.missed_at = [], None
        self.unobserved, self.unobserved_until = 0.0, None
