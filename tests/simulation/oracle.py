"""Which alerts a story must lead to, by the documents alone.

Each job is gone through by itself, report by report, with its own idea of slots, runs
and downtimes. This shares no code with the product.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Final

from tests.simulation.found import Alert, Alerts
from tests.simulation.world import (
    Act,
    Daemon,
    Job,
    Outage,
    Report,
    Step,
    Story,
)

SETTLE: Final = 120.0
#: A downtime that begins so soon after another one has settled goes on with it.
SLACK: Final = 60.0
#: How far ahead the clock of a client may be.
SKEW: Final = 2.0
#: Equal reports without a run id are one within this time.
DEDUP: Final = 10.0
KEPT_RUNS: Final = 1000
#: How long the end of a run whose start is reported late may be on its way.
CLOSE_BEHIND: Final = 30.0
#: Periods after which a run without a limit is given up.
SEVERAL: Final = 5
DAY: Final = 86_400.0
#: By which share of the usual gap between runs a window may be shorter or longer.
EDGE: Final = 0.25
#: How long another attempt is waited for where nothing else limits it, and its end.
NEXT_WITHIN: Final = 7200.0
ENDS_WITHIN: Final = 86_400.0
#: The share of a time limit that is too little to try again in.
ALMOST: Final = 0.1
RETRIED: Final = frozenset({"fail", "timeout"})

BAD: Final = frozenset({"fail", "partial", "timeout", "invalid"})
NEUTRAL: Final = frozenset({"canceled", "skipped"})
#: Conditions that are over when a run has ended, and not when that is reported.
BY_RUNS: Final = frozenset(
    {
        "failing",
        "violated",
        "slow",
        "success_ratio_low",
        "overrunning",
        "overlapping",
    }
)


@dataclass
class Open:
    """A run whose end has not been reported."""

    run_id: str | None
    began: float
    attempt: int = 1
    alive: float = 0.0
    #: When its start was reported, if that was late.
    reported: float = 0.0
    #: The most runs that were open when another one began.
    among: int = 0


@dataclass
class Retry:
    """A run whose last attempt failed, and that waits for the next one."""

    run_id: str | None
    attempt: int
    outcome: str
    begun: float
    started: float | None
    ended: float
    duration: float | None
    until: float = 0.0
    #: Slots up to here are those of this run.
    covers: float = 0.0


@dataclass
class Hung:
    """A run that was given up past its limit."""

    run_id: str | None
    attempt: int
    began: float
    limit: float
    followed_from: float
    decides: bool
    held_until: float = 0.0


@dataclass(frozen=True)
class Past:
    """What is remembered of a run for windows."""

    number: int
    ended: float
    duration: float | None
    ok: bool


@dataclass
class Downtime:
    """The last time in which no report could arrive, on the clock of the daemon."""

    since: float = -math.inf
    until: float = -math.inf
    settled: float = -math.inf

    def had(self, instant: float) -> bool:
        return self.since <= instant <= self.until


@dataclass(frozen=True)
class Healthy:
    """The open conditions of a required job have changed."""

    at: float
    job: str
    conditions: frozenset[str]


@dataclass(frozen=True)
class Due:
    """When the next slots of a job are decided, and how."""

    slot: float
    at: float
    through: float
    missed: bool
    #: The deadline of the next slot that is missed then.
    deadline: float


Fact = Report | Act | Outage | Step | Healthy


def expected(story: Story) -> list[Alert]:
    """Return the alerts that there must be."""
    alerts = Alerts()
    changes: dict[str, list[Healthy]] = {}
    waits = max((job.after_downtime or 0.0 for job in story.jobs), default=0.0)
    by_job: dict[str, list[Fact]] = {job.name: [] for job in story.jobs}
    for event in story.events:
        if isinstance(event, Report | Act):
            by_job[event.job].append(event)
        else:
            for facts in by_job.values():
                facts.append(event)
    jobs = {job.name: job for job in story.jobs}
    for job in story.jobs:
        required = requirements(job, jobs)
        facts = by_job[job.name]
        for name in required:
            facts += changes[name]
        facts.sort(key=lambda one: one.at)
        life = Oracle(job, required, story.begin, alerts, waits, story.daemon)
        life.live(facts, story.end)
        changes[job.name] = life.changes
    return alerts.all


def requirements(job: Job, jobs: dict[str, Job]) -> dict[str, bool]:
    """Return the jobs that *job* requires, and whether each must succeed."""
    found: dict[str, bool] = {}

    def walk(one: Job, must: bool) -> None:
        for required in one.requires:
            success = must and required.success
            found[required.job] = found.get(required.job, False) or success
            walk(jobs[required.job], success)

    walk(job, must=True)
    return found


class Oracle:
    """One job, and all that is known of it by a moment."""

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
        self.waits = waits
        #: True time, and the clock of the daemon less that.
        self.true = begin
        self.offset = 0.0
        self.downtime = Downtime(until=begin, settled=begin + SETTLE)
        # A start is a downtime of a job that was known before.
        #: Slots up to here need no run; the next one counts from here for `every`.
        self.covered = begin
        self.last_ended = 0.0
        #: Slots without a run that were missed, and the deadline that was first.
        self.missed: list[float] = []
        self.missed_at: float | None = None
        self.unobserved = 0.0
        self.unobserved_until: float | None = None
        self.open: list[Open] = []
        self.hung: list[Hung] = []
        self.retries: list[Retry] = []
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
        self.last_mark: tuple[int, float] | None = None
        self.past: list[Past] = []
        self.stored: deque[Past] = deque(maxlen=KEPT_RUNS)
        over = job.ratio.over * (1 + EDGE) if job.ratio is not None else 0.0
        self.reach = max(over, job.slower.over if job.slower is not None else 0.0)
        self.number = 0
        self.paused = False
        self.paused_until = math.inf
        self.paused_at = 0.0
        self.resumes = False
        self.disabled = False
        self.watched_since = 0.0
        self.required = required
        self.upstream: dict[str, frozenset[str]] = {}
        self.held_back = False
        self.healed_at: float | None = None
        #: Conditions that hold, with the beginning that is recorded.
        self.holding: dict[str, float] = {}
        self.ratio_until = math.inf
        self.changes: list[Healthy] = []
        self.story: list[tuple[float, str]] = []

    # --- Time ---------------------------------------------------------------------

    def live(self, facts: list[Fact], end: float) -> None:
        """Go through all that happens."""
        for fact in facts:
            self._pass(fact.at)
            self._take(fact)
        self._pass(end)

    @property
    def now(self) -> float:
        return self.true + self.offset

    def _pass(self, until: float) -> None:
        """Note what time alone brings about until then."""
        while (at := self._next()) - self.offset < until:
            # What became due while nobody looked is noticed now.
            self.true = max(self.true, at - self.offset)
            self._tick(at)
        self.true = max(self.true, until)

    def _tick(self, at: float) -> None:
        now = math.nextafter(max(at, self.now), math.inf)
        if self.paused and self.paused_until <= at:
            self._resume(self.paused_until)
        self._look(now)

    def _look(self, now: float) -> None:
        """Note what is so by now without a report."""
        run = self._judge_last_attempts(now)
        self._settle(now)
        self._update(now, run)

    def _next(self) -> float:
        """Return when the next thing happens without a report."""
        found = min(map(self._retry_limit, self.retries), default=math.inf)
        if self.paused or self.disabled:
            return min(found, self.paused_until)
        found = min(found, self._due().at)
        if "overrunning" not in self.holding:
            found = min(found, self._overrunning_from())
        if any(self._is_lost(run) for run in self.open):
            found = min(found, self.downtime.settled)
        if self.job.max_open is not None:
            waits = (run.reported + CLOSE_BEHIND for run in self.open if run.reported)
            found = min(found, *waits, math.inf)
        found = min(found, self.ratio_until)
        if self.healed_at is not None:
            found = min(found, self._release())
        return found

    # --- Slots --------------------------------------------------------------------

    @property
    def active(self) -> bool:
        return not (self.paused or self.disabled)

    def _after(self, instant: float) -> float:
        """Return the first slot after that."""
        if self.job.schedule is not None:
            return self.job.schedule.after(instant)
        return math.inf if self.job.every is None else instant + self.job.every

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
            self.open = [run for run in self.open if not self._is_lost(run)]

    def _cover(self, until: float, now: float) -> None:
        """Note that a run has come for the slots up to then."""
        if until <= self.covered:
            return
        self.covered = until
        self._see()
        every, through = self.job.every, max(self.missed, default=0.0)
        if self.missed:
            if every is None:
                self.missed = [slot for slot in self.missed if slot > until]
            else:
                # Its slots go by that run from now on.
                through = min(through, now - self.job.grace)
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
                due = self._due(max(self.covered, self.unobserved))
                if due.missed and due.at <= now:
                    self.missed_at = due.slot + self.job.grace

    # --- Runs ---------------------------------------------------------------------

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
        if max(run.began, run.alive) >= down.until:
            return self._limit(run)
        limit = self._time_limit(run)
        if down.had(limit):
            if job.after_downtime is None:
                limit = math.inf
            else:
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
            max(run.began, run.alive) < self.downtime.until
            and self.job.after_downtime is None
            and self.downtime.had(self._time_limit(run))
        )

    def _is_lost(self, run: Open) -> bool:
        """Return True if *run* is given up for that, and is no alert already."""
        noticed = self.holding.get("overrunning", -math.inf)
        return self._may_be_lost(run) and self._limit(run) > noticed

    def _over_from(self, run: Open) -> float:
        """Return when *run* is overrunning; no downtime changes an alert."""
        limit = self._limit(run)
        if limit <= self.holding.get("overrunning", -math.inf):
            return limit
        return self._over_at(run)

    def _overrunning_from(self) -> float:
        noticed = self.holding.get("overrunning", -math.inf)
        found = math.inf
        for one in self.hung:
            held = one.held_until if one.limit > noticed else 0.0
            found = min(found, max(one.limit, held))
        for run in self.open:
            limit = self._over_from(run)
            held = _held(limit, run) if limit > noticed else 0.0
            found = min(found, max(limit, held))
        return found

    def _is_abandoned(self, run: Open) -> bool:
        """Return True if *run* has no limit and is open for several periods."""
        if math.isfinite(self._limit(run)):
            return False
        if any(_is_later(run, one) for one in self.retries):
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
        for run in self.open:
            if run.reported and run.reported + CLOSE_BEHIND < now:
                run.reported = 0.0
        runs = [
            run for run in self.open if not (run.reported or self._may_be_lost(run))
        ]
        if len(runs) > most:
            for run in sorted(runs, key=lambda one: one.began)[:-1]:
                run.among = max(run.among, len(runs))
            return True
        return any(run.among > most for run in runs)

    # --- Reports ------------------------------------------------------------------

    def _take(self, fact: Fact) -> None:
        match fact:
            case Report():
                self._report(fact)
            case Act():
                self._act(fact)
            case Healthy():
                self.upstream[fact.job] = fact.conditions
                self._update(self.now)
            case Step():
                self._step(fact)
            case Outage():
                self._outage(fact)

    def _report(self, report: Report) -> None:
        now = self.now
        if (
            self.paused
            and self.resumes
            and self._end_of(report) >= self.paused_at
            and report.outcome != "invalid"
            and not self._is_repeat(report)
        ):
            self._resume(now)
        self._look(now)
        if self._is_repeat(report):
            self.last_report = now
            return
        self.last_mark = report.mark, now
        if report.kind == "start":
            self._update(now, self._start(report))
        elif report.kind == "progress":
            self.last_report = now
            if (own := self._open_run(report)) is not None:
                own.alive = now
            self._update(now)
        else:
            run = self._finish(report)
            self._update(now, run)

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
        if any(self._is_lost(run) for run in self.open):
            self._settle(now, at_once=True)
        kept: list[Open] = []
        late: list[Open] = []
        earlier: list[Open] = []
        for run in self.open:
            nameless = run.run_id is report.run_id is None and job.max_open is None
            if _is_earlier(run, report):
                if self._over_from(run) < now:
                    earlier.append(run)
            elif self._over_from(run) < now:
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
        self.number += 1
        self._remember(Past(self.number, ended, None, ok=False))
        self.last_ended = max(self.last_ended, ended)
        if run.run_id is not None:
            self.given_up.add((run.run_id, run.attempt))
        if decides:
            self.bad += 1
            self.good = 0
        self._hang(run, follower, decides=decides)
        return ended

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
                _held(limit, run),
            )
        )

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
        for run in [*self.open]:
            if run is own:
                continue
            if _is_earlier(run, report):
                self.open.remove(run)
                if self._over_from(run) < now:
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
            if self._over_from(run) < now and (nameless or follows):
                self.open.remove(run)
                self._wait_no_more([run])
                self._give_up(run, begun)
            elif nameless or self._is_abandoned(run):
                self.open.remove(run)
        outcome = report.outcome
        if outcome == "ok" and job.has_rule and not (report.rows or 0.0) > 0:
            outcome = "violated"
        if own is not None:
            self.open.remove(own)
        self.number += 1
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
        self.retries = [one for one in self.retries if not _concludes(report, one)]
        newest = ended >= self.last_ended
        self.last_ended = max(self.last_ended, ended)
        if outcome == "canceled":
            return ended if newest else None
        cover = self._covers(begun, ended)
        is_news = outcome != "skipped" and not (again and outcome in BAD)
        judged = is_news and not ended < self.last_judged <= now
        if judged:
            self._judge(outcome, ended, duration)
        if is_news:
            key = report.run_id, report.attempt
            self._end_hangs(key, known, ended, again=again, judged=judged)
        if outcome != "skipped":
            self._remember(Past(self.number, ended, duration, outcome == "ok"))
        self._cover(cover, now)
        self._see()
        return ended if newest else None

    def _see(self) -> None:
        """Note which unobserved slots a run was for after all."""
        job = self.job
        slot = self._after(self._covered_until())
        if self.unobserved_until is not None:
            if slot + job.grace > self.unobserved_until:
                self.unobserved, self.unobserved_until = 0.0, None
        elif job.every is not None and slot + job.grace > self.unobserved:
            self.unobserved = 0.0

    def _was_given_up(self, report: Report) -> bool:
        return (report.run_id, report.attempt) in self.given_up

    # --- Attempts -----------------------------------------------------------------

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
        slot = self._after(self._decided())
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
            if not any(_is_later(run, retry) for run in late)
        ]

    def _retry_limit(self, retry: Retry) -> float:
        down = self.downtime
        for run in self.open:
            if _is_later(run, retry) and math.isfinite(self._limit(run)):
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
        self.number += 1
        newest = ended >= self.last_ended
        self.last_ended = max(self.last_ended, ended)
        judged = not ended < self.last_judged <= now
        if judged:
            self._judge(retry.outcome, ended, retry.duration)
        began = ended if started is None else started
        key = retry.run_id, retry.attempt
        self._end_hangs(key, began, ended, again=False, judged=judged)
        self._remember(Past(self.number, ended, retry.duration, ok=False))
        self._cover(retry.covers, now)
        return ended if newest else None

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

    def _covers(self, began: float, ended: float) -> float:
        """Return up to which slot a run counts: also for one that comes at once."""
        if self.job.schedule is None:
            return ended
        slot = self.job.schedule.after(ended)
        gap = self.job.schedule.after(slot) - slot
        is_early = slot - min(began, ended) <= min(self.job.early, gap / 10)
        return slot if is_early else ended

    def _judge(self, outcome: str, ended: float, duration: float | None) -> None:
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
                self.slow = self._is_slow(ended, duration)
        self.last_judged = ended
        if duration is not None:
            self.last_duration = duration

    def _is_slow(self, ended: float, duration: float) -> bool:
        slower = self.job.slower
        if slower is None:
            return False
        usual = [
            run.duration
            for run in self._kept_runs()
            if run.ok and run.duration is not None and run.ended + slower.over > ended
        ]
        if len(usual) < max(1, slower.min_runs):
            return False
        average = median(usual) if slower.than == "median" else fmean(usual)
        return duration > slower.factor * average

    def _is_ratio_low(self, now: float, *, goes_on: bool) -> bool:
        """Return True if too few runs were ok; none at the edge of the window decides."""
        wanted = self.job.ratio
        self.ratio_until = math.inf
        if wanted is None:
            return False
        longest = wanted.over * (1 + EDGE)
        runs = [run for run in self._kept_runs() if run.ended + longest > now]
        ends = sorted(run.ended for run in runs)
        gap = wanted.over
        if len(ends) > 1:
            gap = min(gap, (ends[-1] - ends[0]) / (len(ends) - 1))
        low = []
        for over in (wanted.over, wanted.over - EDGE * gap, wanted.over + EDGE * gap):
            inside = [run for run in runs if run.ended + over > now]
            good = sum(run.ok for run in inside)
            enough = len(inside) >= max(1, wanted.min_runs)
            low.append(enough and good < wanted.below * len(inside))
            leaves = min((run.ended for run in inside), default=math.inf) + over
            self.ratio_until = min(self.ratio_until, leaves)
        return any(low) if goes_on else all(low)

    def _kept_runs(self) -> Iterator[Past]:
        first = self.number - KEPT_RUNS
        return (run for run in self.past if run.number > first)

    def _remember(self, run: Past) -> None:
        """Remember *run* for windows, and no others than they can see."""
        if not self.reach:
            return
        self.stored.append(run)
        if self.past and self.past[0].ended + self.reach <= self.now:
            self.past = [one for one in self.past if one.ended + self.reach > self.now]
        self.past.append(run)

    def _recall(self) -> None:
        """Know the stored runs again, also those that a leap of the clock hid."""
        now = self.now
        runs = (replace(run, ended=min(run.ended, now)) for run in self.stored)
        self.past = [run for run in runs if run.ended + self.reach > now]

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

    # --- Users --------------------------------------------------------------------

    def _act(self, act: Act) -> None:
        now = self.now
        self._look(now)
        match act.what:
            case "pause":
                self._update(now)
                self.paused = True
                self.paused_at = now
                self.resumes = act.on_ping
                self.paused_until = math.inf
                if act.seconds is not None:
                    self.paused_until = now + act.seconds
                self._forget_slots(now)
            case "resume":
                if self.paused:
                    self._resume(now)
            case "disable":
                self._update(now)
                self.disabled = True
                self._forget_slots(now)
            case "enable":
                self.disabled = False
                self.watched_since = now
                self._forget_slots(now)
        self._update(now)

    def _resume(self, at: float) -> None:
        self.paused = False
        self.paused_until = math.inf
        self.watched_since = at
        self._forget_slots(at)

    def _forget_slots(self, now: float) -> None:
        """Expect no run for the slots until now, or at once where one came early."""
        if not now < self.covered <= now + self.job.early:
            self.covered = now
        self.missed, self.missed_at = [], None
        self.unobserved, self.unobserved_until = 0.0, None

    # --- The daemon ---------------------------------------------------------------

    def _outage(self, outage: Outage) -> None:
        since = self.now
        self._look(since)
        self.true = outage.end
        if outage.kind != "stop":
            self._down(since)
            return
        self.offset += self.daemon.step_in(outage)
        if self.now < since:
            self._put_back(self.now)
        self._recall()
        # Nobody knows when it stopped.
        self._down(-math.inf)

    def _step(self, step: Step) -> None:
        if step.at < self.true:
            # It was set while the daemon was down.
            return
        before = self.now
        self._look(before)
        self.offset += step.seconds
        if step.seconds < 0:
            self._put_back(self.now)
        self._down(min(before, self.now))

    def _down(self, since: float) -> None:
        """Note a downtime that has just ended."""
        now, last = self.now, self.downtime
        if since <= max(last.settled, last.until + self.waits) + SLACK:
            since = min(since, last.since)
        self.downtime = Downtime(since, now, now + SETTLE)
        if self.paused and self.paused_until <= now:
            self._resume(self.paused_until)
        self._look(now)

    def _put_back(self, now: float) -> None:
        """Have no instant later than now, as the clock was set back."""
        job = self.job
        if self.covered > now:
            is_early = job.schedule is not None and self.covered == self._after(now)
            if self.last_ended > now or not is_early:
                self.covered = now
        self.last_ended = min(self.last_ended, now)
        self.last_judged = min(self.last_judged, now)
        self.last_report = min(self.last_report, now)
        # Slots are expected again whose deadlines have not come yet.
        self.missed = [slot for slot in self.missed if slot + job.grace <= now]
        if self.missed_at is not None and (self.missed_at > now or not self.missed):
            self.missed, self.missed_at = [], None
        latest = now if job.schedule is None else now - job.grace
        self.unobserved = min(self.unobserved, latest)
        if self.unobserved_until is not None:
            self.unobserved_until = min(self.unobserved_until, now)
        for retry in self.retries:
            starts = (run.began for run in self.open if run.run_id == retry.run_id)
            ahead = max(0.0, retry.ended - now, *(began - now for began in starts))
            leapt = retry.covers > now and (
                retry.ended > now or retry.covers != self._after(now)
            )
            retry.until -= ahead
            retry.ended, retry.begun = min(retry.ended, now), min(retry.begun, now)
            if retry.started is not None:
                retry.started = min(retry.started, now)
            retry.covers = now if leapt else retry.covers
        for run in self.open:
            run.began, run.alive = min(run.began, now), min(run.alive, now)
            run.reported = min(run.reported, now)
        for one in self.hung:
            one.began, one.limit = min(one.began, now), min(one.limit, now)
            one.followed_from = min(one.followed_from, now)
            one.held_until = min(one.held_until, now + CLOSE_BEHIND)
        self.past = [replace(run, ended=min(run.ended, now)) for run in self.past]
        if self.last_mark is not None and self.last_mark[1] > now:
            self.last_mark = None
        self.watched_since = min(self.watched_since, now)
        self.paused_at = min(self.paused_at, now)
        if self.healed_at is not None:
            self.healed_at = min(self.healed_at, now)
        for condition, opened in self.holding.items():
            if opened > now:
                self.holding[condition] = now
                self.alerts.move(self.job.name, condition, now)

    # --- Upstream -----------------------------------------------------------------

    def _is_upstream_bad(self) -> bool:
        for name, success in self.required.items():
            wrong = {"missed", "overrunning"}
            if success:
                wrong |= {"failing", "violated"}
            if wrong & self.upstream.get(name, frozenset()):
                return True
        return False

    def _release(self) -> float:
        """Return when the job has had its chance after what it requires has healed."""
        if self.healed_at is None:
            return math.inf
        since = max(self.healed_at, self.covered)
        if self.job.every is not None:
            since -= (since - self.covered) % self.job.every
        return self._due(since).deadline

    def _look_upstream(self, now: float) -> None:
        if self._is_upstream_bad():
            self.held_back, self.healed_at = True, None
            return
        if self.held_back:
            self.held_back, self.healed_at = False, now
        if self.healed_at is None:
            return
        if self.last_judged >= self.healed_at:
            self.healed_at = None
        elif self.active:
            release = self._release()
            troubled = bool(self._own(now, None))
            if release < now or (math.isinf(release) and not troubled):
                self.healed_at = None

    # --- Conditions ---------------------------------------------------------------

    def _own(self, now: float, run: float | None) -> dict[str, float]:
        """Return what is wrong with the job itself, and since when."""
        found: dict[str, float] = {}
        if not self.active:
            return found
        since = now if run is None else run
        if self.missed_at is not None:
            found["missed"] = max(self.missed_at, min(self.last_report, now))
        is_overlapping = self._overlap(now)
        if (limit := self._overrunning_from()) < now:
            found["overrunning"] = limit
        if self.failing:
            found["failing"] = since
        if self.violated:
            found["violated"] = since
        if self.slow:
            found["slow"] = since
        if is_overlapping:
            found["overlapping"] = max(run.began for run in self.open)
        if self._is_ratio_low(now, goes_on="success_ratio_low" in self.holding):
            found["success_ratio_low"] = since
        return found

    def _update(self, now: float, run: float | None = None) -> None:
        """Open and resolve alerts; *run* is the end of a run that was just reported."""
        self._look_upstream(now)
        found = self._own(now, run)
        if self.active and (self.held_back or self.healed_at is not None):
            found["upstream_unhealthy"] = now
        if found.keys() == self.holding.keys():
            return
        for condition in self.holding.keys() - found.keys():
            opened = self.holding.pop(condition)
            at = run if run is not None and condition in BY_RUNS else now
            self.alerts.resolve(self.job.name, condition, max(at, opened), self.true)
        for condition in found.keys() - self.holding.keys():
            opened = max(found[condition], min(self.watched_since, now))
            self.holding[condition] = opened
            self.alerts.open(self.job.name, condition, opened, self.true)
        conditions = frozenset(self.holding)
        self.changes.append(Healthy(self.true, self.job.name, conditions))


def _held(limit: float, run: Open) -> float:
    """Return until when an alert on *run* waits, as its end may be close behind."""
    return run.reported + CLOSE_BEHIND if limit < run.reported else 0.0


def _is_later(run: Open, retry: Retry) -> bool:
    """Return True if *run* is an attempt that *retry* waits for."""
    return run.run_id == retry.run_id and run.attempt > retry.attempt


def _is_earlier(run: Open, report: Report) -> bool:
    """Return True if *report* is about a later attempt of *run*."""
    same = run.run_id is not None and run.run_id == report.run_id
    return same and run.attempt < report.attempt


def _concludes(report: Report, retry: Retry) -> bool:
    """Return True if *report* is about the run of *retry*, and not about one before."""
    same = report.run_id == retry.run_id
    return same and (report.attempt >= retry.attempt or report.outcome == "invalid")
