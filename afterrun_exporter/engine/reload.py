"""Going by another configuration, in steps between which pings are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain, islice

from afterrun_exporter.clock import cooperatively, yield_to_loop
from afterrun_exporter.core.history import kept_for
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.unchanged_jobs import quiet_until
from afterrun_exporter.engine.decisions import Decisions
from afterrun_exporter.engine.job_registry import JobRegistry, leaves
from afterrun_exporter.engine.wakeup_queue import WakeupQueue
from afterrun_exporter.storage.store import Change, Store


async def build_registry(
    job_config: JobConfig, states: Mapping[str, JobState], before: JobRegistry
) -> tuple[JobRegistry, list[str]]:
    """Return which jobs are watched by *job_config*, and which have left.

    *before* is the roster that is in use meanwhile. A job that has not changed is the
    same object in both.
    """
    jobs = cooperatively(job_config.jobs.items())
    same = {name: _unchanged(job, before) async for name, job in jobs}
    job_config = replace(job_config, jobs=same)
    job_registry, gone = JobRegistry(job_config), []
    seen = 0
    # None leaves the states, and new ones come last.
    while seen < len(states):
        names = list(islice(states, seen, None))
        seen += len(names)
        async for name in cooperatively(names):
            state = states[name]
            if state.retired_at is not None:
                continue
            if state.paused_at:
                job_registry.paused.add(name)
            if name in job_config.jobs:
                continue
            if leaves(name, state, job_config):
                gone.append(name)
            else:
                job = job_config.nameless(name, state.said)
                job_registry.register(_unchanged(job, before))
    async for _ in cooperatively(job_registry.sorting()):
        pass
    # One that was retired when it was looked at may have reported since, and new ones.
    missing = before.registered - job_registry.registered - job_config.jobs.keys()
    for name in missing.difference(gone):
        if not leaves(name, states[name], job_config):
            job_registry.register(job_config.nameless(name, states[name].said))
    return job_registry, gone


async def changed_jobs(before: JobRegistry, after: JobRegistry) -> set[str]:
    """Return the names of the jobs that *after* describes differently than *before*.

    They come, leave or have other settings. It is the names of all jobs if what all
    depend on is different.
    """
    every = (before.job_config.jobs, before.registered)
    names = {*chain(*every, after.job_config.jobs, after.registered)}
    if before.job_config.settings != after.job_config.settings:
        return names
    return {
        name
        async for name in cooperatively(names)
        if before.described(name) is not after.described(name)
    }


def _unchanged(job: Job, before: JobRegistry) -> Job:
    """Return the job that *before* has in the place of *job*, if the two are equal."""
    current = before.described(job.name)
    return job if current is None or current != job else current


async def recall(
    store: Store, job_registry: JobRegistry, known: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, bytes]]:
    """Return how far back the windows of jobs reach, and the stored histories of
    those whose windows reach back further than is *known*.
    """
    # It was drawn up without a breath in the end.
    await yield_to_loop()
    jobs = cooperatively(list(job_registry))
    reaching = {job.name: far async for job in jobs if (far := kept_for(job))}
    wanted = {n: r for n, r in reaching.items() if r > known.get(n, 0.0)}
    runs = job_registry.job_config.keep_runs
    return reaching, await store.histories(wanted, now, runs)


async def plan_changes(
    decisions: Decisions,
    store: Store,
    wakeups: WakeupQueue,
    now: float,
    past: Mapping[str, bytes],
) -> list[Change]:
    """Return what is to be decided about jobs, *past* being histories to take in.

    The others have their place on the *wakeups*.
    """
    changes: list[Change] = []
    await yield_to_loop()
    async for job in cooperatively(list(decisions.job_registry)):
        name = job.name
        until = None if name in past else _quiet_until(decisions, store, job, now)
        if until is None:
            changes.append(Change(name, decisions.wake(name, now, past.get(name))))
        else:
            wakeups.plan(name, until)
    return changes


async def plan_anew(
    decisions: Decisions,
    store: Store,
    wakeups: WakeupQueue,
    now: float,
    *,
    recalls: bool,
) -> list[Change]:
    """Return the changes of all jobs that a downtime may have affected.

    *recalls* is true where windows may have forgotten runs that were long past by a
    wrong clock.
    """
    past: Mapping[str, bytes] = {}
    if recalls:
        _, past = await recall(store, decisions.job_registry, {}, now)
    return await plan_changes(decisions, store, wakeups, now, past)


def _quiet_until(
    decisions: Decisions, store: Store, job: Job, now: float
) -> float | None:
    state = store.states.get(job.name)
    # What is being committed was decided by the roster before, perhaps.
    if state is None or store.latest(job.name) is not state:
        return None
    try:
        return quiet_until(job, state, now, decisions.settings)
    except Exception:  # noqa: BLE001 - deciding will raise it again, and tell
        return None
