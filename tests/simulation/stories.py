"""Stories by their names, each made from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.simulation.life import Life
from tests.simulation.settings import BEGIN, DAY, Job, random_job
from tests.simulation.world import Event, Story, random_daemon

#: Jobs of one daemon.
GROUP: Final = 20


@dataclass(frozen=True)
class Size:
    """The size of a simulation."""

    jobs: int
    days: float
    #: How often things go wrong, compared with a simulation of a year.
    trouble: float = 1.0


def stories(seed: int, size: Size) -> list[str]:
    """Return the names of the stories of *seed*."""
    count = math.ceil(size.jobs / GROUP)
    return [f"{seed}-{number}" for number in range(count)]


def story(name: str, size: Size) -> Story:
    """Return the story of this name."""
    seed, _, number = name.partition("-")
    count = min(GROUP, size.jobs - GROUP * int(number))
    rng = Random(f"story {seed} {number}")
    begin = BEGIN + rng.random()
    end = begin + size.days * DAY
    daemon = random_daemon(rng, begin, end, size.trouble)
    jobs: list[Job] = []
    events: list[Event] = [*daemon.downtimes, *daemon.steps]
    bad: dict[str, list[tuple[float, bool]]] = {}
    for place in range(count):
        job = random_job(
            Random(f"job {seed} {number} {place}"), f"{name}-{place}", jobs
        )
        life = Life(
            Random(f"life {seed} {number} {place}"),
            job,
            daemon,
            begin,
            end,
            size.trouble,
            bad,
        )
        job = life.job
        jobs.append(job)
        events += life.events()
        bad[job.name] = life.ends
    events = [one for one in events if one.at < end]
    events.sort(key=lambda one: one.at)
    return Story(name, begin, end, jobs, daemon, events)
