"""What a ping is answered with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from afterrun_exporter.core.model import Ping, Run
from afterrun_exporter.core.repeats import REMEMBERED
from afterrun_exporter.core.state import Transition
from afterrun_exporter.storage.store import Store


class Verdict(NamedTuple):
    """What was made of a ping; it is on disk."""

    ping: Ping
    transition: Transition
    #: The run that it finished, or repeats the finish of.
    run: Run | None
    #: From when on the job counts as missed; +inf for never.
    deadline: float


async def repeating(store: Store, verdict: Verdict) -> Verdict:
    """Return *verdict*, which is on a repeat, with the run that was recorded first."""
    runs = await _runs(store, {verdict.ping.job})
    return _with_run(verdict, runs)


async def all_repeating(
    store: Store, verdicts: Sequence[Verdict | Exception]
) -> list[Verdict | Exception]:
    """Return *verdicts*, those on repeats as `repeating` does."""
    repeats = {
        place: one
        for place, one in enumerate(verdicts)
        if isinstance(one, Verdict) and one.transition.duplicate_of
    }
    runs = await _runs(store, {one.ping.job for one in repeats.values()})
    return [
        _with_run(repeats[place], runs) if place in repeats else one
        for place, one in enumerate(verdicts)
    ]


async def _runs(store: Store, jobs: Iterable[str]) -> Mapping[tuple[str, int], Run]:
    """Return the runs that repeats may be of, by job and number."""
    return {
        (job, run.number): run
        for job in jobs
        for run in await store.runs(job, REMEMBERED)
    }


def _with_run(verdict: Verdict, runs: Mapping[tuple[str, int], Run]) -> Verdict:
    run = runs.get((verdict.ping.job, verdict.transition.duplicate_of))
    return verdict._replace(run=run)
