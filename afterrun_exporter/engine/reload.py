"""Going by another configuration, in steps between which pings are taken."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from afterrun_exporter.clock import breathe, in_steps
from afterrun_exporter.core.history import kept_for
from afterrun_exporter.core.job_config import Catalogue
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.unchanged_jobs import quiet_until
from afterrun_exporter.engine.decisions import Judge
from afterrun_exporter.engine.job_registry import Roster, leaves
from afterrun_exporter.engine.wakeup_queue import Agenda
from afterrun_exporter.storage.store import Change, Store


async def drawn_up(
    catalogue: Catalogue, states: Mapping[str, JobState], before: Roster
) -> tuple[Roster, list[str]]:
    """Return which jobs are watched by *catalogue*, and which have left.

    *before* is the roster that is in use meanwhile.
    """
    roster, gone = Roster(catalogue), []
    seen = 0
    # None leaves the states, and new ones come last.
    while seen < len(states):
        names = list(islice(states, seen, None))
        seen += len(names)
        async for name in in_steps(names):
            state = states[name]
            if state.retired_at is not None:
                continue
            if state.paused_at:
                roster.paused.add(name)
            if name in catalogue.jobs:
                continue
            if leaves(name, state, catalogue):
                gone.append(name)
            else:
                roster.register(catalogue.nameless(name, state.said))
    async for _ in in_steps(roster.sorting()):
        pass
    # One that was retired when it was looked at may have reported since, and new ones.
    missing = before.registered - roster.registered - catalogue.jobs.keys()
    for name in missing.difference(gone):
        if not leaves(name, states[name], catalogue):
            roster.register(catalogue.nameless(name, states[name].said))
    return roster, gone


async def recall(
    store: Store, roster: Roster, known: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, bytes]]:
    """Return how far back the windows of jobs reach, and the stored histories of
    those whose windows reach back further than is *known*.
    """
    # It was drawn up without a breath in the end.
    await breathe()
    jobs = in_steps(list(roster))
    reaching = {job.name: far async for job in jobs if (far := kept_for(job))}
    wanted = {n: r for n, r in reaching.items() if r > known.get(n, 0.0)}
    runs = roster.catalogue.keep_runs
    return reaching, await store.histories(wanted, now, runs)


async def looked_over(
    judge: Judge, store: Store, agenda: Agenda, now: float, past: Mapping[str, bytes]
) -> list[Change]:
    """Return what is to be decided about jobs, *past* being histories to take in.

    The others have their place on the *agenda*.
    """
    changes: list[Change] = []
    await breathe()
    async for job in in_steps(list(judge.roster)):
        name = job.name
        until = None if name in past else _quiet_until(judge, store, job, now)
        if until is None:
            changes.append(Change(name, judge.wake(name, now, past.get(name))))
        else:
            agenda.plan(name, until)
    return changes


def _quiet_until(judge: Judge, store: Store, job: Job, now: float) -> float | None:
    state = store.states.get(job.name)
    # What is being committed was decided by the roster before, perhaps.
    if state is None or store.latest(job.name) is not state:
        return None
    try:
        return quiet_until(job, state, now, judge.settings)
    except Exception:  # noqa: BLE001 - deciding will raise it again, and tell
        return None
