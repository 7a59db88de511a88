"""Clients describe their jobs: what is usable is applied, and nothing else."""

from __future__ import annotations

import pytest

from afterrun_exporter.config import parse
from afterrun_exporter.conventions import TEST_JOB
from afterrun_exporter.core.job_config import plain_job
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.core.status import Status
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import (
    ConfiguredJobError,
    DescriptionError,
    UnknownJobError,
)
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.engine.test_job_admin import HOURLY, conditions, due, restarted, standing
from tests.fakes import ManualClock, MemoryStore
from tests.services import job_config


class TestADescription:
    async def test_makes_a_job_that_is_expected(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        job = await JobAdmin(service, clock).describe("stray", HOURLY)

        assert job == service.job("stray")
        assert job.schedule == Every(3600.0)
        assert due(service, "stray") == "21 13:05:00"
        clock.show(at("21 13:05:01"))
        await service.sweep()
        assert conditions(service, "stray") == ["missed"]

    async def test_changes_a_job_that_has_pinged(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        await service.record(ping("21 12:00", job="stray"))
        await JobAdmin(service, clock).describe("stray", HOURLY)

        assert due(service, "stray") == "21 13:05:00"

    async def test_survives_a_restart(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        first = await restarted(store, clock)
        await JobAdmin(first, clock).describe("stray", HOURLY)

        second = await restarted(store, clock)

        assert second.job("stray") == first.job("stray")
        assert JobAdmin(second, clock).description("stray") == HOURLY

    async def test_said_again_writes_nothing(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        await job_admin.describe("stray", HOURLY)
        follower = service.follow()
        follower.take()

        await job_admin.describe("stray", dict(reversed(HOURLY.items())))

        assert follower.take() == set()

    async def test_leaves_a_pause_as_it_is(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        await job_admin.describe("stray", HOURLY)
        await job_admin.pause("stray")
        await job_admin.describe("stray", {"every": "2h"})

        assert standing(service, "stray") is Status.PAUSED

    async def test_does_not_count_against_the_file(self, job_admin: JobAdmin) -> None:
        with pytest.raises(ConfiguredJobError, match="is defined in"):
            await job_admin.describe("backup", HOURLY)

    async def test_is_followed_by_the_policies_that_match(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        text = """
            policies:
              - {match: {tags: [db]}, severity: critical}
              - {match: {name: "^etl"}, grace: 1h}
            """
        service = Service(store, clock, parse(text).job_config)
        await service.start()
        job = await JobAdmin(service, clock).describe("etl", HOURLY | {"tags": ["db"]})

        assert (job.severity, job.grace) == ("critical", 300.0)

    async def test_that_is_wrong_says_what(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        wrong = {"every": "soon", "grcae": "1h"}

        with pytest.raises(DescriptionError) as caught:
            await JobAdmin(service, clock).describe("stray", wrong)

        assert "every: 'soon' is not a duration" in str(caught.value)
        assert "grcae: unknown key; did you mean 'grace'?" in str(caught.value)
        assert service.job("stray") is None

    async def test_that_the_configuration_does_not_understand_any_more_is_left_out(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """A start is not to fail for what a program once said."""
        first = Service(store, clock, parse("labels: [team]").job_config)
        await first.start()
        await JobAdmin(first, clock).describe("stray", {"labels": {"team": "a"}})

        second = await restarted(store, clock)

        assert second.job("stray") == Job(name="stray", configured=False)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("unknown_jobs: reject", "unknown job 'stray'"),
            ("limits: {jobs: 1}", "the limit of 1 job is reached"),
        ],
    )
    async def test_registers_no_job_that_a_ping_could_not(
        self, store: MemoryStore, clock: ManualClock, text: str, why: str
    ) -> None:
        known = parse(f"{text}\njobs: {{backup: {{}}}}").job_config
        service = Service(store, clock, known)
        await service.start()

        with pytest.raises(UnknownJobError, match=why):
            await JobAdmin(service, clock).describe("stray", HOURLY)

    async def test_undoes_neither_whose_the_job_is_nor_how_it_is_reached(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """Two programs may speak of one job, in two dialects."""
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        uuid = "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
        await job_admin.describe("stray", {"ping_uuid": uuid, "project": "web"})
        job = await job_admin.describe("stray", HOURLY)

        assert (job.ping_uuid, job.project) == (uuid, "web")
        assert service.named_by(uuid) == "stray"

    async def test_takes_no_uuid_away_from_the_file(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        uuid = "0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a"
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        await job_admin.describe("stray", {"ping_uuid": uuid})
        filed = job_config(
            replace(BACKUP, ping_uuid=uuid), unknown=service.job_config.unknown
        )
        await service.reconfigure(filed)

        await job_admin.describe("stray", HOURLY)
        assert service.named_by(uuid) == "backup"
        await job_admin.retire("stray")
        assert service.named_by(uuid) == "backup"

    async def test_of_several_jobs_is_taken_of_all_or_none(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)

        with pytest.raises(DescriptionError):
            await job_admin.describe_all({"one": HOURLY, "two": {"every": "soon"}})
        assert not list(service.watched())
        made = await job_admin.describe_all({"one": HOURLY, "two": {"every": "2h"}})
        assert [job.schedule for job in made] == [Every(3600.0), Every(7200.0)]

    async def test_may_name_the_job_by_a_uuid(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        service = await restarted(store, clock)
        job_admin = JobAdmin(service, clock)
        one, other = (f"{n}b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a" for n in (1, 2))
        await job_admin.describe("stray", {"ping_uuid": one})
        assert service.named_by(one) == "stray"

        await job_admin.describe("stray", {"ping_uuid": other})
        assert (service.named_by(one), service.named_by(other)) == (None, "stray")

        await job_admin.retire("stray")
        assert service.named_by(other) is None


class TestTheUsablePartOfADescription:
    @pytest.fixture
    async def job_admin(self, store: MemoryStore, clock: ManualClock) -> JobAdmin:
        return JobAdmin(await restarted(store, clock, BACKUP), clock)

    def test_is_all_of_it_where_nothing_is_wrong(self, job_admin: JobAdmin) -> None:
        usable, unusable = job_admin.usable("new", HOURLY)

        assert usable == HOURLY
        assert unusable == ("", False)

    def test_is_without_what_is_wrong(self, job_admin: JobAdmin) -> None:
        words = {**HOURLY, "tags": ["db"], "severity": 7}

        usable, unusable = job_admin.usable("new", words, ["notify: not supported"])

        assert usable == {**HOURLY, "tags": ["db"]}
        assert unusable.why.startswith("notify: not supported; severity")
        assert not unusable.schedule

    def test_may_be_without_a_schedule(self, job_admin: JobAdmin) -> None:
        usable, _ = job_admin.usable("new", {"tags": ["db"], "severity": 7})

        assert usable == {"tags": ["db"]}

    async def test_keeps_the_schedule_before_an_unusable_one(
        self, job_admin: JobAdmin
    ) -> None:
        await job_admin.describe("new", HOURLY)

        usable, unusable = job_admin.usable("new", {"schedule": "often"})

        assert usable == {"every": "1h"}
        assert unusable.schedule

    def test_is_refused_for_a_job_of_the_file(self, job_admin: JobAdmin) -> None:
        with pytest.raises(ConfiguredJobError):
            job_admin.usable("backup", HOURLY)


class TestADescriptionThatCannotBeStored:
    async def test_is_too_long(self, store: MemoryStore, clock: ManualClock) -> None:
        job_admin = JobAdmin(await restarted(store, clock), clock)

        with pytest.raises(DescriptionError, match="use at most 16384"):
            await job_admin.describe("new", {"description": "x" * 20_000})

    async def test_has_half_a_surrogate_pair(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        job_admin = JobAdmin(await restarted(store, clock), clock)

        with pytest.raises(DescriptionError, match="cannot be encoded in UTF-8"):
            await job_admin.describe("new", {"description": "\ud800"})

    async def test_is_of_a_job_that_cannot_be_judged(
        self, store: MemoryStore, clock: ManualClock
    ) -> None:
        """An error of ours is no result."""

        class Broken:
            text, period = "broken", 60.0

            def next_after(self, instant: float) -> float:
                raise RuntimeError(f"no slot after {instant}")

        def broken(name: str, _: str) -> Job:
            return replace(plain_job(name), schedule=Broken())

        service = Service(store, clock, job_config(unknown=broken))
        await service.start()

        with pytest.raises(RuntimeError, match="no slot"):
            await JobAdmin(service, clock).describe("new", {})


@pytest.mark.parametrize(
    ("name", "error"), [("backup", ConfiguredJobError), ("stray", UnknownJobError)]
)
async def test_nothing_is_described_where_unknown_jobs_are_rejected(
    service: Service, clock: ManualClock, name: str, error: type[Exception]
) -> None:
    await service.reconfigure(job_config(BACKUP, unknown=None))

    with pytest.raises(error):
        await JobAdmin(service, clock).describe(name, HOURLY)


async def test_the_job_of_a_test_alert_is_not_described_where_others_are_rejected(
    service: Service, clock: ManualClock
) -> None:
    await service.reconfigure(job_config(BACKUP, unknown=None))
    job_admin = JobAdmin(service, clock)
    await job_admin.test_alert(None, 60.0)

    with pytest.raises(UnknownJobError):
        await job_admin.describe(TEST_JOB, HOURLY)
