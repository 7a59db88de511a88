"""How long does the page take with 100,000 jobs, and how long is the loop held?

The pages go over HTTP to a client of its own process; the jobs and their runs are in
a database on disk. The loop is watched as `large_scrape` does it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import uvloop
from aiohttp import web
from msgspec.structs import replace

from afterrun_exporter import config
from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.app import WebOptions, site_of
from afterrun_exporter.cli.memory import GARBAGE
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.model import Outcome
from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_index import Index
from afterrun_exporter.page.routes import routes
from afterrun_exporter.storage.sqlite.store import SQLiteStore
from benchmarks.daemon import free_port
from benchmarks.fetch import Client
from benchmarks.fleet import Reports, registered_files
from benchmarks.large_scrape import BAR, Holds
from benchmarks.rounds import Measured, table, verdict

JOBS: Final = 100_000
RUNS: Final = 20
#: Jobs that are broken: an outage.
BROKEN: Final = 5_000
ROUNDS: Final = 15
#: Pings that are recorded at once.
STEP: Final = 1000
#: Seconds that a page may take.
PATIENCE: Final = 0.2
#: The same for an order that is made from the states of all jobs.
SORTED: Final = 1.0

HEAD: Final = (
    "a page",
    "time",
    "bar",
    "bytes",
    "the loop was held",
    "CPU",
    f"bar {BAR:g} s",
)


class Visit(NamedTuple):
    """A page that is asked for, some jobs having just pinged."""

    what: str
    path: str
    pings: int = 0
    rounds: int = ROUNDS
    #: Seconds that it may take.
    bar: float = PATIENCE


VISITS: Final = (
    Visit("the first after a start", "/", rounds=1),
    Visit("nothing changed", "/"),
    Visit("1 % of the jobs changed", "/", JOBS // 100),
    Visit("all jobs changed", "/", JOBS, 3),
    Visit("the last of 2,000 pages", f"/?page={JOBS // 50}"),
    Visit("a search", "/?q=job-0777"),
    Visit("a project, label and tag", "/?project=p&label=team%3Ddata&tag=t"),
    Visit("a label alone", "/?label=team%3Ddata"),
    Visit("the broken ones", "/?state=broken"),
    Visit("sorted by duration", "/?sort=duration", bar=SORTED),
    Visit("sorted, the last page", f"/?sort=due&page={JOBS // 50}", bar=SORTED),
    Visit("the alerts", "/alerts"),
    Visit("the runs", "/runs"),
    Visit("one job", "/jobs/job-000777"),
)


class House:
    """All jobs, and their pages on a port."""

    def __init__(self, service: Service, client: Client, port: int) -> None:
        self._service = service
        self._client = client
        self._port = port
        self._reports = Reports(JOBS, "visited")
        self._names = [f"job-{n:06d}" for n in range(JOBS)]

    async def ping(self, count: int, outcome: Outcome = Outcome.OK) -> None:
        """Have the first *count* jobs report."""
        now = SystemClock().now()
        for at in range(0, count, STEP):
            names = self._names[at : min(at + STEP, count)]
            pings = [
                replace(self._reports.ping(now), job=name, outcome=outcome)
                for name in names
            ]
            await self._service.record_all(pings)

    async def visit(self, visit: Visit, holds: Holds) -> tuple[float, int]:
        """Return how long a page took, and its size."""
        await self.ping(visit.pings)
        # What the pings leave behind is not the page's.
        gc.collect()
        gc.freeze()
        async with holds.watched():
            return await self._client.get(self._port, visit.path, "identity")


async def measure(text: str, database: Path) -> bool:
    """Print the table; return whether the bars are kept to."""
    client = await Client.start()
    # As the daemon does.
    gc.set_threshold(*GARBAGE)
    rows: list[Sequence[str]] = []
    kept = True
    async with SQLiteStore.open(database) as store:
        clock = SystemClock()
        service = Service(store, clock, config.parse(text).job_config)
        await service.start()
        context = Context(
            service=service,
            store=store,
            receivers=Receivers(store, reload_alertmanager),
            job_admin=JobAdmin(service, clock),
            clock=clock,
            site=site_of(WebOptions(), clock),
            index=Index(service),
        )
        app = web.Application()
        app.add_routes(routes(context))
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        house = House(service, client, port)
        await house.ping(BROKEN, Outcome.FAIL)
        for visit in VISITS:
            holds = Holds()
            done = [await house.visit(visit, holds) for _ in range(visit.rounds)]
            times, cpu = Measured([seconds for seconds, _ in done]), max(holds.cpu)
            # What comes once in a daemon's life is told and not judged.
            judged = visit.rounds == ROUNDS
            kept &= cpu <= BAR and (times.median <= visit.bar or not judged)
            rows.append(
                (
                    visit.what,
                    times.seconds() if visit.rounds > 1 else f"{times.median:.3g} s",
                    verdict(times.median, visit.bar) if judged else "",
                    f"{done[-1][1] / 1024:.0f} KiB",
                    f"{max(holds.seconds) * 1000:.3g} ms",
                    f"{cpu * 1000:.3g} ms",
                    verdict(cpu, BAR),
                )
            )
            if visit.pings == JOBS:
                await house.ping(BROKEN, Outcome.FAIL)
        await runner.cleanup()
    await client.stop()
    print(f"{JOBS:,} jobs with {RUNS} runs each, {BROKEN:,} of them broken\n")
    print(table(HEAD, rows))
    return kept


def main() -> int:
    """Print the table; return 1 when a bar is missed."""
    with TemporaryDirectory() as folder:
        text, database = registered_files(Path(folder), JOBS, RUNS)
        return int(not uvloop.run(measure(text.read_text("utf-8"), database)))


if __name__ == "__main__":
    sys.exit(main())
