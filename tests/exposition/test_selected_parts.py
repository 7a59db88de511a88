"""``GET /metrics`` in parts: families by name, and shards of the jobs."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter import clock as clocks
from afterrun_exporter import conventions as names
from afterrun_exporter.clock import yield_to_loop
from afterrun_exporter.core.scrape_shards import WHOLE, Shard
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from afterrun_exporter.exposition.snapshot import Page
from tests.copies import replace
from tests.core.jobs import BACKUP, ping
from tests.fakes import ManualClock
from tests.http import Client, app_of
from tests.services import job_config

JOBS = [replace(BACKUP, name=f"job{number:03d}") for number in range(200)]


def text(page: Page) -> str:
    return b"".join(page.text()).decode()


def jobs(told: str) -> list[str]:
    """Return the lines that *told* has of jobs."""
    return [line for line in told.splitlines() if line.startswith("afterrun_job_")]


def families(told: str) -> list[str]:
    return [line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")]


async def scrape(client: Client, **query: str | list[str]) -> str:
    answer = await client.get("/metrics", params=query)
    assert answer.status == 200
    return await answer.text()


@pytest.fixture
async def exposition(service: Service) -> Exposition:
    await service.reconfigure(job_config(*JOBS))
    return Exposition(service, SelfMetrics("1.2.3"))


async def test_families_can_be_chosen_by_their_names(client: Client) -> None:
    """As promhttp has it: of any kind, by the whole name."""
    chosen = [names.RUNS, names.DURATION, names.PINGS, names.BUILD_INFO]
    told = await scrape(client, **{"name[]": [*chosen, "afterrun_job", "nothing"]})

    assert families(told) == [names.DURATION, names.RUNS, names.BUILD_INFO, names.PINGS]
    assert f'{names.DURATION}_count{{job_name="backup"}} 0' in told
    assert f'{names.BUILD_INFO}{{version="1.2.3"}} 1.0' in told


async def test_a_name_that_is_none_chooses_nothing(client: Client) -> None:
    assert await scrape(client, **{"name[]": ""}) == ""


async def test_chosen_families_are_compressed_as_well(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(app_of(service, clock), auto_decompress=False)
    answer = await client.get(
        "/metrics",
        params={"name[]": names.DEADLINE},
        headers={"Accept-Encoding": "gzip"},
    )

    assert families(gzip.decompress(await answer.read()).decode()) == [names.DEADLINE]


async def test_the_shards_together_are_the_whole(exposition: Exposition) -> None:
    whole = text(await exposition.scrape())
    parts = [text(await exposition.scrape(Shard(n, 3))) for n in (1, 2, 3)]

    assert sorted(jobs(whole)) == sorted(line for part in parts for line in jobs(part))
    assert all(jobs(part) for part in parts)


async def test_what_tells_of_the_exporter_is_in_the_first_shard_only(
    exposition: Exposition,
) -> None:
    """But each says that it is there: alerting rules look for that per target."""
    first, second = [text(await exposition.scrape(Shard(n, 2))) for n in (1, 2)]

    own = [name for name in families(first) if not name.startswith("afterrun_job_")]
    assert {names.JOBS, names.PINGS, names.BUILD_INFO} <= set(own)
    assert [n for n in families(second) if n in own] == [names.BUILD_INFO]
    assert f'{names.JOBS}{{state="new"}} {len(JOBS)}.0' in first


async def test_a_family_of_the_exporter_is_not_in_another_shard_either(
    exposition: Exposition,
) -> None:
    assert text(await exposition.scrape(Shard(2, 2), {names.PINGS})) == ""
    assert names.BUILD_INFO in text(
        await exposition.scrape(Shard(2, 2), {names.BUILD_INFO})
    )


async def test_a_shard_follows_its_jobs(
    service: Service, exposition: Exposition
) -> None:
    shard = Shard(1, 2)
    await exposition.scrape(shard)
    mine = next(job.name for job in JOBS if shard.holds(job.name))
    await service.record(replace(ping("21 12:00"), job=mine))
    await exposition.scrape(WHOLE)

    assert f'{names.RUNS}{{job_name="{mine}"}} 1' in jobs(
        text(await exposition.scrape(shard))
    )


async def test_shards_that_nobody_asks_for_any_more_are_made_anew(
    service: Service, exposition: Exposition
) -> None:
    """Not all are kept, whatever numbers of shards are asked for."""
    for count in (1, 2, 3, 4, 5):
        for number in range(1, count + 1):
            await exposition.scrape(Shard(number, count))
    await service.record(replace(ping("21 12:00"), job="job007"))

    told = text(await exposition.scrape())
    assert f'{names.RUNS}{{job_name="job007"}} 1' in jobs(told)
    assert told.count(f"{names.INFO}{{") == len(JOBS)


async def test_shards_that_are_first_asked_for_at_once_have_every_job(
    exposition: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of those that have not been looked at when they are asked for."""
    monkeypatch.setattr(clocks, "STEP", 0.0)
    shards = (WHOLE, Shard(1, 2), Shard(2, 2))
    pages = await asyncio.gather(*(exposition.scrape(shard) for shard in shards))

    whole, *parts = [set(jobs(text(page))) for page in pages]
    assert len({line for line in whole if line.startswith(names.INFO)}) == len(JOBS)
    assert parts[0] | parts[1] == whole


async def test_what_is_no_shard_is_refused(client: Client) -> None:
    answer = await client.get("/metrics", params={"shard": "5", "shards": "4"})

    assert answer.status == 400
    told = await answer.json()
    assert told["detail"] == "shard must be a number from 1 to 4, not '5'"


async def test_scrapes_at_once_share_one_rendering(
    service: Service, exposition: Exposition
) -> None:
    """Also the compressed one; but none is told what was before it came."""
    await exposition.scrape()
    await service.reconfigure(job_config(*JOBS[:100]))
    first = asyncio.create_task(exposition.scrape())
    await yield_to_loop()
    await service.record(replace(ping("21 12:00"), job="job000"))
    pages = await asyncio.gather(*(exposition.scrape() for _ in range(5)))
    packed = [(await page.compressed())[1] for page in pages]

    assert f'{names.RUNS}{{job_name="job000"}}' in text(await first)
    assert all(f'{names.RUNS}{{job_name="job000"}} 1' in text(page) for page in pages)
    assert len({id(block) for block in packed}) == 1


async def test_a_head_has_no_body(client: Client) -> None:
    answer = await client.head("/metrics")

    assert answer.status == 200
    assert await answer.read() == b""
    assert (await client.get("/metrics")).status == 200
