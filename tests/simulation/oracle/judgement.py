"""A job through a story: what happens to it, and which alerts that leads to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from tests.simulation.found import Alert, Alerts
from tests.simulation.oracle.facts import CLOSE_BEHIND, SETTLE, Downtime, Fact, Healthy
from tests.simulation.oracle.reports import Reports
from tests.simulation.settings import Job
from tests.simulation.world import Act, Outage, Report, Step, Story

#: A downtime that begins so soon after another one has settled goes on with it.
SLACK: Final = 60.0
#: A step of the clock after which windows see the stored runs anew.
LEAP: Final = 60.0
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


class Oracle(Reports):
    """A job through a story."""

    def live(self, facts: list[Fact], end: float) -> None:
        """Go through all that happens."""
        for fact in facts:
            self._pass(fact.at)
            self._take(fact)
        self._pass(end)

    def _pass(self, until: float) -> None:
        """Note what time alone brings about until then."""
        while (at := self._next()) - self.offset < until:
            # Changes that became due in a downtime are noticed after it.
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
            found = min(found, self._overrunning_from()[0])
        certain = (self._certain_from(run) for run in self.open if not run.over)
        found = min(found, *certain, math.inf)
        if any(self._may_be_lost(run) for run in self.open):
            found = min(found, self.downtime.settled)
        if self.job.max_open is not None:
            waits = (run.reported + CLOSE_BEHIND for run in self.open if run.reported)
            found = min(found, *waits, math.inf)
        found = min(found, self.windows.until)
        if self.healed_at is not None:
            found = min(found, self._release())
        return found

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
            case "change":
                grace, longest = act.changed(self.job.grace, self.job.max_runtime)
                self.job = replace(self.job, grace=grace, max_runtime=longest)
                if self._after(self.covered) + grace > now:
                    # There is more time than there was when it was missed.
                    self.missed, self.missed_at = [], None
                self._settle(now)
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
        self.windows.recall(self.now)
        # The time when it stopped is not recorded.
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
        if abs(step.seconds) >= LEAP:
            self.windows.recall(self.now)
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
        if job.every is None:
            self.unobserved = min(self.unobserved, now - job.grace)
        elif self.unobserved > now:
            is_due = self._after(self._covered_until()) + job.grace <= now
            self.unobserved = now if is_due else 0.0
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
        self.windows.put_back(now)
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

    def _own(self, now: float, run: float | None) -> dict[str, float]:
        """Return what is wrong with the job itself, and since when."""
        found: dict[str, float] = {}
        # Also while it is paused: these runs may still be open after that.
        is_overlapping = self._overlap(now)
        if not self.active:
            return found
        since = now if run is None else run
        if self.missed_at is not None:
            found["missed"] = max(self.missed_at, min(self.last_report, now))
        over, limit = self._overrunning_from()
        if over < now:
            found["overrunning"] = limit
        if self.failing:
            found["failing"] = since
        if self.violated:
            found["violated"] = since
        if self.slow:
            found["slow"] = since
        if is_overlapping:
            found["overlapping"] = max(run.began for run in self.open)
        if self.windows.is_ratio_low(now, goes_on="success_ratio_low" in self.holding):
            found["success_ratio_low"] = since
        return found

    def _update(self, now: float, run: float | None = None) -> None:
        """Look at everything; *run* is the end of a run that was just reported."""
        self._look_upstream(now)
        found = self._own(now, run)
        if self.active and (self.held_back or self.healed_at is not None):
            found["upstream_unhealthy"] = now
        self._note(now, run, found)
        self._watch(now)

    def _note(self, now: float, run: float | None, found: dict[str, float]) -> None:
        """Open and resolve the alerts that there are since the last look."""
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
