"""What a ping is answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


async def repeated_runs(
    store: Store, pings: Sequence[Ping], results: Sequence[Transition | Exception]
) -> Mapping[tuple[str, int], Run]:
    """Return the runs that *pings* may repeat, by job and number."""
    repeated = {
        ping.job
        for ping, result in zip(pings, results, strict=True)
        if isinstance(result, Transition) and result.duplicate_of
    }
    return {
        (job, run.number): run
        for job in repeated
        for run in await store.runs(job, REMEMBERED)
    }
