"""Conditions that look beyond one run of one job, through the whole service."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.model import (
    Dependency,
    Job,
    Kind,
    Outcome,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.windows import Ratio
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.results import ReportResult
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import UnknownJobError
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

HOUR = 3600.0

INGEST = Job(name="ingest")
LOAD = Job(name="load", depends_on=(Dependency("ingest"),))
REPORT = replace(BACKUP, name="report", rules=(), depends_on=(Dependency("load"),))

FLAKY = Job(
    name="backup",
    success_ratio=SuccessRatio(below=0.8, over=6 * HOUR, min_runs=2),
    slower_than=SlowerThan(factor=2, over=6 * HOUR, min_runs=2),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at("21 12:00"))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def started(
    store: MemoryStore | SQLiteStore, clock: ManualClock, *jobs: Job
) -> Service:
    service = Service(store, clock, job_config(*jobs))
    await service.start()
    return service


def conditions(service: Service, name: str) -> list[str]:
    state = service.state(name)
    assert state is not None
    return sorted(alert.key.condition.value for alert in state.alerts)


class TestTroubleUpstream:
    async def test_reaches_every_job_that_requires_it_with_the_next_sweep(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """Also through a job in between, which has not run yet."""
        service = await started(store, clock, REPORT, LOAD, INGEST)

        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))
        await service.sweep()

        assert conditions(service, "load") == ["upstream_unhealthy"]
        assert conditions(service, "report") == ["upstream_unhealthy"]

    async def test_ends_as_it_began(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, REPORT, LOAD, INGEST)
        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))
        await service.sweep()

        clock.show(at("21 13:00"))
        await service.record(ping("21 13:00", job="ingest"))
        await service.sweep()

        assert conditions(service, "load") == []
        # It is due tonight, and excused only until then.
        assert conditions(service, "report") == ["upstream_unhealthy"]
        clock.show(at("22 02:31"))
        await service.sweep()
        assert conditions(service, "report") == ["missed"]

    async def test_reaches_a_job_that_only_waits_for_the_end_while_there_is_none(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """A run that takes too long is such trouble, and one that failed is not."""
        waiting = replace(LOAD, depends_on=(Dependency("ingest", False),))
        slow = replace(INGEST, max_runtime=HOUR)
        service = await started(store, clock, waiting, slow)
        service.decisions.settings = replace(service.settings, up_since=0.0)

        start = ping("21 12:00", Kind.START, job="ingest")
        await service.record(start)
        clock.show(at("21 13:00") + 1)
        await service.sweep()
        await service.sweep()
        assert conditions(service, "ingest") == ["overrunning"]
        assert conditions(service, "load") == ["upstream_unhealthy"]

        failed = ping("21 13:01", job="ingest", outcome=Outcome.FAIL)
        await service.record(failed)
        await service.sweep()

        assert conditions(service, "ingest") == ["failing"]
        assert conditions(service, "load") == []

    async def test_is_told_to_a_job_that_runs_all_the_same(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, REPORT, LOAD, INGEST)
        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))

        verdict = await service.record(ping("21 12:01", job="report"))

        assert verdict.transition.warnings == (
            "this job requires 'ingest': its last run ended with fail",
        )

    async def test_that_ends_in_the_same_batch_ends_before_the_next_ping(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """The child's failure is its own then."""
        service = await started(store, clock, LOAD, INGEST)
        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))
        await service.sweep()

        clock.show(at("21 13:00"))
        _, load = await service.record_all(
            [
                ping("21 13:00", job="ingest"),
                ping("21 13:00", job="load", outcome=Outcome.FAIL),
            ]
        )

        assert isinstance(load, ReportResult)
        assert load.transition.warnings == ()
        assert conditions(service, "load") == ["failing"]

    async def test_that_has_ended_leaves_a_failure_before_the_next_sweep_alone(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, LOAD, INGEST)
        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))
        await service.sweep()

        await service.record(ping("21 13:00", job="ingest"))
        await service.record(ping("21 13:00", job="load", outcome=Outcome.FAIL))

        assert conditions(service, "load") == ["failing"]

    async def test_reaches_jobs_that_only_a_policy_knows_of(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """They were registered by their first ping."""
        known = job_config(INGEST, unknown=lambda name, _: replace(LOAD, name=name))
        service = Service(store, clock, known)
        await service.start()
        await service.record(ping("21 12:00", job="load-a"))

        await service.record(ping("21 12:01", job="ingest", outcome=Outcome.FAIL))
        await service.sweep()

        assert conditions(service, "load-a") == ["upstream_unhealthy"]

    async def test_that_a_reload_adds_is_noticed(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, replace(LOAD, depends_on=()), INGEST)
        await service.record(ping("21 12:00", job="ingest", outcome=Outcome.FAIL))

        await service.reconfigure(job_config(LOAD, INGEST))

        assert conditions(service, "load") == ["upstream_unhealthy"]


class TestAHistory:
    async def test_is_the_same_after_a_restart(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        """It is not stored: it is made of the runs that are."""
        async with SQLiteStore.open(tmp_path / "afterrun.db") as store:
            service = await started(store, clock, FLAKY, INGEST)
            for number, minutes in enumerate((1, 2, 4, 5)):
                outcome = Outcome.OK if number % 2 else Outcome.FAIL
                when = f"21 12:0{number}"
                taken = ping(when, outcome=outcome, duration=minutes * 60.0)
                await service.record(taken)
                canceled = ping(when, outcome=Outcome.CANCELED, run_id=f"c{number}")
                await service.record(canceled)
                await service.record(ping(when, job="ingest"))
            before = service.state("backup")

        clock.show(at("21 12:10"))
        async with SQLiteStore.open(tmp_path / "afterrun.db") as store:
            service = await started(store, clock, FLAKY, INGEST)
            after = service.state("backup")

        assert before is not None
        assert after is not None
        assert after.success_ratio == Ratio(2, 4)
        assert after.history == before.history
        assert after.alerts == before.alerts

    async def test_is_not_written_for_its_own_sake(
        self, tmp_path: Path, clock: ManualClock
    ) -> None:
        """A hundred thousand jobs must not be rewritten at a start."""
        commits: list[float] = []
        async with SQLiteStore.open(tmp_path / "afterrun.db") as store:
            service = await started(store, clock, FLAKY)
            await service.record(ping("21 12:00"))

        async with SQLiteStore.open(tmp_path / "afterrun.db", commits.append) as store:
            service = await started(store, clock, FLAKY)
            state = service.state("backup")
            assert state is not None
            assert state.success_ratio == Ratio(1, 1)

        assert commits == []

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    async def test_reaches_back_to_runs_before_the_window_was_asked_for(
        self, tmp_path: Path, clock: ManualClock, kind: str
    ) -> None:
        """Who adds a success ratio today learns today how it stands."""
        async with SQLiteStore.open(tmp_path / "afterrun.db") as sqlite:
            store = MemoryStore() if kind == "memory" else sqlite
            service = await started(store, clock, Job(name="backup"))
            for number in range(3):
                taken = ping(f"21 12:0{number}", outcome=Outcome.FAIL)
                await service.record(taken)

            clock.show(at("21 12:10"))
            await service.reconfigure(job_config(FLAKY))

            assert conditions(service, "backup") == ["failing", "success_ratio_low"]

    async def test_slides_without_a_ping(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, FLAKY)
        for number in range(3):
            await service.record(ping(f"21 12:0{number}", outcome=Outcome.FAIL))
        await service.record(ping("21 12:03"))
        assert conditions(service, "backup") == ["success_ratio_low"]

        clock.show(at("21 18:03"))
        await service.sweep()

        assert conditions(service, "backup") == []


class TestATestAlert:
    async def test_opens_and_ends_by_itself(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """Stored like any other, so that it goes every way that others go."""
        service = await started(store, clock, BACKUP)

        opened = await JobAdmin(service, clock).test_alert("backup", 120.0)

        assert opened.opened_at == at("21 12:00")
        assert conditions(service, "backup") == ["test"]
        clock.show(at("21 12:02"))
        await service.sweep()
        assert conditions(service, "backup") == []
        (record,) = await store.alerts()
        assert (record.severity, record.resolved_at) == ("warning", at("21 12:02"))

    async def test_takes_the_severity_it_is_told(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, BACKUP)

        await JobAdmin(service, clock).test_alert("backup", 120.0, "critical")

        (record,) = await store.alerts()
        assert record.severity == "critical"

    @pytest.mark.parametrize("unknown_jobs", ["accept", "reject"])
    async def test_needs_no_job(
        self, store: MemoryStore, clock: ManualClock, unknown_jobs: str
    ) -> None:
        """One is made for it, with every label that alerts carry."""
        labelled = replace(BACKUP, labels=(("team", "data"),))
        known = job_config(labelled)
        if unknown_jobs == "reject":
            known = replace(known, unknown=None)
        service = Service(store, clock, known)
        await service.start()

        await JobAdmin(service, clock).test_alert(None, 120.0)

        assert conditions(service, TEST_JOB) == ["test"]
        if unknown_jobs == "reject":
            job = service.job(TEST_JOB)
            assert job is not None
            assert job.labels == (("team", ""),)

    @pytest.mark.parametrize("unknown_jobs", ["accept", "reject"])
    async def test_takes_the_job_that_was_made_for_it_along(
        self, store: MemoryStore, clock: ManualClock, unknown_jobs: str
    ) -> None:
        """When its end has been seen, and however often the file is read meanwhile."""
        known = job_config(replace(BACKUP, labels=(("team", "data"),)))
        if unknown_jobs == "reject":
            known = replace(known, unknown=None)
        service = Service(store, clock, known)
        await service.start()
        follower = service.follow()
        await JobAdmin(service, clock).test_alert(None, 30.0)

        await service.reconfigure(known)
        job = service.job(TEST_JOB)
        assert conditions(service, TEST_JOB) == ["test"]
        assert job is not None
        assert unknown_jobs == "accept" or job.labels == (("team", ""),)
        clock.show(at("21 12:00:30"))
        await service.sweep()
        await service.reconfigure(known)
        # A scrape is to see it: min_visible.
        assert conditions(service, TEST_JOB) == []
        clock.show(at("21 12:01"))
        await service.sweep()
        assert service.job(TEST_JOB) is None
        assert follower.take() >= {TEST_JOB}

        await JobAdmin(service, clock).test_alert(None, 30.0)
        assert conditions(service, TEST_JOB) == ["test"]

    async def test_leaves_a_job_of_that_name_that_reports(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await started(store, clock, BACKUP)
        await JobAdmin(service, clock).test_alert(None, 60.0)
        await service.record(ping("21 12:00:10", job=TEST_JOB))

        clock.show(at("21 12:01"))
        await service.sweep()
        await service.reconfigure(job_config(BACKUP))

        assert service.job(TEST_JOB) is not None

    async def test_that_was_open_at_a_stop_ends_after_the_start(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        known = job_config(BACKUP, unknown=None)
        service = Service(store, clock, known)
        await service.start()
        await JobAdmin(service, clock).test_alert(None, 60.0)

        clock.show(at("21 12:05"))
        service = Service(store, clock, known)
        await service.start()

        assert service.job(TEST_JOB) is None
        (record,) = await store.alerts()
        assert record.resolved_at == at("21 12:05")

    async def test_of_an_unknown_job_is_refused(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = Service(store, clock, job_config(BACKUP, unknown=None))
        await service.start()

        with pytest.raises(UnknownJobError, match="did you mean 'backup'"):
            await JobAdmin(service, clock).test_alert("backpu", 120.0)
        assert await store.alerts() == []
