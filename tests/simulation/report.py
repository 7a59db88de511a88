"""Runs of simulations, and their results in words."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from tests.simulation.compare import Comparison, Difference, Tally, compare
from tests.simulation.driver import Driver
from tests.simulation.found import Alert
from tests.simulation.oracle.judgement import expected
from tests.simulation.settings import Job
from tests.simulation.stories import Size, stories, story
from tests.simulation.world import Event, Report, Step


@dataclass
class Result:
    """The numbers and the differences of a simulation."""

    jobs: int = 0
    reports: int = 0
    seconds: float = 0.0
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    #: One for each difference, and for each error of the daemon.
    lines: list[str] = field(default_factory=list)


def simulate(seed: int, size: Size, processes: int | None = None) -> Result:
    """Return the results of all stories of *seed*."""
    result = Result()
    begun = perf_counter()
    names = stories(seed, size)
    if processes == 1:
        parts = [simulate_one(name, size) for name in names]
    else:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(simulate_one, names, [size] * len(names)))
    for part in parts:
        result.jobs += part.jobs
        result.reports += part.reports
        result.lines += part.lines
        for condition, tally in part.tallies.items():
            result.tallies[condition].add(tally)
    result.seconds = perf_counter() - begun
    return result


def simulate_one(name: str, size: Size) -> Result:
    """Return the results of one story."""
    played = story(name, size)
    wanted = expected(played)
    driver = Driver(played)
    compared: Comparison = compare(wanted, asyncio.run(driver.run()).all)
    reports = sum(isinstance(event, Report) for event in played.events)
    result = Result(len(played.jobs), reports, tallies=dict(compared.tallies))
    result.lines = driver.problems + [spelled(one) for one in compared.differences]
    return result


def table(result: Result) -> str:
    """Return the numbers by condition."""
    columns = [*vars(Tally())]
    lines = [f"{'':20}" + "".join(f"{name:>10}" for name in columns)]
    total = Tally()
    for condition, tally in sorted(result.tallies.items()):
        total.add(tally)
        numbers = "".join(f"{number:>10}" for number in vars(tally).values())
        lines.append(f"{condition:20}{numbers}")
    numbers = "".join(f"{number:>10}" for number in vars(total).values())
    return "\n".join([*lines, f"{'all':20}{numbers}"])


def spelled(difference: Difference) -> str:
    """Return a difference in words."""
    parts = [f"{difference.what} {difference.job} {difference.condition}"]
    if difference.expected is not None:
        parts.append(f"expected {_interval(difference.expected)}")
    if difference.found is not None:
        parts.append(f"found {_interval(difference.found)}")
    return ": ".join(parts)


def _interval(alert: Alert) -> str:
    recorded = f"{_when(alert.opened)} to {_when(alert.resolved)}"
    noticed = f"{_when(alert.noticed)} to {_when(alert.over)}"
    return recorded if recorded == noticed else f"{recorded} (noticed {noticed})"


def _when(instant: float) -> str:
    if not math.isfinite(instant):
        return "now"
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S")


def job_story(name: str, size: Size) -> Iterator[str]:
    """Yield all that happens to one job, and its alerts, in order of time."""
    played = story(name.rpartition("-")[0], size)
    wanted = expected(played)
    found = asyncio.run(Driver(played).run()).all
    job: Job = next(one for one in played.jobs if one.name == name)
    yield repr(job)
    lines: list[tuple[float, int, str]] = []
    names = {name, *(one.job for one in job.requires)}
    lines += [
        (event.at, 0, _event(event))
        for event in played.events
        if getattr(event, "job", name) == name
    ]
    for kind, alerts in (("expected", wanted), ("FOUND", found)):
        for alert in alerts:
            if alert.job in names:
                who = "" if alert.job == name else f" of {alert.job}"
                text = f"    {kind} {alert.condition}{who}"
                stamp = _when(alert.opened)
                lines.append((alert.noticed, 1, f"{text} opens ({stamp})"))
                if math.isfinite(alert.over):
                    stamp = _when(alert.resolved)
                    lines.append((alert.over, 1, f"{text} ends ({stamp})"))
    for at, _, line in sorted(lines):
        yield f"{_when(at)}.{int(at % 1 * 1000):03} {line}"
    for one in compare(wanted, found).differences:
        if one.job == name:
            yield spelled(one)


def _event(event: Event) -> str:
    match event:
        case Report():
            words = [event.kind]
            if event.kind == "finish":
                words.append(event.outcome)
            if event.run_id:
                words.append(event.run_id)
            if event.max_attempts is not None:
                words.append(f"attempt {event.attempt} of {event.max_attempts}")
            if event.started_at is not None:
                words.append(f"started {_when(event.started_at)}")
            if event.ended_at is not None:
                words.append(f"ended {_when(event.ended_at)}")
            if event.duration is not None:
                words.append(f"took {event.duration:.1f} s")
            if event.rows != 100.0:
                words.append(f"rows {event.rows}")
            return " ".join(words)
        case Step():
            return f"== the clock is set by {event.seconds:.1f} s"
    return f"== {event}"
