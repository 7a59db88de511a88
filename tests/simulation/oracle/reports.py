"""Starts and ends of runs, as they are reported."""

from __future__ import annotations

from typing import Final

from tests.simulation.oracle.attempts import Attempts
from tests.simulation.oracle.facts import (
    BAD,
    NEUTRAL,
    RETRIED,
    Open,
    Retry,
    concludes,
    is_earlier,
)
from tests.simulation.world import Report

#: How far ahead the clock of a client may be.
SKEW: Final = 2.0
#: Equal reports without a run id are one within this time.
DEDUP: Final = 10.0


class Reports(Attempts):
    """A job that reports."""

    def _is_repeat(self, report: Report) -> bool:
        if report.run_id is not None:
            key = report.run_id, report.attempt
            if report.kind == "progress":
                is_open = any(run.run_id == report.run_id for run in self.open)
                return key in self.finished and not is_open
            if report.kind == "finish":
                return key in self.finished
            keys = {key, (report.run_id, report.attempt + 1)}
            return bool(keys & self.finished or keys & self.given_up) or any(
                run.run_id == report.run_id and run.attempt >= report.attempt
                for run in self.open
            )
        if self.last_mark is None:
            return False
        mark, at = self.last_mark
        return mark == report.mark and self.now - at <= DEDUP

    def _clipped(self, reported: float | None) -> float:
        """Return when a thing happened that was reported now."""
        if reported is None or reported - self.now > SKEW:
            return self.now
        return min(reported, self.now)

    def _end_of(self, report: Report) -> float:
        return self._clipped(report.ended_at)

    def _start_of(self, report: Report, own: Open | None) -> float | None:
        began = report.started_at
        if began is None:
            return None if own is None else own.began
        return self.now if self.now < began <= self.now + SKEW else began

    def _start(self, report: Report) -> float | None:
        """Take in a start; return the end of a run that it gives up, if that was last."""
        now, job = self.now, self.job
        began = self._clipped(report.started_at)
        if any(self._may_be_lost(run) for run in self.open):
            self._settle(now, at_once=True)
        kept: list[Open] = []
        late: list[Open] = []
        earlier: list[Open] = []
        for run in self.open:
            nameless = run.run_id is report.run_id is None and job.max_open is None
            if is_earlier(run, report):
                if self._over_at(run) < now:
                    earlier.append(run)
            elif self._over_at(run) < now:
                late.append(run)
            elif not (nameless or self._is_abandoned(run)):
                kept.append(run)
        reported = now if began < now else 0.0
        another = Open(report.run_id, began, report.attempt, reported=reported)
        self._wait_no_more(late)
        self._wait_for(another)
        self.open = [*kept, another]
        for run in earlier:
            self._hang(run, began, decides=False)
        self.last_report = now
        ended = None
        for run in late:
            ended = self._give_up(run, began)
        return None if ended is None or ended < self.last_ended else ended

    def _give_up(self, run: Open, follower: float) -> float:
        """Count *run* as timed out, and return its end.

        Whether the job fails, the run that follows tells.
        """
        ended = min(self.now, self._limit(run))
        decides = not ended < self.last_judged
        self.windows.number += 1
        self.windows.remember(ended, None, self.now, ok=False)
        self.last_ended = max(self.last_ended, ended)
        if run.run_id is not None:
            self.given_up.add((run.run_id, run.attempt))
        if decides:
            self.bad += 1
            self.good = 0
        self._hang(run, follower, decides=decides)
        return ended

    def _finish(self, report: Report) -> float | None:
        """Take in the end of a run; return it if no run ended later."""
        now, job = self.now, self.job
        own = self._open_run(report)
        ended = self._end_of(report)
        began, duration = self._start_of(report, own), report.duration
        if (report.ended_at or 0.0) - now > SKEW and report.started_at is not None:
            # Of a clock that is ahead, only the time between the two is known.
            began = None
            if duration is None and report.ended_at is not None:
                duration = report.ended_at - report.started_at
        if duration is None and began is not None:
            duration = ended - began
        if duration is not None and duration < 0:
            began = duration = None
        if duration is not None and (began is None or began > ended):
            began = ended - duration
        begun = ended if began is None else began
        # Which run ends may not depend on those that are given up.
        named = report.run_id is not None and all(run.run_id for run in self.open)
        is_plain = own is not None or named
        for run in [*self.open]:
            if run is own:
                continue
            if is_earlier(run, report):
                self.open.remove(run)
                if self._over_at(run) < now:
                    self._hang(run, begun, decides=False)
                continue
            nameless = run.run_id is report.run_id is None and job.max_open is not None
            follows = (
                own is None
                and begun >= self._limit(run)
                and report.outcome not in NEUTRAL
                and not self._was_given_up(report)
                and not (run.run_id is not None and run.run_id == report.run_id)
            )
            if self._over_at(run) < now and (nameless or follows):
                self.open.remove(run)
                self._wait_no_more([run])
                self._give_up(run, begun)
            elif nameless or (is_plain and self._is_abandoned(run)):
                self.open.remove(run)
        outcome = report.outcome
        if outcome == "ok" and job.has_rule and not (report.rows or 0.0) > 0:
            outcome = "violated"
        if own is not None:
            self.open.remove(own)
        self.windows.number += 1
        self.last_report = now
        known = own.began if own is not None else begun
        again = own is None and self._was_given_up(report)
        run_id = report.run_id
        if run_id is None and own is not None and report.outcome != "invalid":
            run_id = own.run_id
        if run_id is not None:
            self.finished.add((run_id, report.attempt))
        most = report.max_attempts or 0
        if report.attempt < most and outcome in RETRIED:
            retry = Retry(
                run_id, report.attempt, outcome, begun, began, ended, duration
            )
            self._try_again(retry, most)
            self._see()
            return None
        self.retries = [one for one in self.retries if not concludes(report, one)]
        newest = ended >= self.last_ended
        self.last_ended = max(self.last_ended, ended)
        if outcome == "canceled":
            return ended if newest else None
        cover = self._covers(begun, ended)
        is_news = outcome != "skipped" and not (again and outcome in BAD)
        judged = is_news and not ended < self.last_judged <= now
        if judged:
            self._decisions(outcome, ended, duration)
        if is_news:
            key = report.run_id, report.attempt
            self._end_hangs(key, known, ended, again=again, judged=judged)
        if outcome != "skipped":
            self.windows.remember(ended, duration, self.now, ok=outcome == "ok")
        self._cover(cover, now)
        self._see()
        return ended if newest else None

    def _was_given_up(self, report: Report) -> bool:
        return (report.run_id, report.attempt) in self.given_up

    def _open_run(self, report: Report) -> Open | None:
        same = [run for run in self.open if run.run_id == report.run_id]
        if same and report.run_id is not None:
            exact = [run for run in same if run.attempt == report.attempt]
            if exact or report.max_attempts is None:
                return (exact or same)[0]
            earlier = [run for run in same if run.attempt < report.attempt]
            return earlier[-1] if earlier else None
        if same:
            return same[-1]
        if len(self.open) == 1 and None in {self.open[0].run_id, report.run_id}:
            return self.open[0]
        return None
