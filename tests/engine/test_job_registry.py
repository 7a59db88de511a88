"""The jobs that are watched, and how each is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afterrun_exporter.core.model import Dependency, Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.engine.job_registry import JobRegistry
from tests.copies import replace
from tests.services import job_config

NIGHTLY = Job(name="nightly", ping_uuid="u-1", display_name="Nightly backup")
STRAY = Job(name="stray", configured=False)
STATE = JobState(created_at=0.0, due_after=0.0)


@pytest.fixture
def registry() -> JobRegistry:
    return JobRegistry(job_config(NIGHTLY))


def named(jobs: Iterator[Job]) -> list[str]:
    return [job.name for job in jobs]


class TestANameOfAnotherSystem:
    def test_finds_a_configured_job(self, registry: JobRegistry) -> None:
        assert registry.named_by("u-1") == "nightly"
        assert named(registry.called("slug", "nightly-backup")) == ["nightly"]
        assert named(registry.called("name", "Nightly backup")) == ["nightly"]
        assert named(registry.called("name", "other")) == []

    def test_finds_a_registered_job_by_its_latest_names(
        self, registry: JobRegistry
    ) -> None:
        registry.register(replace(STRAY, ping_uuid="u-2", display_name="First"))
        registry.register(replace(STRAY, ping_uuid="u-3", display_name="Second"))

        assert registry.named_by("u-2") is None
        assert registry.named_by("u-3") == "stray"
        assert named(registry.called("slug", "first")) == []
        assert named(registry.called("slug", "second")) == ["stray"]

    def test_is_free_again_once_its_job_has_left(self, registry: JobRegistry) -> None:
        stray = replace(STRAY, ping_uuid="u-2", display_name="Stray one")
        registry.register(stray)

        registry.dismiss(stray)

        assert registry.named_by("u-2") is None
        assert named(registry.called("name", "Stray one")) == []

    def test_may_be_of_several_jobs(self, registry: JobRegistry) -> None:
        registry.register(replace(STRAY, display_name="Nightly backup"))

        assert named(registry.called("name", "Nightly backup")) == ["nightly", "stray"]
        registry.dismiss(STRAY)
        assert named(registry.called("name", "Nightly backup")) == ["nightly"]

    def test_is_of_the_configured_job_where_both_claim_a_uuid(
        self, registry: JobRegistry
    ) -> None:
        stray = replace(STRAY, ping_uuid="u-1")
        registry.register(stray)
        registry.dismiss(stray)

        assert registry.named_by("u-1") == "nightly"


class TestTheNames:
    def test_are_in_order_whoever_comes_and_goes(self, registry: JobRegistry) -> None:
        assert registry.names == ["nightly"]

        registry.register(STRAY)
        registry.register(replace(STRAY, name="early"))
        assert registry.names == ["early", "nightly", "stray"]

        registry.dismiss(STRAY)
        registry.dismiss(STRAY)
        assert registry.names == ["early", "nightly"]

    def test_select_the_jobs_that_are_watched(self, registry: JobRegistry) -> None:
        registry.register(STRAY)
        registry.paused.add("stray")

        jobs = [*registry.of(["stray", "unknown", "nightly"])]

        assert [(job.name, job.enabled) for job in jobs] == [
            ("stray", False),
            ("nightly", True),
        ]


class TestDependents:
    def test_follow_what_is_described(self, registry: JobRegistry) -> None:
        on_nightly = replace(STRAY, depends_on=(Dependency("nightly"),))

        registry.register(STRAY)
        assert [*registry.downstream("nightly")] == []
        registry.register(on_nightly)
        assert [*registry.downstream("nightly")] == ["stray"]
        registry.register(on_nightly)
        assert [*registry.downstream("nightly")] == ["stray"]
        registry.dismiss(on_nightly)
        assert [*registry.downstream("nightly")] == []


def test_a_required_job_without_a_state_is_healthy(registry: JobRegistry) -> None:
    job = replace(STRAY, depends_on=(Dependency("nightly"), Dependency("unknown")))

    assert registry.requirements(job, lambda _: None) == ()
    (one,) = registry.requirements(job, {"nightly": STATE, "unknown": STATE}.get)
    assert (one.job, one.healthy) == ("nightly", True)


def test_jobs_that_were_registered_meanwhile_are_kept_with_their_pauses(
    registry: JobRegistry,
) -> None:
    other = JobRegistry(job_config(NIGHTLY))
    for name in ("new", "paused", "nightly"):
        other.register(replace(STRAY, name=name))
    left = replace(STATE, configured=True)
    other.register(replace(STRAY, name="left"))
    states = {
        "new": STATE,
        "paused": replace(STATE, paused_at=5.0),
        "nightly": STATE,
        "left": left,
    }
    other.paused.add("paused")

    registry.keep(other, states)

    assert registry.registered == {"new", "paused"}
    assert registry.paused == {"paused"}
    assert not registry.note_pause("paused", states["paused"])
    assert registry.note_pause("paused", STATE)
    assert registry.paused == set()
