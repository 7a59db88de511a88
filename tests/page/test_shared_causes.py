"""An outage with one cause is one entry of the overview, with its cause."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest

from afterrun_exporter.core.model import Job, Outcome, Ping, Run
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.fakes import ManualClock, MemoryStore
from tests.page.conftest import Pages
from tests.page.test_overview_rows import words_of
from tests.services import job_config


def export(number: int, **settings: Any) -> Job:
    """Return one of many jobs; every other one belongs to another team."""
    team = "billing" if number % 2 else "sales"
    return Job(
        name=f"export-{number}",
        labels=(("team", team),),
        project="reports",
        **settings,
    )


def failure(number: int, message: str, **facts: Any) -> Ping:
    facts = {"outcome": Outcome.FAIL, "exit_code": 1, **facts}
    return replace(ping("21 12:00", message=message, **facts), job=f"export-{number}")


def causes(page: str) -> list[str]:
    """Return what a reader sees of each cause of several jobs."""
    parts = page.partition('<ol class="causes">')[2].partition("</ol>")[0]
    return [words_of(part) for part in re.split(r"(?=<li class=\"cause )", parts)[1:]]


@pytest.fixture
async def exports(service: Service) -> Service:
    await service.reconfigure(job_config(*(export(number) for number in range(40))))
    return service


async def test_similar_messages_are_one_cause(pages: Pages, exports: Service) -> None:
    """They differ in times, numbers and the name of the job."""
    await exports.record_all(
        [
            failure(
                n,
                f"2026-11-21 11:{n + 10}:00 export-{n}: attempt {n} failed\n"
                "connection refused: db1.internal:5432",
                metadata=f'{{"host": "worker{n % 2}"}}',
            )
            for n in range(40)
        ]
    )
    page = await pages.get("/")
    (cause,) = causes(page)

    assert cause.startswith(
        "40 jobs failing : connection refused: db1.internal:5432 warning since Sat 21 "
    )
    assert "team=billing 20 team=sales 20 project reports 40" in cause
    assert "on worker0 20 on worker1 20" in cause
    assert "Show the 40 jobs" in cause
    assert 'href="./jobs/export-7"' in page
    assert 'href="./runbook#afterrunjobfailing"' in page
    assert 'class="trouble"' not in page


async def test_what_differs_is_left_out_of_the_cause(
    pages: Pages, exports: Service
) -> None:
    await exports.record_all(
        [failure(n, f"table {n} of export-{n} is missing") for n in range(3)]
    )
    (cause,) = causes(await pages.get("/"))

    assert "3 jobs failing : table … of … is missing" in cause


async def test_other_messages_are_other_causes(pages: Pages, exports: Service) -> None:
    """The one of many jobs comes first, then the others; a single job is told in full."""
    first = [failure(n, "connection refused: db1:5432") for n in range(2)]
    second = [failure(n, "connection refused: db2:5432") for n in range(2, 9)]
    await exports.record_all([*first, *second, failure(9, "disk full")])
    page = await pages.get("/")

    assert [one[:43] for one in causes(page)] == [
        "7 jobs failing : connection refused: db2:54",
        "2 jobs failing : connection refused: db1:54",
    ]
    assert 'id="broken-export-9"' in page


async def test_a_job_with_another_message_has_another_cause(
    pages: Pages, exports: Service
) -> None:
    await exports.record_all([failure(n, "disk full") for n in range(3)])
    assert causes(await pages.get("/"))[0].startswith("3 jobs failing : disk full")

    await exports.record(replace(failure(0, "no route to host"), at=at("21 12:05")))
    assert causes(await pages.get("/"))[0].startswith("2 jobs failing : disk full")

    await exports.record(replace(failure(1, "", outcome=Outcome.OK), at=at("21 12:06")))
    assert causes(await pages.get("/")) == []


async def test_exit_codes_of_the_shell_are_part_of_the_cause(
    pages: Pages, exports: Service
) -> None:
    await exports.record_all([failure(n, "Killed", exit_code=137) for n in range(2)])
    await exports.record_all([failure(n, "", exit_code=127) for n in range(2, 4)])
    await exports.record_all([failure(n, "", exit_code=None) for n in range(4, 6)])
    killed, unknown, silent = sorted(
        one.partition(" warning")[0] for one in causes(await pages.get("/"))
    )

    assert unknown == "2 jobs failing : ended with fail"
    assert silent == "2 jobs failing : exit code 127: command not found"
    assert killed == (
        "2 jobs failing : Killed (exit code 137: ended by SIGKILL, often out of memory)"
    )


async def test_jobs_that_broke_the_same_rules_have_one_cause(
    pages: Pages, service: Service
) -> None:
    rules = (parse_rule("rows > 0"), parse_rule("size > 1KiB"))
    jobs = [export(number, rules=rules) for number in range(3)]
    await service.reconfigure(job_config(*jobs))
    empty = {"rows": 0.0, "size": 0.0}
    await service.record_all(
        [replace(ping("21 12:00", metrics=empty), job=job.name) for job in jobs]
    )
    (cause,) = causes(await pages.get("/"))

    assert cause.startswith("3 jobs violated : rows > 0, size > 1KiB warning")


async def test_jobs_of_one_host_that_did_not_run_have_one_cause(
    pages: Pages, service: Service, clock: ManualClock
) -> None:
    jobs = [replace(BACKUP, name=f"backup-{n}", rules=()) for n in range(5)]
    await service.reconfigure(job_config(*jobs))
    hosts = ("db1", "db1", "db2", "db2", "db1")
    await service.record_all(
        [
            replace(ping("21 12:00", metadata=f'{{"host": "{host}"}}'), job=job.name)
            for job, host in zip(jobs, hosts, strict=True)
        ]
    )
    clock.show(at("22 02:31"))
    await service.sweep()

    assert [one.partition(" warning")[0] for one in causes(await pages.get("/"))] == [
        "3 jobs missed : last run on db1",
        "2 jobs missed : last run on db2",
    ]


class CountingStore(MemoryStore):
    """A store that counts the jobs of which the last run was read."""

    reads = 0

    async def last_judged(self, jobs: Collection[str]) -> dict[str, Run]:
        self.reads += len(jobs)
        return await super().last_judged(jobs)


class TestReading:
    @pytest.fixture
    def store(self) -> MemoryStore:
        return CountingStore()

    async def test_only_jobs_with_another_run_are_read_again(
        self, pages: Pages, exports: Service, store: CountingStore
    ) -> None:
        await exports.record_all([failure(n, "disk full") for n in range(3)])
        for _ in range(2):
            await pages.get("/")
        assert store.reads == 3

        await exports.record(replace(failure(0, "disk full"), at=at("21 12:05")))
        await pages.get("/")
        await pages.get("/?state=broken")
        assert store.reads == 4
