"""Indexes from tasks to their jobs and attempts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.auth import forbidden
from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.duplicates import ended_as
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.engine.change_feed import Subscriber
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownJobError

#: The most tasks in the index. Older tasks are found again only while they run.
MAX_TASKS: Final = 100_000

#: Outcomes after which a start is a new attempt. After a success, a start is a late
#: report of the finished run.
RETRIED: Final = FAILURES | {Outcome.CANCELED}


class TaskIndex:
    """The job of each task."""

    def __init__(self, context: DialectContext, limit: int = MAX_TASKS) -> None:
        self._context = context
        self._limit = limit
        self._jobs: OrderedDict[str, str] = OrderedDict()
        #: Time limits of tasks that have not started yet, in seconds.
        self._limits: OrderedDict[str, float] = OrderedDict()
        self._some_forgotten = False
        #: Jobs in which open runs of unknown tasks may be: at first, after a restart, all.
        self._changed: Subscriber | None = None
        self._searching = asyncio.Lock()

    def note(self, task: str, job: str) -> None:
        """Remember that *task* is a run of *job*."""
        self._jobs[task] = job
        self._jobs.move_to_end(task)
        if len(self._jobs) > self._limit:
            self._jobs.popitem(last=False)
            self._some_forgotten = True

    def note_limit(self, task: str, seconds: float) -> None:
        """Remember how long *task* may take once it has started."""
        self._limits[task] = seconds
        self._limits.move_to_end(task)
        if len(self._limits) > self._limit:
            self._limits.popitem(last=False)

    def limit_of(self, task: str) -> float | None:
        """Return the time limit of *task* in seconds; None if it has none."""
        return self._limits.get(task)

    async def job_of(self, task: str, caller: Caller) -> str:
        """Return the job of *task*; raise UnknownJobError if it is unknown.

        A task with an open run is always found. Raises ForbiddenError, without the name
        of the job, if *caller* may not report for it.
        """
        if task not in self._jobs:
            async with self._searching:
                await self._look_for(task)
        if (job := self._jobs.get(task)) is None:
            raise UnknownJobError(
                f"unknown task {task[:64]!r}: send the task with its name first"
            )
        if not caller.may(Scope.PING, job):
            raise forbidden.cannot_report_task(caller, task)
        return job

    async def _look_for(self, task: str) -> None:
        if task in self._jobs:
            return
        service = self._context.service
        # It may have been sent to another replica.
        await service.catch_up()
        if self._changed is None:
            self._changed = service.follow()
        elif self._some_forgotten:
            self._changed.changed.update(service.names)
        self._some_forgotten = False
        job_of_task = None
        async for name in cooperatively(self._changed.take()):
            state = service.state(name)
            for run in state.open_runs if state else ():
                if run.run_id == task:
                    job_of_task = name
                elif run.run_id is not None:
                    self.note(run.run_id, name)
        if job_of_task is not None:
            # Added last, so that the tasks added by the search do not evict it.
            self.note(task, job_of_task)


class Attempts:
    """The attempt number of each report of one request.

    A task is retried under the same id.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        #: The last attempt of each task, and its outcome; None while it is running.
        self._last: dict[tuple[str, str], tuple[int, Outcome | None]] = {}

    async def of(self, ping: Ping) -> Ping:
        """Return *ping* with its attempt; call in the order of the reports."""
        if ping.run_id is None or ping.kind not in {Kind.START, Kind.FINISH}:
            return ping
        task = (ping.job, ping.run_id)
        if task not in self._last:
            self._last[task] = await self._last_attempt(*task)
        attempt, outcome = self._last[task]
        if ping.kind is Kind.START and outcome in RETRIED:
            attempt, outcome = attempt + 1, None
        elif ping.kind is Kind.FINISH and outcome is None:
            outcome = ping.outcome
        self._last[task] = (attempt, outcome)
        return replace(ping, attempt=attempt, has_attempt=True)

    async def _last_attempt(self, job: str, task: str) -> tuple[int, Outcome | None]:
        state = await self._service.recalled(job)
        if state is None:
            return 1, None
        in_flight = [run.attempt for run in state.open_runs if run.run_id == task]
        if in_flight:
            return max(in_flight), None
        attempt = number = 0
        settings = self._service.settings
        while (run := ended_as(state, task, attempt + 1, settings)) > 0:
            attempt, number = attempt + 1, run
        if not number:
            return 1, None
        runs = await self._service.runs(job, 1, number + 1)
        outcomes = [run.outcome for run in runs if run.number == number]
        return attempt, outcomes[0] if outcomes else Outcome.OK
