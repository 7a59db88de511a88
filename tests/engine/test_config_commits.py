"""A run has the commit of the configuration that judged it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from afterrun_exporter.core.model import Job, Kind, Outcome, Ping
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from afterrun_exporter.storage.store import Change
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

A, B = "a" * 40, "b" * 40 + "-dirty"
CONFIG = job_config(
    Job(name="backup", schedule=Every(3600.0), max_runtime=600.0, max_attempts=2),
    revision=A,
)


@pytest.fixture
async def service(store: MemoryStore, clock: ManualClock) -> Service:
    service = Service(store, clock, CONFIG)
    await service.start()
    return service


async def report(
    service: Service,
    kind: Kind = Kind.FINISH,
    job: str = "backup",
    outcome: Outcome = Outcome.OK,
    **more: object,
) -> str | None:
    """Report, and return the commit of the run that this finished."""
    at = service.now()
    ping = Ping(job=job, kind=kind, at=at, outcome=outcome, **more)  # type: ignore[arg-type]
    run = (await service.record(ping)).run
    return None if run is None else run.config_commit


async def commits(store: MemoryStore, job: str = "backup") -> list[str]:
    """Return the commits of the runs of *job*, the newest first."""
    return [run.config_commit for run in await store.runs(job, 10)]


async def test_a_run_has_the_commit_that_is_in_use_at_its_end(
    service: Service, store: MemoryStore
) -> None:
    await report(service, Kind.START, run_id="r1")
    await service.reconfigure(replace(CONFIG, revision=B))

    assert await report(service, run_id="r1") == B
    assert await commits(store) == [B]


async def test_a_commit_without_a_change_counts_from_then_on(
    service: Service, store: MemoryStore
) -> None:
    await report(service, run_id="r1")
    service.note_revision(B)
    await report(service, run_id="r2")

    assert await commits(store) == [B, A]


async def test_so_have_runs_of_jobs_that_are_in_no_file(
    service: Service, store: MemoryStore
) -> None:
    await report(service, job="other")

    assert await commits(store, "other") == [A]


async def test_so_have_attempts_and_runs_that_end_by_themselves(
    service: Service, store: MemoryStore, clock: ManualClock
) -> None:
    """A failed attempt is a run of its own, and a hanging one ends with the next."""
    await report(service, outcome=Outcome.FAIL, run_id="r1", attempt=1, max_attempts=2)
    await report(service, Kind.START, run_id="r2")
    await clock.advance(7200)
    await report(service, Kind.START, run_id="r3")
    await report(service, run_id="r3")

    recorded = await commits(store)
    assert len(recorded) > 2
    assert set(recorded) == {A}


async def test_a_paused_job_that_its_run_resumes_has_it_too(
    service: Service, store: MemoryStore
) -> None:
    pause = service.decisions.pause(
        "backup", service.now(), None, lasts=0.0, resumes_on_ping=True
    )
    await store.update_all([Change("backup", pause)])
    await report(service, run_id="r1")

    assert await commits(store) == [A]


async def test_without_a_repository_there_is_none(
    store: MemoryStore, clock: ManualClock
) -> None:
    service = Service(store, clock, replace(CONFIG, revision=""))
    await service.start()
    await report(service, run_id="r1")

    assert await commits(store) == [""]
