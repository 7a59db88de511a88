"""What a ping is answered with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from afterrun_exporter.core.model import Ping, Run
from afterrun_exporter.core.state import Transition
from afterrun_exporter.storage.store import Store

#: Runs of one job with no more than so many others between them are read at once.
NEAR: Final = 32


class ReportResult(NamedTuple):
    """What was made of a ping; it is on disk."""

    ping: Ping
    transition: Transition
    #: The run that it finished, or repeats the finish of.
    run: Run | None
    #: From when on the job counts as missed; +inf for never.
    deadline: float


async def repeating(store: Store, verdict: ReportResult) -> ReportResult:
    """Return *verdict*, which is on a repeat, with the run that was recorded first."""
    (found,) = await all_repeating(store, [verdict])
    return found if isinstance(found, ReportResult) else verdict


async def all_repeating(
    store: Store, verdicts: Sequence[ReportResult | Exception]
) -> list[ReportResult | Exception]:
    """Return *verdicts*, those on repeats with the runs that were recorded first."""
    numbers: dict[str, set[int]] = {}
    for one in verdicts:
        if isinstance(one, ReportResult) and one.transition.duplicate_of:
            of_job = numbers.setdefault(one.ping.job, set())
            of_job.add(one.transition.duplicate_of)
    runs = {
        (job, run.number): run
        for job, wanted in numbers.items()
        for run in await _runs(store, job, wanted)
    }
    return [
        one._replace(run=runs.get((one.ping.job, one.transition.duplicate_of)))
        if isinstance(one, ReportResult) and one.transition.duplicate_of
        else one
        for one in verdicts
    ]


async def _runs(store: Store, job: str, numbers: Collection[int]) -> list[Run]:
    """Return the runs of *job* with *numbers*, as far as they are kept."""
    found: list[Run] = []
    for group in _near(sorted(numbers)):
        found += await store.runs(job, group[-1] - group[0] + 1, group[-1] + 1)
    return found


def _near(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield *numbers*, which are in order, in groups that are read at once."""
    first = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] - numbers[place - 1] > NEAR:
            yield numbers[first:place]
            first = place
