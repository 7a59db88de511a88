"""Results of recorded pings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from afterrun_exporter.core.model import Ping, Run
from afterrun_exporter.core.state import Transition
from afterrun_exporter.engine.stored_runs import stored_runs, without_metadata
from afterrun_exporter.storage.store import Store

#: The largest gap between two runs of a job that are read in one query.
NEAR: Final = 32


class ReportResult(NamedTuple):
    """The result of a ping that is durably recorded."""

    ping: Ping
    transition: Transition
    #: The run that it finished, or repeats the finish of.
    run: Run | None
    #: The time from which the job counts as missed; +inf for never.
    deadline: float


async def repeating(store: Store, result: ReportResult) -> ReportResult:
    """Return *result* of a repeated ping with the run that was recorded first."""
    (completed,) = await all_repeating(store, [result])
    return completed if isinstance(completed, ReportResult) else result


async def all_repeating(
    store: Store, results: Sequence[ReportResult | Exception]
) -> list[ReportResult | Exception]:
    """Return *results*; those of repeated pings with the runs recorded first."""
    numbers: dict[str, set[int]] = {}
    for one in results:
        if isinstance(one, ReportResult) and one.transition.duplicate_of:
            of_job = numbers.setdefault(one.ping.job, set())
            of_job.add(one.transition.duplicate_of)
    runs = {
        (job, run.number): run
        for job, run_numbers in numbers.items()
        for run in await _runs(store, job, run_numbers)
    }
    return [
        one._replace(run=runs.get((one.ping.job, one.transition.duplicate_of)))
        if isinstance(one, ReportResult) and one.transition.duplicate_of
        else one
        for one in results
    ]


async def _runs(store: Store, job: str, numbers: Collection[int]) -> list[Run]:
    """Return the runs of *job* with *numbers* that are still stored."""
    runs: list[Run] = []
    for group in _near(sorted(numbers)):
        limit, before = group[-1] - group[0] + 1, group[-1] + 1
        every = stored_runs(store, job, limit, before)
        runs += [without_metadata(run) async for run in every]
    return runs


def _near(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the sorted *numbers* in groups that are read in one query."""
    first = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] - numbers[place - 1] > NEAR:
            yield numbers[first:place]
            first = place
