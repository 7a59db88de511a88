"""The state of all jobs together, as schedulers show their queues."""

from __future__ import annotations

from dataclasses import dataclass

from afterrun_exporter.api import state_models
from afterrun_exporter.api.handlers import ApiRequest
from afterrun_exporter.api.request_models import StateQuery
from afterrun_exporter.clock import Clock
from afterrun_exporter.core.status import Status
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.engine.queue_state import queue_state
from afterrun_exporter.engine.service import Service


@dataclass(frozen=True, slots=True)
class StateApi:
    """The handler of the state."""

    service: Service
    clock: Clock

    async def state(self, request: ApiRequest[StateQuery]) -> state_models.State:
        """Count jobs and open runs, and list the next slots."""
        now = self.clock.now()
        state = await queue_state(self.service, now, request.query.limit)
        return state_models.State(
            time=format_time(now),
            config_commit=self.service.job_config.revision,
            jobs={one: state.jobs[one] for one in Status},
            unobserved=state.unobserved,
            open_runs=state.open_runs,
            retrying=state.retrying,
            waiting=state.waiting,
            due=state.due,
            missed=state.missed,
            upcoming=[
                state_models.UpcomingSlot(
                    job=name, slot=format_time(slot), deadline=format_time(deadline)
                )
                for slot, deadline, name in state.upcoming
            ],
        )
