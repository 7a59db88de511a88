"""Reload of the configuration in steps, without blocking pings."""

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
    """Return the registry for *job_config*, and the names of removed jobs.

    *before* is the registry that is in use meanwhile. A job that has not changed is the
    same object in both.
    """
    jobs = cooperatively(job_config.jobs.items())
    same = {name: _unchanged(job, before) async for name, job in jobs}
    job_config = replace(job_config, jobs=same)
    job_registry, removed = JobRegistry(job_config), []
    checked = 0
    # States are never removed, and new ones are appended.
    while checked < len(states):
        names = list(islice(states, checked, None))
        checked += len(names)
        async for name in cooperatively(names):
            state = states[name]
            if state.retired_at is not None:
                continue
            if state.paused_at:
                job_registry.paused.add(name)
            if name in job_config.jobs:
                continue
            if leaves(name, state, job_config):
                removed.append(name)
            else:
                job = job_config.nameless(name, state.client_settings)
                job_registry.register(_unchanged(job, before))
    async for _ in cooperatively(job_registry.sorting()):
        pass
    # Retired and new jobs may have reported since they were checked.
    missing = before.registered - job_registry.registered - job_config.jobs.keys()
    for name in missing.difference(removed):
        if not leaves(name, states[name], job_config):
            job_registry.register(
                job_config.nameless(name, states[name].client_settings)
            )
    return job_registry, removed


async def changed_jobs(before: JobRegistry, after: JobRegistry) -> set[str]:
    """Return the names of the jobs that differ between *before* and *after*.

    They were added, removed or have other settings. All names are returned if global
    settings differ.
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
    store: Store, job_registry: JobRegistry, previous: Mapping[str, float], now: float
) -> tuple[dict[str, float], dict[str, bytes]]:
    """Return the reach of the windows of all jobs into the past, and stored histories.

    These are of the jobs whose windows reach further than in *previous*.
    """
    # The registry was completed without yielding to the event loop.
    await yield_to_loop()
    jobs = cooperatively(list(job_registry))
    reaching = {job.name: far async for job in jobs if (far := kept_for(job))}
    to_read = {n: r for n, r in reaching.items() if r > previous.get(n, 0.0)}
    runs = job_registry.job_config.keep_runs
    return reaching, await store.histories(to_read, now, runs)


async def plan_changes(
    decisions: Decisions,
    store: Store,
    wakeups: WakeupQueue,
    now: float,
    past: Mapping[str, bytes],
) -> list[Change]:
    """Return the pending changes of jobs; *past* are histories to add.

    The other jobs are scheduled in *wakeups*.
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
) -> tuple[list[Change], Mapping[str, bytes]]:
    """Return the changes of all jobs that a downtime may have affected, and histories.

    *recalls* is True if a wrong clock may have removed runs from windows.
    """
    past: Mapping[str, bytes] = {}
    if recalls:
        _, past = await recall(store, decisions.job_registry, {}, now)
    return await plan_changes(decisions, store, wakeups, now, past), past


def _quiet_until(
    decisions: Decisions, store: Store, job: Job, now: float
) -> float | None:
    state = store.states.get(job.name)
    # A change in progress may be based on the previous registry.
    if state is None or store.latest(job.name) is not state:
        return None
    try:
        standing = decisions.standing(job, state)
        return quiet_until(standing, state, now, decisions.settings)
    except Exception:  # noqa: BLE001 - the decision will raise and report it again
        return None
