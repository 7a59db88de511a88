"""What people and programs do to jobs besides reporting for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from afterrun_exporter.config import parse
from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.alerts import TEST
from afterrun_exporter.core.deadlines import deadline
from afterrun_exporter.core.model import Job, Kind, Outcome
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    ConfiguredJobError,
    StorageError,
    UnknownJobError,
)
from afterrun_exporter.storage.store import AlertRecord
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping, told
from tests.engine.test_service import FullStore
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config

HOURLY = {"every": "1h", "grace": "5m"}


def conditions(service: Service, name: str = "backup") -> list[str]:
    state = service.state(name)
    assert state is not None
    return [alert.key.condition.value for alert in state.alerts]


async def alerts(service: Service) -> Sequence[AlertRecord]:
    return await service.store.alerts()


def standing(service: Service, name: str = "backup") -> Status:
    entry = service.job_and_state(name)
    assert entry is not None
    return status(*entry)


def due(service: Service, name: str) -> str:
    entry = service.job_and_state(name)
    assert entry is not None
    return told(deadline(*entry, service.settings))


async def restarted(store: MemoryStore, clock: ManualClock, *jobs: Job) -> Service:
    service = Service(
        store, clock, job_config(*jobs, unknown=parse("{}").job_config.unknown)
    )
    await service.start()
    return service


class TestAPause:
    async def test_ends_the_alerts_and_expects_nothing(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        await job_admin.pause("backup")

        clock.show(at("25 12:00"))
        await service.sweep()

        assert conditions(service) == []
        assert standing(service) is Status.PAUSED

    async def test_keeps_what_is_reported_meanwhile_without_an_alert(
        self, service: Service, job_admin: JobAdmin, store: MemoryStore
    ) -> None:
        await job_admin.pause("backup")
        verdict = await service.record(ping("21 12:01", outcome=Outcome.FAIL))

        assert verdict.run is not None
        assert await store.alerts() == []

    async def test_survives_a_restart_and_a_reload(
        self, store: MemoryStore, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        await job_admin.pause("backup")

        again = await restarted(store, clock, BACKUP)
        assert standing(again) is Status.PAUSED
        await again.reconfigure(job_config(BACKUP))
        assert standing(again) is Status.PAUSED

    async def test_lasts_no_longer_than_was_asked_for(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        """What was due meanwhile is not missed."""
        await job_admin.pause("backup", until=at("22 12:00"))

        clock.show(at("22 11:59"))
        await service.sweep()
        assert standing(service) is Status.PAUSED
        clock.show(at("22 12:00"))
        await service.sweep()
        assert standing(service) is Status.NEW
        assert due(service, "backup") == "23 02:30:00"

    async def test_that_is_over_ends_with_a_ping_that_comes_before_the_sweeper(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        await job_admin.pause("backup", until=at("21 13:00"))
        await service.record(ping("21 13:00", outcome=Outcome.FAIL))

        assert conditions(service) == ["failing"]

    async def test_says_since_when_however_often_it_is_asked_for(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        await job_admin.pause("backup", until=at("21 13:00"))
        clock.show(at("21 12:30"))
        await job_admin.pause("backup")

        state = service.state("backup")
        assert state is not None
        assert told(state.paused_at) == "21 12:00:00"
        assert state.paused_until is None

    @pytest.mark.parametrize(
        "more",
        [
            {"run_id": "a"},
            {"run_id": "b", "ended_at": at("21 11:00")},
            {"outcome": Outcome.INVALID},
        ],
        ids=["a repeat", "late", "unreadable"],
    )
    async def test_does_not_end_with_a_ping_that_says_nothing_new(
        self, service: Service, job_admin: JobAdmin, more: dict[str, Any]
    ) -> None:
        await service.record(ping("21 12:00", run_id="a"))
        await job_admin.pause("backup", resumes_on_ping=True)
        await service.record(ping("21 12:01", **more))

        assert standing(service) is Status.PAUSED
        assert conditions(service) == []

    @pytest.mark.parametrize(
        ("kind", "goes_on"),
        [(Kind.FINISH, True), (Kind.START, True), (Kind.LOG, False)],
    )
    async def test_may_end_with_the_next_run(
        self, service: Service, job_admin: JobAdmin, kind: Kind, goes_on: bool
    ) -> None:
        await job_admin.pause("backup", resumes_on_ping=True)
        await service.record(ping("21 12:01", kind))

        assert (standing(service) is not Status.PAUSED) is goes_on

    async def test_that_ends_within_a_batch_is_over_for_the_rest_of_it(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        await job_admin.pause("backup", resumes_on_ping=True)
        await service.record_all(
            [
                ping("21 12:00", outcome=Outcome.FAIL, run_id="a"),
                ping("21 12:00", Kind.START, run_id="b"),
            ]
        )
        clock.show(clock.now() + 1.0)
        await service.sweep()

        failing = [
            (told(one.opened_at), one.resolved_at) for one in await alerts(service)
        ]
        assert failing == [("21 12:00:00", None)]

    async def test_ends_with_no_ping_otherwise(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        await job_admin.pause("backup")
        await service.record(ping("21 12:01"))

        assert standing(service) is Status.PAUSED

    async def test_of_an_unknown_job_is_refused(self, job_admin: JobAdmin) -> None:
        with pytest.raises(UnknownJobError, match="did you mean 'backup'"):
            await job_admin.pause("backpu")

    async def test_that_cannot_be_stored_is_none(self, clock: ManualClock) -> None:
        store = FullStore()
        service = await restarted(store, clock, BACKUP)
        store.full = True

        with pytest.raises(StorageError):
            await JobAdmin(service, clock).pause("backup")
        assert standing(service) is Status.NEW


class TestResuming:
    async def test_expects_the_job_from_then_on(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        await job_admin.pause("backup")
        clock.show(at("24 12:00"))
        await job_admin.resume("backup")
        await service.sweep()

        assert conditions(service) == []
        assert due(service, "backup") == "25 02:30:00"

    async def test_shows_what_is_still_wrong(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        await service.record(ping("21 12:00", outcome=Outcome.FAIL))
        await job_admin.pause("backup")
        await job_admin.resume("backup")

        assert conditions(service) == ["failing"]

    async def test_a_job_that_is_not_paused_changes_nothing(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        before = service.state("backup")
        await job_admin.resume("backup")

        assert service.state("backup") == before

    async def test_a_job_that_the_file_disables_does_not_enable_it(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock, replace(BACKUP, enabled=False))
        job_admin = JobAdmin(service, clock)
        await job_admin.pause("backup")

        with pytest.raises(ConfiguredJobError, match="has 'enabled: false'"):
            await job_admin.resume("backup")

        assert standing(service) is Status.PAUSED


class TestRemoving:
    async def test_a_job_that_pings_named_watches_it_no_more(
        self, service: Service, job_admin: JobAdmin, store: MemoryStore
    ) -> None:
        await service.record(ping("21 12:00", job="stray", outcome=Outcome.FAIL))
        await job_admin.retire("stray")

        assert service.job("stray") is None
        (alert,) = await store.alerts()
        assert alert.resolved_at == at("21 12:00")

    async def test_forgets_a_pause_and_what_was_said(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """A job of that name that comes later is another one."""
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        await job_admin.describe("stray", HOURLY)
        await job_admin.pause("stray")
        await job_admin.retire("stray")
        await service.record(ping("21 12:01", job="stray"))

        assert standing(service, "stray") is Status.OK
        assert job_admin.description("stray") == {}

    async def test_a_job_of_the_file_is_for_the_file(self, job_admin: JobAdmin) -> None:
        with pytest.raises(ConfiguredJobError, match="'backup' is defined in"):
            await job_admin.retire("backup")

    async def test_nothing_is_refused(self, job_admin: JobAdmin) -> None:
        with pytest.raises(UnknownJobError):
            await job_admin.retire("nobody")


class TestATestAlert:
    async def test_of_no_job_is_of_one_that_leaves_with_it(
        self, service: Service, job_admin: JobAdmin, clock: ManualClock
    ) -> None:
        alert = await job_admin.test_alert(None, 60.0)
        assert alert.key == TEST
        assert service.job(TEST_JOB) is not None

        for _ in range(2):
            clock.show(clock.now() + 120)
            await service.sweep()

        assert service.job(TEST_JOB) is None
        assert [one.resolved_at is None for one in await alerts(service)] == [False]

    async def test_of_no_job_goes_on_after_a_reload(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        await job_admin.test_alert(None, 60.0)

        await service.reconfigure(job_config(unknown=None))

        assert conditions(service, TEST_JOB) == ["test"]

    async def test_of_a_paused_job_leaves_it_paused(
        self, service: Service, job_admin: JobAdmin
    ) -> None:
        await job_admin.pause("backup")

        await job_admin.test_alert("backup", 60.0, "critical")

        assert conditions(service) == ["test"]
        assert standing(service) is Status.PAUSED

    async def test_of_an_unknown_job_is_refused(self, job_admin: JobAdmin) -> None:
        with pytest.raises(UnknownJobError, match="backpu"):
            await job_admin.test_alert("backpu", 60.0)


async def test_a_change_that_cannot_be_decided_is_raised(
    service: Service, clock: ManualClock
) -> None:
    with pytest.raises(UnknownJobError, match="backpu"):
        await JobAdmin(service, clock).resume("backpu")
