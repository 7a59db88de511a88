"""The head of a job's page: what happened, when, where, and which limit counts."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.model import Average, Job, Kind, Outcome, SlowerThan
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.rendering import unbroken
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock
from tests.page.conftest import Pages
from tests.page.test_overview_rows import text_of
from tests.services import job_config

PLAIN = replace(BACKUP, rules=(), schedule=None)
SLOWER = SlowerThan(factor=2, than=Average.MEDIAN, over=86400, min_runs=1)


async def test_an_overrunning_run_is_told_with_its_place_and_limit(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    await service.reconfigure(job_config(replace(PLAIN, max_runtime=600.0)))
    about = '{"host": "db1.internal"}'
    await service.record(ping("21 12:00", Kind.START, run_id="night-7", metadata=about))
    clock.show(at("21 12:30"))
    await service.sweep()
    told = text_of(await pages.get("/jobs/backup"))

    assert (
        "Running since 30m ago Sat 21 Nov 12:00 UTC limit 10m on db1.internal night-7"
        in told
    )
    assert "Last run none has ended yet" in told
    assert "Runs none yet" in told


async def test_the_last_run_is_told_with_its_id_and_host(
    pages: Pages, service: Service
) -> None:
    about = '{"host": "db1"}'
    failed = ping("21 12:00", outcome=Outcome.FAIL, run_id="night-7", metadata=about)
    await service.record(failed)
    told = text_of(await pages.get("/jobs/backup"))

    assert "fail Sat 21 Nov 12:00 UTC on db1 night-7 Last ok never" in told
    assert "Runs 1 1 failed, 0 violated Pause" in told


async def test_a_slow_job_has_one_usual_duration_and_its_limit(
    pages: Pages, service: Service
) -> None:
    await service.reconfigure(job_config(replace(PLAIN, slower_than=SLOWER)))
    await service.record(ping("21 11:00", duration=10.0))
    await service.record(ping("21 12:00", duration=90.0))
    told = text_of(await pages.get("/jobs/backup"))

    assert "The last run took 1m30s, usually 10s (limit 20s)." in told
    assert "Usually takes 10s slow above 20s longest 1m30s" in told
    assert "slow: 2 x median, 20s" in told
    assert "longer than 2 times the median of the last 1d" in told
    assert "once there is one." in told


async def test_a_missed_job_that_never_ran_has_no_runs(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    await service.reconfigure(
        job_config(Job(name="backup", schedule=Every(3600.0), grace=60.0))
    )
    clock.show(at("22 12:00"))
    await service.sweep()
    told = text_of(await pages.get("/jobs/backup"))

    assert "it has never run." in told
    assert "Runs none yet" in told
    assert "deadlines missed" in told
    assert " 0 failed" not in told


async def test_an_open_alert_is_not_resolved_yet(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 12:00", outcome=Outcome.FAIL))

    assert "UTC not yet " in text_of(await pages.get("/jobs/backup"))


async def test_durations_that_no_run_has_reported_have_no_chart(
    pages: Pages, service: Service
) -> None:
    await service.record(ping("21 12:00", metrics={"rows": 5.0}))
    page = await pages.get("/jobs/backup")

    assert "<title>rows</title>" in page
    assert "<title>Duration</title>" not in page
    assert "No chart of durations: none of these runs" in text_of(page)


async def test_the_effect_of_a_pause_is_told(pages: Pages) -> None:
    told = text_of(await pages.get("/jobs/backup"))

    assert "A pause resolves the job's alerts and opens no others." in told


@pytest.mark.parametrize(
    "text",
    [
        "Sun_22_Nov_02:30_UTC",
        "Sun_22_Nov_2025_02:30:19_EET",
        "Sun_22_Nov_02:30_+0530",
        "Sat_21_Nov_12:00",
        "size was 1.2_KiB, expected >_80_B",
        "expected >_1_TB and <=_3_MiB",
        "failed with exit code_3; last ok run",
        "took 1m30s, usually 10s (limit 20s)",
        "Big Boss has 5 Bananas",
        "A run 5 Mar",
    ],
)
def test_times_and_quantities_stay_on_one_line(text: str) -> None:
    assert unbroken(text.replace("_", " ")) == text.replace("_", "\u00a0")
