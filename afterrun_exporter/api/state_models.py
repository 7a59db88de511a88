"""Models of the response about all jobs together."""

from __future__ import annotations

from pydantic import Field

from afterrun_exporter.api.response_models import Answer, Time
from afterrun_exporter.core.status import Status


class UpcomingSlot(Answer):
    """The next slot of a job."""

    job: str
    slot: Time
    deadline: Time


class State(Answer):
    """All jobs, counted at one time."""

    time: Time
    config_commit: str = Field(
        description="the commit of the configuration in use; empty if it is in no "
        "repository"
    )
    jobs: dict[Status, int] = Field(description="jobs by state")
    unobserved: int = Field(description="jobs that were last due in a downtime")
    open_runs: int
    retrying: int = Field(description="failed attempts with another one to follow")
    waiting: int = Field(description="jobs whose next slot is in the future")
    due: int = Field(
        description="jobs whose slot has passed without a run, before the deadline"
    )
    missed: int = Field(description="jobs whose deadline has passed without a run")
    upcoming: list[UpcomingSlot] = Field(
        description="the next slots of waiting jobs, soonest first"
    )
