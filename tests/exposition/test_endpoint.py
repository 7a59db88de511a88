"""``GET /metrics``: the cache, the exporter's own metrics, the endpoint."""

from __future__ import annotations

import asyncio
import gzip
import platform
import shutil
from asyncio.subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter import conventions as names
from afterrun_exporter.app import WebOptions
from afterrun_exporter.cli.version import build_labels
from afterrun_exporter.core.model import Kind, Outcome
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from tests.copies import replace
from tests.core.jobs import BACKUP, at, ping
from tests.exposition.rendered import render
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, app_of
from tests.services import job_config

SYNC = replace(BACKUP, name="sync", schedule=Every(600), grace=60, max_runtime=120)


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return every sample of *text* by its name and labels."""
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("ping"),
            st.fixed_dictionaries(
                {
                    "job": st.sampled_from(["backup", "sync", "new"]),
                    "kind": st.sampled_from(Kind),
                    "outcome": st.sampled_from([Outcome.OK, Outcome.FAIL]),
                    "run_id": st.sampled_from([None, "a", "b"]),
                    "metrics": st.sampled_from([{}, {"rows": 1.0, "size": 5000.0}]),
                }
            ),
        ),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 61, 600, 86400])),
        st.tuples(st.just("scrape"), st.none()),
        st.tuples(
            st.just("reload"),
            st.lists(st.sampled_from([BACKUP, SYNC]), unique_by=lambda j: j.name),
        ),
    ),
    max_size=25,
)


async def play(
    history: list[tuple[str, object]],
    service: Service,
    clock: ManualClock,
    exposition: Exposition,
) -> None:
    for what, how in history:
        if what == "ping":
            await service.record(replace(ping("21 12:00"), at=clock.now(), **how))  # type: ignore[arg-type]
        elif what == "wait":
            clock.show(clock.now() + how)  # type: ignore[operator]
            await service.sweep()
        elif what == "scrape":
            await exposition.scrape()
        else:
            await service.reconfigure(job_config(*how))  # type: ignore[misc]


@given(changes)
def test_the_cache_and_a_fresh_render_agree(history: list[tuple[str, object]]) -> None:
    """Whatever happened: pings, misses, reloads, scrapes in between."""

    async def compare() -> None:
        clock = ManualClock(at("21 12:00"))
        service = Service(MemoryStore(), clock, job_config(BACKUP, SYNC))
        await service.start()
        exposition = Exposition(service, SelfMetrics("1.2.3"))
        await play(history, service, clock, exposition)
        cached = b"".join((await exposition.scrape()).text())
        fresh = render(service.watched(), service.settings)

        jobs_only, _, _ = cached.partition(b"# HELP process_")
        assert sorted(jobs_only.splitlines()) == sorted(fresh.splitlines())

    asyncio.run(compare())


async def test_a_scrape_has_the_headers_prometheus_wants(client: Client) -> None:
    response = await client.get("/metrics", headers={"Accept-Encoding": "identity"})

    assert response.status == 200
    assert response.headers["Content-Type"] == (
        "text/plain; version=0.0.4; charset=utf-8"
    )
    assert "Content-Encoding" not in response.headers


async def test_a_scrape_is_compressed_when_asked(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(app_of(service, clock), auto_decompress=False)
    response = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert b"afterrun_job_info" in gzip.decompress(await response.read())


async def test_promtool_has_nothing_to_say(client: Client) -> None:
    assert shutil.which("promtool"), "promtool is not on PATH: `make test` installs it"
    await client.post("/ping/backup", json={"metrics": {"rows": 0}})
    text = await (await client.get("/metrics")).read()

    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    told = await promtool.communicate(text)

    assert (promtool.returncode, told) == (0, (b"", b""))


async def test_the_exporter_tells_about_itself(client: Client) -> None:
    await client.post("/ping/backup", json={"run_id": "a"})
    await client.post("/ping/backup", json={"run_id": "a"})
    await client.post("/ping/nobody", data=b"{")
    await client.post("/ping/fine")
    text = await (await client.get("/metrics")).text()

    told = values(text)
    results = {
        result: told[names.PINGS, "dialect=native", f"result={result}"]
        for result in ("accepted", "duplicate", "rejected")
    }
    assert results == {"accepted": 2, "duplicate": 1, "rejected": 1}
    assert told[names.JOBS, "state=violated"] == 1
    assert told[names.JOBS, "state=ok"] == 1
    assert told[names.JOBS, "state=missed"] == 0
    assert told[names.STORAGE_ERRORS,] == 0
    assert told[names.BUILD_INFO, "version=1.2.3"] == 1


async def test_every_series_about_itself_is_there_from_the_start(
    client: Client,
) -> None:
    """A counter that first appears at 1 has not increased, for Prometheus."""
    told = values(await (await client.get("/metrics")).text())

    assert told[names.PINGS, "dialect=native", "result=rejected"] == 0
    assert told[names.METRICS_DROPPED, "reason=not_a_number"] == 0


async def test_the_build_has_the_labels_of_other_exporters() -> None:
    text = SelfMetrics("1.2.3", **build_labels()).render().decode()

    ((found,),) = (
        one.samples
        for one in text_string_to_metric_families(text)
        if one.name == names.BUILD_INFO
    )
    labels = {"version", "revision", "branch", "pythonversion", "platform"}
    assert found.labels.keys() == labels
    assert found.labels["pythonversion"] == platform.python_version()


async def test_what_a_reload_came_to_is_told() -> None:
    own = SelfMetrics("1.2.3")
    own.loaded("abc", "f00", 17.0)
    own.refused()
    own.loaded("def", "f00", 18.0)

    told = values(own.render().decode())
    assert told[names.CONFIG_INFO, "git_sha=f00", "hash=def"] == 1
    assert (names.CONFIG_INFO, "git_sha=f00", "hash=abc") not in told
    assert told[names.RELOAD_SUCCESSFUL,] == 1
    assert told[names.RELOAD_TIMESTAMP,] == 18


@pytest.mark.parametrize(("ok", "told"), [(True, 1), (False, 0), (None, None)])
async def test_whether_alertmanagers_file_is_as_it_should_be_is_told(
    ok: bool | None, told: int | None
) -> None:
    """Where one is kept at all."""
    own = SelfMetrics("1.2.3")
    own.watch_alertmanager_file(lambda: ok, lambda: None)

    found = values(own.render().decode())

    assert found.get((names.ALERTMANAGER_RELOAD_SUCCESSFUL,)) == told


async def test_a_retired_job_is_not_shown_any_more(
    client: Client, service: Service
) -> None:
    await client.get("/metrics")
    await service.reconfigure(job_config())

    assert "backup" not in await (await client.get("/metrics")).text()


async def test_scrapes_at_once_all_see_every_job(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    """The second must not miss what the first is still rendering."""
    jobs = [replace(BACKUP, name=f"job{number}") for number in range(1000)]
    await service.reconfigure(job_config(*jobs))
    client = await aiohttp_client(app_of(service, clock))

    async def scrape() -> int:
        text = await (await client.get("/metrics")).text()
        return text.count("afterrun_job_info{")

    assert await asyncio.gather(*(scrape() for _ in range(5))) == [1000] * 5


async def test_scrapes_at_once_are_limited(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient
) -> None:
    jobs = [replace(BACKUP, name=f"job{number}") for number in range(1000)]
    await service.reconfigure(job_config(*jobs))
    options = WebOptions(max_requests=1)
    client = await aiohttp_client(app_of(service, clock, options))

    responses = await asyncio.gather(*(client.get("/metrics") for _ in range(5)))

    assert {response.status for response in responses} == {200, 503}


@pytest.mark.parametrize("path", ["/metrics", "/custom"])
async def test_the_path_can_be_chosen(
    service: Service, clock: ManualClock, aiohttp_client: AiohttpClient, path: str
) -> None:
    options = WebOptions(telemetry_path=path)
    client = await aiohttp_client(app_of(service, clock, options))

    assert (await client.get(path)).status == 200
