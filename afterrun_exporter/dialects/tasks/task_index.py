"""Which job each task is a run of, and which attempt of it is under way."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from msgspec.structs import replace

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.core.model import FAILURES, Kind, Outcome, Ping
from afterrun_exporter.core.repeats import ended_as
from afterrun_exporter.dialects.context import DialectContext
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ForbiddenError, UnknownJobError

#: Tasks whose job is remembered; of those that are forgotten, the ones that are
#: under way are looked for.
MAX_TASKS: Final = 100_000

#: A task that ended so and starts again is tried again. One that was done is not:
#: what arrives late then is the start of what has ended.
TRIED_AGAIN: Final = FAILURES | {Outcome.CANCELED}


class TaskIndex:
    """Which job each task is a run of."""

    def __init__(self, context: DialectContext, limit: int = MAX_TASKS) -> None:
        self._context = context
        self._limit = limit
        self._jobs: OrderedDict[str, str] = OrderedDict()
        #: Time limits of tasks that have not started yet, in seconds.
        self._limits: OrderedDict[str, float] = OrderedDict()
        # After a restart all are.
        self._some_forgotten = True
        self._looking = asyncio.Lock()

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
        """Return how long *task* may take, None where nothing is known of that."""
        return self._limits.get(task)

    async def job_of(self, task: str, caller: Caller) -> str:
        """Return the job of *task*; raise UnknownJobError where nobody told.

        Those whose runs are open are known, whatever has happened since. Raises
        ForbiddenError, without the name of the job, if *caller* may not report its runs.
        """
        if task not in self._jobs:
            async with self._looking:
                await self._look_for(task)
        if (job := self._jobs.get(task)) is None:
            raise UnknownJobError(
                f"unknown task {task[:64]!r}: send the task with its name first"
            )
        if not caller.may(Scope.PING, job):
            raise ForbiddenError(f"{caller.name} may not report task {task[:64]!r}")
        return job

    async def _look_for(self, task: str) -> None:
        if task in self._jobs or not self._some_forgotten:
            return
        self._some_forgotten = False
        found = None
        async for job, state in self._context.service.each():
            for run in state.open_runs:
                if run.run_id == task:
                    found = job.name
                elif run.run_id is not None:
                    self.note(run.run_id, job.name)
        if found is not None:
            # Last, or those that are found after it might push it out.
            self.note(task, found)


class Attempts:
    """Which attempt of its task each report of one request is about.

    A task is tried again under its own id.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        #: The last attempt of each, and how it ended; None while it has not.
        self._last: dict[tuple[str, str], tuple[int, Outcome | None]] = {}

    async def of(self, ping: Ping) -> Ping:
        """Return *ping*, which comes after those asked about before, with its attempt."""
        if ping.run_id is None or ping.kind not in {Kind.START, Kind.FINISH}:
            return ping
        task = (ping.job, ping.run_id)
        if task not in self._last:
            self._last[task] = await self._known(*task)
        attempt, ended = self._last[task]
        if ping.kind is Kind.START and ended in TRIED_AGAIN:
            attempt, ended = attempt + 1, None
        elif ping.kind is Kind.FINISH and ended is None:
            ended = ping.outcome
        self._last[task] = (attempt, ended)
        return replace(ping, attempt=attempt, has_attempt=True)

    async def _known(self, job: str, task: str) -> tuple[int, Outcome | None]:
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
        ended = [run.outcome for run in runs if run.number == number]
        return attempt, ended[0] if ended else Outcome.OK
