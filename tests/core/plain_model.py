"""What is wrong with a job, worked out from a list of its runs by brute force.

This is the oracle of test_alert_settings.py: it follows the documentation, keeps every
report, and shares no code with the decisions that it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Final

#: Slots of the cron job are the full minutes.
MINUTE: Final = 60.0
DAY: Final = 86400.0
NEUTRAL: Final = ("canceled", "skipped")
BAD: Final = ("fail", "partial", "timeout", "invalid")


@dataclass(frozen=True)
class Settings:
    """The alert settings of a job; None turns one off."""

    after_failures: int = 1
    recover_after: int = 1
    schedule: str | None = None
    grace: float = 10.0
    early: float = 5.0
    max_runtime: float | None = None
    max_open: int | None = None
    slower_than: float | None = None
    has_rule: bool = True
    has_upstream: bool = False


@dataclass(frozen=True)
class Run:
    ended: float
    outcome: str
    began: float | None = None
    #: True for a run that hung and was given up when another one followed.
    is_hung: bool = False

    @property
    def duration(self) -> float | None:
        return None if self.began is None else self.ended - self.began


@dataclass
class PlainJob:
    """Everything that was reported of a job, and what was done to it."""

    settings: Settings
    watched_since: float
    #: In the order they arrived.
    runs: list[Run] = field(default_factory=list)
    #: Beginnings of open runs by run id.
    open: dict[str, float] = field(default_factory=dict)
    #: Those that were open when one began that was too many.
    overlapped: set[str] = field(default_factory=set)
    #: Limits of runs that hung, until a run that began later has ended.
    hung: list[float] = field(default_factory=list)
    paused: bool = False
    paused_until: float | None = None
    upstream_ill: bool = False
    healed_at: float | None = None

    def judged(self) -> list[Run]:
        """Return the runs that say how the job is: none that ended before such a one."""
        found: list[Run] = []
        latest = self.watched_since - 1e9
        for run in self.runs:
            if run.outcome in NEUTRAL or run.ended < latest:
                continue
            found.append(run)
            if not run.is_hung:
                latest = run.ended
        return found

    def give_up(self, now: float, but: str = "") -> None:
        """Give up runs without a limit that are older than several periods at *now*."""
        if self.settings.max_runtime is not None:
            return
        known = [run.duration for run in self.judged() if run.duration is not None]
        period = DAY / 5 if self.settings.schedule is None else MINUTE
        longest = 5 * max(period, known[-1] if known else 0.0)
        for run_id, since in [*self.open.items()]:
            if run_id != but and since + longest < now:
                del self.open[run_id]

    def follow(self, began: float, now: float) -> None:
        """Give up the open runs past their limits: one that *began* then follows them."""
        longest = self.settings.max_runtime
        for run_id, since in [*self.open.items()]:
            if longest is not None and since + longest < now:
                limit = since + longest
                if began >= limit:
                    del self.open[run_id]
                    self.hung.append(limit)
                    self.runs.append(Run(limit, "timeout", is_hung=True))

    def end(self, run: Run) -> None:
        """Take in *run*: its end tells how the job is after those that hung before it."""
        self.runs.append(run)
        if run.outcome in NEUTRAL:
            return
        began = run.ended if run.began is None else run.began
        is_judged = any(run is one for one in self.judged())
        self.hung = [
            limit
            for limit in self.hung
            if not (limit <= began and (is_judged or run.ended >= limit))
        ]

    def is_failing(self) -> bool:
        failing = False
        outcomes: list[str] = []
        for run in self.judged():
            outcomes.append(run.outcome)
            if run.is_hung:
                # It counts, and the run that follows it decides.
                continue
            in_a_row = outcomes[-self.settings.after_failures :]
            enough = len(in_a_row) == self.settings.after_failures
            if run.outcome in BAD and enough and "ok" not in in_a_row:
                failing = True
            elif self.settings.recover_after == 1:
                # A run that broke a rule has an alert of its own.
                failing = failing and run.outcome in BAD
            elif {*outcomes[-self.settings.recover_after :]} == {"ok"}:
                failing = failing and len(outcomes) < self.settings.recover_after
        return failing

    def is_violated(self) -> bool:
        said_ok = [run for run in self.judged() if run.outcome in {"ok", "violated"}]
        return bool(said_ok) and said_ok[-1].outcome == "violated"

    def is_slow(self) -> bool:
        """Return True if the last run that came to its end took unusually long.

        It is compared with the ok runs that were reported before it.
        """
        if self.settings.slower_than is None:
            return False
        judged = self.judged()
        for place in reversed(range(len(self.runs))):
            run = self.runs[place]
            is_done = run.outcome in {"ok", "violated"} and run.duration is not None
            if is_done and any(run is one for one in judged):
                known = [
                    one.duration
                    for one in self.runs[:place]
                    if one.outcome == "ok" and one.duration is not None
                ]
                if not known or run.duration is None:
                    return False
                return run.duration > self.settings.slower_than * median(known)
        return False

    def is_overlapping(self) -> bool:
        most = self.settings.max_open
        if most is None:
            return False
        return len(self.open) > most or any(one in self.overlapped for one in self.open)

    def begin(self, run_id: str, now: float) -> None:
        """Take in the start of a run, after `follow`."""
        before = {*self.open}
        self.open[run_id] = now
        if self.settings.max_open is not None and len(before) >= self.settings.max_open:
            self.overlapped |= before

    def is_overrunning(self, now: float) -> bool:
        longest = self.settings.max_runtime
        if longest is None:
            return False
        over = any(began + longest < now for began in self.open.values())
        return over or bool(self.hung)

    def is_missed(self, now: float) -> bool:
        """Return True if the first slot without a run is past its deadline.

        The end of a run for that slot covers those that come meanwhile.
        """
        return any(self.deadline(slot) < now for slot in self.slots(now)[:1])

    def slots(self, until: float) -> list[float]:
        """Return the slots for which no run has come, up to *until*."""
        if self.settings.schedule is None:
            return []
        covered = self.covered_until()
        first = covered + MINUTE
        if self.settings.schedule == "cron":
            first = covered // MINUTE * MINUTE + MINUTE
        count = max(0, int((until - first) // MINUTE) + 1)
        return [first + number * MINUTE for number in range(count)]

    def covered_until(self) -> float:
        ends = [self.watched_since]
        for run in self.runs:
            if run.outcome == "canceled" or run.is_hung:
                continue
            ends.append(run.ended)
            # A run shortly before a slot is one for that slot.
            slot = run.ended // MINUTE * MINUTE + MINUTE
            began = run.ended if run.began is None else run.began
            limit = min(self.settings.early, MINUTE / 10)
            if self.settings.schedule == "cron" and slot - began <= limit:
                ends.append(slot)
        return max(ends)

    def deadline(self, slot: float) -> float:
        """Return the end of the grace of *slot*, or of the run that began in time for it."""
        late = slot + self.settings.grace
        found = [late]
        longest = self.settings.max_runtime
        if longest is not None:
            for began in self.open.values():
                earliest = slot - self.settings.early
                if self.settings.schedule == "every":
                    last = max((run.ended for run in self.runs), default=0.0)
                    earliest = min(self.covered_until(), last)
                if earliest <= began <= late:
                    found.append(began + longest)
        return max(found)

    def conditions(self, now: float) -> set[str]:
        """Return what is wrong with the job at *now*."""
        if self.paused:
            return set()
        wrong = {
            "missed": self.is_missed(now),
            "failing": self.is_failing(),
            "violated": self.settings.has_rule and self.is_violated(),
            "overrunning": self.is_overrunning(now),
            "overlapping": self.is_overlapping(),
            "slow": self.is_slow(),
        }
        held_back = self.upstream_ill or self.healed_at is not None
        return {one for one, holds in wrong.items() if holds} | (
            {"upstream_unhealthy"} if held_back else set()
        )

    def pass_time(self, now: float) -> None:
        """Note what time alone has ended by *now*."""
        until = self.paused_until
        if self.paused and until is not None and until <= now:
            self.resume(until)
            self.pass_time(until)
        if self.healed_at is not None and self.had_its_chance(now):
            self.healed_at = None

    def had_its_chance(self, now: float) -> bool:
        """Return True if the job may be blamed again since its upstream has healed."""
        healed = self.healed_at or 0.0
        judged = [run for run in self.judged() if not run.is_hung]
        if judged and judged[-1].ended >= healed:
            return True
        if self.paused:
            return False
        if self.settings.schedule is None:
            return self.conditions(now) <= {"upstream_unhealthy"}
        slots = self.slots(max(now, healed) + 2 * MINUTE)
        return self.deadline(next(slot for slot in slots if slot > healed)) < now

    def resume(self, now: float) -> None:
        if self.paused:
            self.paused, self.paused_until = False, None
            self.watched_since = now
