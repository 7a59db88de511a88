"""The index: always what a look at every job would say, at the cost of those that changed."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.job_query import BROKEN
from afterrun_exporter.core.model import Job, Outcome
from afterrun_exporter.core.status import status
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.job_index import (
    REFRESH_EVERY,
    Index,
    entry_of,
    most_urgent,
    traits,
)
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.examples import examples
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config


async def watching(*jobs: Job, clock: ManualClock) -> Service:
    service = Service(MemoryStore(), clock, job_config(*jobs))
    await service.start()
    return service


def job(name: str, **more: object) -> Job:
    return replace(Job(name=name), **more)


async def test_the_index_is_what_a_look_at_every_job_says(clock: ManualClock) -> None:
    service = await watching(BACKUP, job("zeta"), job("alpha"), clock=clock)
    index = Index(service)
    await service.record(ping("21 12:00", outcome=Outcome.FAIL))
    await index.refresh()

    assert list(index.names) == ["alpha", "backup", "zeta"]
    assert +index.counts == {"failing": 1, BROKEN: 1, "new": 2}


async def test_a_job_that_comes_or_leaves_does_so_in_its_place(
    clock: ManualClock,
) -> None:
    service = await watching(BACKUP, job("zeta"), clock=clock)
    index = Index(service)
    await index.refresh()
    await service.record(replace(ping("21 12:00"), job="middle"))
    await index.refresh()
    assert list(index.names) == ["backup", "middle", "zeta"]

    await JobAdmin(service, clock).retire("middle")
    await service.reconfigure(job_config(BACKUP))
    await index.refresh()

    assert list(index.names) == ["backup"]
    assert +index.counts == {"new": 1}


async def test_what_heals_is_broken_no_more(clock: ManualClock) -> None:
    service = await watching(BACKUP, clock=clock)
    index = Index(service)
    await service.record(ping("21 12:00", outcome=Outcome.FAIL))
    await index.refresh()
    assert [one.job.name for one in index.broken] == ["backup"]

    await service.record(ping("21 12:01"))
    await index.refresh()

    assert (index.broken, await index.broken_states()) == ([], {})
    assert +index.counts == {"ok": 1}


async def test_it_keeps_up_while_nobody_asks(clock: ManualClock) -> None:
    service = await watching(BACKUP, clock=clock)
    index = Index(service)
    keeping_up = asyncio.create_task(index.task().run(clock))
    await yield_to_loop()
    assert list(index.names) == []

    await clock.advance(REFRESH_EVERY)
    assert list(index.names) == ["backup"]
    await service.record(replace(ping("21 12:00"), job="another"))
    await clock.advance(REFRESH_EVERY)
    assert list(index.names) == ["another", "backup"]
    keeping_up.cancel()


async def test_a_pause_is_seen(clock: ManualClock) -> None:
    service = await watching(BACKUP, clock=clock)
    index = Index(service)
    await service.record(ping("21 12:00", outcome=Outcome.FAIL))
    await JobAdmin(service, clock).pause("backup")
    await index.refresh()

    assert +index.counts == {"paused": 1}


async def test_labels_projects_and_tags_are_counted(clock: ManualClock) -> None:
    one = job(
        "a", labels=(("team", "data"), ("zone", "")), project="x", tags=("t", "u")
    )
    service = await watching(one, job("b", project="x"), clock=clock)
    index = Index(service)
    await index.refresh()

    assert +index.choices == {
        ("label", "team=data"): 1,
        ("project", "x"): 2,
        ("tag", "t"): 1,
        ("tag", "u"): 1,
    }
    assert ("label", "zone=") not in traits(one)


async def test_the_most_urgent_are_critical_then_new(clock: ManualClock) -> None:
    """What is held back comes last: another job is to blame."""
    jobs = [
        job("old", severity="critical"),
        job("new", severity="critical"),
        job("loud"),
        job("quiet", severity="info"),
    ]
    service = await watching(*jobs, clock=clock)
    index = Index(service)
    for minute, name in enumerate(["old", "new", "quiet", "loud"]):
        report = ping(f"21 12:0{minute}", outcome=Outcome.FAIL)
        await service.record(replace(report, job=name))
    await index.refresh()

    found = await most_urgent(index.broken, 3)
    assert [one.job.name for one in found] == ["new", "old", "loud"]
    assert await index.broken_states() == {"failing": 4}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from(["ok", "fail", "pause", "resume", "retire", "look"]),
        ),
        max_size=12,
    )
)
@settings(max_examples=examples(60), deadline=None)
def test_however_jobs_change_the_index_keeps_up(steps: list[tuple[str, str]]) -> None:
    async def run() -> None:
        clock = ManualClock(at("21 12:00"))
        service = await watching(job("a"), job("b", tags=("t",)), clock=clock)
        job_admin, index = JobAdmin(service, clock), Index(service)
        for name, what in steps:
            await clock.advance(1)
            if what in {"ok", "fail"}:
                report = replace(ping("21 12:00"), job=name, at=clock.now())
                await service.record(replace(report, outcome=Outcome(what)))
            elif what == "look":
                await index.refresh()
            elif service.job_and_state(name) and (what != "retire" or name in "cd"):
                await getattr(job_admin, what)(name)
        await index.refresh()

        every = {one.name: (one, state) for one, state in service.watched()}
        assert list(index.names) == sorted(every)
        assert index.entries == {name: entry_of(*one) for name, one in every.items()}
        states = [state for one in index.entries.values() for state in one.states]
        assert +index.counts == {state: states.count(state) for state in states}
        assert all(
            one.states[0] == status(*every[n]) for n, one in index.entries.items()
        )

    asyncio.run(run())


@pytest.mark.usefixtures("long_items")
async def test_thousands_of_jobs_do_not_hold_up_the_rest(clock: ManualClock) -> None:
    """Between two steps everything else has its turn."""
    service = await watching(*(job(f"job-{n}") for n in range(3000)), clock=clock)
    index = Index(service)
    turns, done = 0, False

    async def watch() -> None:
        nonlocal turns
        while not done:
            await yield_to_loop()
            turns += 1

    watcher = asyncio.create_task(watch())
    await index.refresh()
    found = await index.find(lambda job, _: job.name.endswith("7"), 150, 50)
    done = True
    await watcher

    assert (found.total, len(found.entries)) == (300, 50)
    assert turns > 10


@pytest.mark.parametrize(("start", "names"), [(0, ["a1", "a3"]), (2, ["a5"]), (4, [])])
async def test_a_page_of_what_is_found(
    clock: ManualClock, start: int, names: list[str]
) -> None:
    service = await watching(*(job(f"a{n}") for n in range(6)), clock=clock)
    index = Index(service)
    await index.refresh()

    found = await index.find(lambda job, _: int(job.name[1:]) % 2 == 1, start, 2)
    assert [one.job.name for one in found.entries] == names
    assert found.total == 3
    assert (await index.find(None, 4, 9)).total == 6
