"""Reports over the API, as a page and by the command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_aiohttp.plugin import AiohttpClient

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.schedule import Every
from afterrun_exporter.engine.service import Service
from afterrun_exporter.server.security import SecuritySettings
from tests.api.test_jobs import asked, refused
from tests.core.jobs import at
from tests.fakes import ManualClock, MemoryStore
from tests.http import Client, whole_app
from tests.services import job_config

HOUR = 3600.0
JOBS = (
    Job(name="backup", schedule=Every(HOUR), project="shop", tags=("db",)),
    Job(name="sync", labels=(("team", "data"),)),
)


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """Two jobs, one of which failed for an hour and missed a slot then."""
    store, clock = MemoryStore(), ManualClock(at("21 12:00"))
    service = Service(store, clock, job_config(*JOBS))
    await service.start()
    app = whole_app(service, store, clock, SecuritySettings())
    client: Client = await aiohttp_client(app)
    await client.post("/ping/sync", json={"status": "ok", "duration_seconds": 3})
    await client.post("/ping/backup", json={"status": "fail", "run_id": "1"})
    clock.show(at("21 13:00"))
    await client.post("/ping/backup", json={"status": "ok", "run_id": "2"})
    clock.show(at("21 14:30"))
    await service.sweep()
    await client.post("/ping/backup", json={"status": "ok", "run_id": "3"})
    return client


async def command(client: Client, *line: str) -> Result:
    url = ("--url", str(client.make_url("")))
    return await asyncio.to_thread(
        CliRunner().invoke, afterrun, ["report", *line, *url]
    )


async def test_the_report_counts_runs_slots_and_the_time_broken(
    client: Client,
) -> None:
    answer = await asked(client, "/api/v1/report?period=1d")
    jobs = {one["name"]: one for one in answer["jobs"]}

    assert (answer["since"], answer["until"]) == ("2026-11-21", "2026-11-21")
    assert (answer["total"]["runs"], answer["total"]["ok"]) == (4, 3)
    assert jobs["backup"]["ok_ratio"] == pytest.approx(2 / 3, abs=1e-6)
    assert (jobs["backup"]["due"], jobs["backup"]["missed"]) == (3, 1)
    assert jobs["sync"]["p50"] == pytest.approx(3.0, rel=0.02)
    assert jobs["sync"]["on_time_ratio"] is None
    assert jobs["backup"]["incidents"] == 2
    assert jobs["backup"]["broken_seconds"] >= HOUR
    assert [one["name"] for one in answer["worst"]] == ["backup"]
    assert answer["days"] == [{"date": "2026-11-21", "ok": 3, "not_ok": 1, "missed": 1}]


async def test_filters_narrow_the_report(client: Client) -> None:
    for query in ("project=shop", "tag=db", "q=back"):
        answer = await asked(client, f"/api/v1/report?{query}&limit=1")
        assert [one["name"] for one in answer["jobs"]] == ["backup"]
        assert (answer["total"]["jobs"], answer["days"]) == (1, [])
    answer = await asked(client, "/api/v1/report?label=team=data&limit=0")
    assert (answer["total"]["runs"], answer["jobs"]) == (1, [])


async def test_an_invalid_period_or_filter_is_refused(client: Client) -> None:
    for query, detail in (
        ("period=x", "'x' is not a period: write it like 30d, 2026-11, "),
        ("label=x", "label 'x' is not a label"),
    ):
        code, said = await refused(client, f"/api/v1/report?{query}")
        assert (code, said[: len(detail)]) == (400, detail)
        page = await client.get(f"/report?{query}")
        assert page.status == 400


async def test_the_page_shows_the_same_with_charts(client: Client) -> None:
    text = await (await client.get("/report?period=1d&project=shop")).text()
    everything = await (await client.get("/report")).text()

    assert "1 job, 3 runs, 66.7% of them ok, 66.7% of 3 slots on time" in text
    assert 'href="./api/v1/report?project=shop&amp;period=1d"' in text
    assert everything.count('<svg role="img"') == 2
    assert (await client.get("/report?perod=1d")).status == 400


@pytest.mark.parametrize("form", ["csv", "markdown", "html", "json"])
async def test_the_command_writes_every_format(
    client: Client, form: str, tmp_path: Path
) -> None:
    where = tmp_path / "report"
    printed = await command(client, "--format", form)
    written = await command(client, "--format", form, "--output", str(where))

    assert (printed.exit_code, written.exit_code) == (0, 0), printed.output
    assert "backup" in printed.stdout
    assert where.read_text("utf-8") == printed.stdout
    if form == "json":
        answer: Any = json.loads(printed.stdout)
        assert answer["total"]["jobs"] == 2


async def test_the_command_prints_tables(client: Client, tmp_path: Path) -> None:
    result = await command(client, "--period", "1d")
    failed = await command(client, "--format", "csv", "--output", str(tmp_path))
    invalid = await command(client, "--period", "x")

    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "2026-11-21 to 2026-11-21: 2 jobs, 4 runs, 75.0% of them"
    )
    assert [
        line.split()[0] for line in lines if line.startswith(("backup", "sync"))
    ] == [
        "backup",
        "sync",
    ]
    assert failed.exit_code == 2
    assert "is not a period" in invalid.stderr
