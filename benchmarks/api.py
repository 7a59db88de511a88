"""How long does a page of the API take among 100,000 jobs, and is the loop held?

The questions go over HTTP from a process of its own; the loop is watched as in
`large_scrape`. What the whole list is searched for is there at its very end, or not
at all, so that every job is looked at.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

import uvloop
from aiohttp import web
from msgspec.structs import replace

from afterrun_exporter.alertmanager.managed_file import reload_alertmanager
from afterrun_exporter.alertmanager.receivers import Receivers
from afterrun_exporter.api.routes import routes
from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.engine.service import Service
from afterrun_exporter.http_problems import errors_as_problems
from benchmarks.daemon import free_port
from benchmarks.fetch import Client
from benchmarks.fleet import Reports, age, read
from benchmarks.large_scrape import Holds
from benchmarks.rounds import Measured, table, verdict
from tests.fakes import MemoryStore

JOBS: Final = 100_000
ROUNDS: Final = 15
#: Seconds for a page, and seconds that the loop may be held.
PAGE_BAR: Final = 0.2
HOLD_BAR: Final = 0.02

#: One job in so many fails.
FAILING: Final = 1000

QUESTIONS: Final = (
    ("the first 100", "/api/v1/jobs"),
    ("1,000 in the middle", f"/api/v1/jobs?limit=1000&after=job-{JOBS // 2:05d}"),
    ("the 100 that are failing", "/api/v1/jobs?state=failing&limit=1000"),
    ("of a state that none is in", "/api/v1/jobs?state=paused"),
    ("of one team", "/api/v1/jobs?label=team=last"),
    ("of a project, tag and label", "/api/v1/jobs?project=p&tag=db&label=team=none"),
    ("a part of the name or description", f"/api/v1/jobs?q={JOBS - 1}"),
    ("one job", f"/api/v1/jobs/job-{JOBS // 2:05d}"),
    ("a badge", f"/badge/job-{JOBS // 2:05d}.svg"),
)

HEAD: Final = (
    "jobs",
    "time",
    "at the longest",
    "bytes",
    f"bar {PAGE_BAR:g} s",
    "the loop was held",
    "CPU",
    f"bar {HOLD_BAR:g} s",
)


def described() -> JobConfig:
    """Return the jobs, with labels, projects and tags."""
    job_config = read(JOBS).job_config
    jobs = {
        name: replace(
            job,
            labels=(("env", "prod"), ("team", f"team-{n % 20}")),
            project=f"p{n % 7}" if n % 2 else "p",
            tags=("db", "nightly") if n % 3 else ("db",),
        )
        for n, (name, job) in enumerate(job_config.jobs.items())
    }
    last = max(jobs)
    jobs[last] = replace(jobs[last], labels=(("env", "prod"), ("team", "last")))
    return JobConfig(jobs=jobs, unknown=None)


async def failed(service: Service) -> None:
    """Have some of the jobs fail."""
    reports, now = Reports(JOBS, "failed"), SystemClock().now()
    pings = (reports.ping(now) for _ in range(JOBS))
    some = [
        replace(ping, outcome=ping.outcome.FAIL)
        for ping in pings
        if int(ping.job.removeprefix("job-")) % FAILING == 0
    ]
    await service.record_all(some)


async def measure() -> bool:
    """Print the table; return whether the bars are kept to."""
    client = await Client.start()
    clock = SystemClock()
    service = Service(store := MemoryStore(), clock, described())
    await age(store, service.job_config.jobs)
    await service.start()
    await failed(service)
    app = web.Application(middlewares=[errors_as_problems])
    app.add_routes(routes(service, store, Receivers(store, reload_alertmanager), clock))
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    gc.collect()
    gc.freeze()

    rows, kept = [], True
    for what, path in QUESTIONS:
        holds, done = Holds(), []
        for _ in range(ROUNDS):
            async with holds.watched():
                done.append(await client.get(port, path, "identity"))
        times = Measured([seconds for seconds, _ in done])
        longest, cpu = max(times.rounds), max(holds.cpu)
        kept &= times.median <= PAGE_BAR and cpu <= HOLD_BAR
        rows.append(
            (
                what,
                times.seconds(),
                f"{longest * 1000:.3g} ms",
                f"{done[-1][1]:,}",
                verdict(times.median, PAGE_BAR),
                f"{max(holds.seconds) * 1000:.3g} ms",
                f"{cpu * 1000:.3g} ms",
                verdict(cpu, HOLD_BAR),
            )
        )
    await runner.cleanup()
    await client.stop()
    print(f"{JOBS:,} jobs, one in {FAILING:,} failing\n")
    print(table(HEAD, rows))
    return kept


if __name__ == "__main__":
    sys.exit(not uvloop.run(measure()))
