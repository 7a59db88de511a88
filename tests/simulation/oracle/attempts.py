"""Judgement of runs: attempts, failures in a row, and runs that hang."""

from __future__ import annotations

import math
from typing import Final

from tests.simulation.oracle.facts import BAD, Hung, Open, Retry, held, is_later
from tests.simulation.oracle.slots import Slots

#: How long another attempt is waited for where nothing else limits it, and its end.
NEXT_WITHIN: Final = 7200.0
ENDS_WITHIN: Final = 86_400.0
#: The share of a time limit that is too little to try again in.
ALMOST: Final = 0.1


class Attempts(Slots):
    """A job whose runs are judged, some of them after several attempts."""

    def _try_again(self, retry: Retry, most: int) -> None:
        """Wait for another attempt of a run, unless a later one has come already."""
        now, before = self.now, self._waiting(retry.run_id)
        if before is not None and retry.attempt < before.attempt:
            return
        if before is None and any(
            (retry.run_id, later) in self.finished
            for later in range(retry.attempt + 1, most + 1)
        ):
            return
        started = retry.ended if retry.started is None else retry.started
        retry.covers = self._covers(started, retry.ended)
        retry.begun = started
        if before is not None:
            retry.begun = min(started, before.begun)
            self.retries.remove(before)
        retry.until = self._until(retry.begun, started, retry.ended, NEXT_WITHIN)
        if retry.until < now:
            retry.until = now + self.job.grace
        self.retries.append(retry)

    def _until(
        self, begun: float, started: float, since: float, patience: float
    ) -> float:
        """Return when a run must have gone on whose first attempt began at *begun*."""
        job = self.job
        slot = self._after(self._decided()) if self.active else math.inf
        late = slot + job.grace
        in_time = self._is_in_time(begun, slot)
        if begun < slot - job.early:
            late = min(late, since + patience)
        limit = -math.inf if job.max_runtime is None else started + job.max_runtime
        if in_time and limit <= late:
            until = late
        elif job.max_runtime is not None:
            enough = limit - since > ALMOST * job.max_runtime
            until = limit if enough else since + job.grace
        else:
            until = min(late, since + patience)
        return until if until > since else since + job.grace

    def _waiting(self, run_id: str | None) -> Retry | None:
        return next((one for one in self.retries if one.run_id == run_id), None)

    def _wait_for(self, run: Open) -> None:
        """Wait for the end of *run*, if it is the next attempt of one that failed."""
        retry = self._waiting(run.run_id)
        if retry is None or run.attempt <= retry.attempt:
            return
        self.retries.remove(retry)
        until = self._until(retry.begun, run.began, run.began, ENDS_WITHIN)
        retry.until = max(retry.until, until)
        self.retries.append(retry)

    def _wait_no_more(self, late: list[Open]) -> None:
        """Wait no more for attempts that have hung themselves."""
        self.retries = [
            retry
            for retry in self.retries
            if not any(is_later(run, retry) for run in late)
        ]

    def _retry_limit(self, retry: Retry) -> float:
        down = self.downtime
        for run in self.open:
            if is_later(run, retry) and math.isfinite(self._limit(run)):
                return math.inf
        if retry.ended >= down.until:
            return retry.until
        if down.had(retry.until):
            return max(down.settled, down.until + (self.job.after_downtime or 0.0))
        if retry.ended <= down.until < retry.until < down.settled:
            return down.settled
        return retry.until

    def _judge_last_attempts(self, now: float) -> float | None:
        """Judge the runs whose next attempt has not come; return the end of the last."""
        newest = None
        for retry in [*self.retries]:
            if self._retry_limit(retry) < now:
                self.retries.remove(retry)
                newest = self._judge_waiting(retry, now)
        return newest

    def _judge_waiting(self, retry: Retry, now: float) -> float | None:
        ended, started = retry.ended, retry.started
        self.windows.number += 1
        newest = ended >= self.last_ended
        self.last_ended = max(self.last_ended, ended)
        judged = not ended < self.last_judged <= now
        if judged:
            self._decisions(retry.outcome, ended, retry.duration)
        began = ended if started is None else started
        key = retry.run_id, retry.attempt
        self._end_hangs(key, began, ended, again=False, judged=judged)
        self.windows.remember(ended, retry.duration, self.now, ok=False)
        self._cover(retry.covers, now)
        return ended if newest else None

    def _decisions(self, outcome: str, ended: float, duration: float | None) -> None:
        job = self.job
        if outcome == "ok":
            self.bad = 0
            self.good += 1
            if self.good >= job.recover_after:
                self.failing = False
        else:
            self.bad += 1
            self.good = 0
            if outcome in BAD and self.bad >= job.after_failures:
                self.failing = True
            elif job.recover_after == 1:
                self.failing = False
        if outcome in {"ok", "violated"}:
            self.violated = outcome == "violated"
            if job.slower is not None and duration is not None:
                self.slow = self.windows.is_slow(ended, duration)
        self.last_judged = ended
        if duration is not None:
            self.last_duration = duration

    def _end_hangs(
        self,
        key: tuple[str | None, int],
        began: float,
        ended: float,
        *,
        again: bool,
        judged: bool,
    ) -> None:
        itself = None
        if again:
            same = (one for one in self.hung if (one.run_id, one.attempt) == key)
            itself = next(same, None)
        if itself is not None:
            began = itself.began
        elif again:
            began = -math.inf
        rest = []
        for one in self.hung:
            if one is itself:
                continue
            if one.followed_from <= began and (judged or ended >= one.limit):
                continue
            if judged:
                one.decides = False
            rest.append(one)
        self.hung = rest

    def _hang(self, run: Open, follower: float, *, decides: bool) -> None:
        """Remember that *run* hung, which one that began at *follower* has followed."""
        limit = self._limit(run)
        self.hung.append(
            Hung(
                run.run_id,
                run.attempt,
                run.began,
                limit,
                min(limit, follower),
                decides,
                held(limit, run),
            )
        )
