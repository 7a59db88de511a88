"""Families that the configuration disables: gone, and only they."""

from __future__ import annotations

from afterrun_exporter import conventions as names
from afterrun_exporter.engine.service import Service
from afterrun_exporter.exposition.families import FAMILIES
from afterrun_exporter.exposition.rendering import Exposition
from afterrun_exporter.exposition.self_metrics import SelfMetrics
from tests.core.jobs import BACKUP, ping
from tests.openmetrics import openmetrics_families
from tests.services import job_config

DISABLED = frozenset({names.PAUSED, names.DURATION, names.RUNS, names.METRIC_VALUE})


async def lines(exposition: Exposition) -> list[str]:
    """Return the lines of jobs in both formats."""
    return [
        line
        for is_openmetrics in (False, True)
        for piece in (await exposition.scrape(is_openmetrics=is_openmetrics)).text()
        for line in piece.decode().splitlines()
        if names.OF_JOB in line
    ]


def family(line: str) -> str:
    """Return the name of the family of a line, which may be one of OpenMetrics."""
    name = line.split()[2] if line.startswith("#") else line.partition("{")[0]
    for part in ("_sum", "_count"):
        if name.removesuffix(part) == names.DURATION:
            return names.DURATION
    return f"{name}_total" if f"{name}_total" in names.HELP else name


async def test_a_reload_disables_families_and_enables_them_again(
    service: Service,
) -> None:
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    await service.record(ping("21 12:00", metrics={"rows": 1}))
    whole = await lines(exposition)
    assert {family(line) for line in whole} == {one.name for one in FAMILIES}

    await service.reconfigure(job_config(BACKUP, disabled_families=DISABLED))
    rest = [line for line in whole if family(line) not in DISABLED]
    assert await lines(exposition) == rest

    await service.reconfigure(job_config(BACKUP))
    assert await lines(exposition) == whole


async def test_a_scrape_without_any_counter_is_whole(service: Service) -> None:
    disabled = frozenset(one.name for one in FAMILIES if one.type == "counter")
    await service.reconfigure(job_config(BACKUP, disabled_families=disabled))
    exposition = Exposition(service, SelfMetrics("1.2.3"))
    page = await exposition.scrape(is_openmetrics=True)

    families = openmetrics_families(b"".join(page.text()).decode())
    assert names.DEADLINE in {one.name for one in families}
    assert len(await page.compressed()) > 1
